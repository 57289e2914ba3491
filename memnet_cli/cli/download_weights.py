"""``memnet download-weights``: fetch weights that are not bundled, verified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from memnet_cli.cli._console import err, out, print_error, print_json, print_warning, table
from memnet_cli.cli._signals import Stopped, stopping
from memnet_cli.cli._zoo import show_weights
from memnet_cli.errors import MemnetError, UsageError
from memnet_cli.files import is_file

if TYPE_CHECKING:
    from memnet_cli.stores.downloads import Progress as Told
    from memnet_cli.stores.zoo import WeightsEntry

_RELEASE, _AUTHORS = "release", "authors"


@dataclass(frozen=True)
class Job:
    """One file to put in place.

    Attributes:
        name: of the weights.
        bytes: size of the download, where it is known.
        place: does the work, telling how many bytes have come; returns where the file is.
    """

    name: str
    bytes: int | None
    place: Callable[[Told], Path]


@dataclass(frozen=True)
class Placing:
    """Where files go to and come from.

    Attributes:
        folder: instead of the cache.
        file: fetched by other means, instead of a download.
        force: fetch again what is there.
    """

    folder: Path | None
    file: Path | None
    force: bool


def download_weights(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAMES]...", help="See --list.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Fetch the whole zoo.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="Show what there is.")] = False,
    dest: Annotated[
        Path | None, typer.Option("--dest", help="Put the files into this folder.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--from", help="Take this file, fetched by other means, for the one NAME."),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help="release: this project's zoo; authors: MemNet's Caffe models, converted here.",
        ),
    ] = _RELEASE,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch again what is there, over it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Fetch weights into the cache or a folder; bundled ones need no network.

    memnet download-weights --list
    """
    if source not in {_RELEASE, _AUTHORS}:
        raise UsageError(f"--source {source} is unknown: expected {_RELEASE} or {_AUTHORS}.")
    if show_list and (everything or dest or file or force):
        raise UsageError("--list fetches nothing: leave --all, --dest, --from and --force out.")
    if show_list:
        _list(names or [], source, json)
        return
    if everything and names:
        raise UsageError("--all fetches the whole zoo: leave the names away, or --all.")
    find_jobs = _authors_jobs if source == _AUTHORS else _release_jobs
    jobs = find_jobs(None if everything else names or [], Placing(dest, file, force))
    if not jobs:
        raise UsageError("No weights were named: give names, --all, or --list to see them.")
    if file is not None and len(jobs) != 1:
        raise UsageError(f"--from takes the file of one name, but {len(jobs)} were given.")
    try:
        with stopping():
            placed, failed = _run(jobs, quiet=json)
    except Stopped as request:
        print_error(f"Stopped by {request.name}: what was being fetched is to be fetched again.")
        raise typer.Exit(request.exit_code) from None
    if json:
        print_json({name: str(path) for name, path in placed.items()})
    else:
        for name, path in placed.items():
            out.print(f"{name}: {path}")
    if failed:
        for error in failed[:-1]:
            print_error(str(error))
        raise failed[-1]


def _run(jobs: Sequence[Job], *, quiet: bool) -> tuple[dict[str, Path], list[MemnetError]]:
    """Do all jobs, whatever becomes of one; return where files are and what failed."""
    placed, failed = {}, []
    with _progress(hidden=quiet) as progress:
        for job in jobs:
            bar = progress.add_task(job.name, total=job.bytes)

            def update(received: int, total: int | None, bar: object = bar) -> None:
                progress.update(bar, completed=received, total=total)  # type: ignore[arg-type]

            try:
                placed[job.name] = job.place(update)
            except MemnetError as error:
                failed.append(error)
    return placed, failed


def _release_jobs(names: Sequence[str] | None, placing: Placing) -> list[Job]:
    """Return the jobs for names of the zoo; None means all."""
    from memnet_cli.stores.weights import adopt, fetch
    from memnet_cli.stores.zoo import get_weights, weights_entries

    def job(entry: WeightsEntry) -> Job:
        def place(told: Told) -> Path:
            if placing.file is not None:
                return adopt(entry, placing.file, placing.folder, force=placing.force)
            return fetch(entry, folder=placing.folder, force=placing.force, progress=told)

        return Job(entry.name, entry.bytes, place)

    entries = weights_entries() if names is None else [get_weights(name) for name in names]
    return [job(entry) for entry in entries]


def _authors_jobs(names: Sequence[str] | None, placing: Placing) -> list[Job]:
    """Return the jobs for the authors' models; None means all."""
    from memnet_cli.stores.authors import (
        AUTHORS_MODELS,
        REPOSITORY,
        AuthorsModel,
        convert,
        fetch_and_convert,
        get_authors_model,
    )

    def job(model: AuthorsModel) -> Job:
        def place(told: Told) -> Path:
            if placing.file is not None:
                return convert(model, placing.file, folder=placing.folder, force=placing.force)
            return fetch_and_convert(
                model, folder=placing.folder, force=placing.force, progress=told
            )

        return Job(model.name, None, place)

    models = AUTHORS_MODELS if names is None else [get_authors_model(name) for name in names]
    if models:
        print_warning(
            f"the authors of MemNet state no licence for these models ({REPOSITORY}): ask them "
            "before you use the weights for more than your own study."
        )
    return [job(model) for model in models]


def _progress(*, hidden: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=hidden or not err.is_terminal,
        transient=True,
    )


def _list(names: Sequence[str], source: str, json: bool) -> None:
    """Show the named weights, or all."""
    if source == _AUTHORS:
        _show_authors(names, json)
    else:
        from memnet_cli.stores.zoo import get_weights, weights_entries

        show_weights([get_weights(name) for name in names] or weights_entries(), json=json)


def _show_authors(names: Sequence[str], json: bool) -> None:
    from memnet_cli.stores.authors import ADDRESS, AUTHORS_MODELS, LICENCE, get_authors_model

    models = [get_authors_model(name) for name in names] or AUTHORS_MODELS
    states = {model.name: "cached" if is_file(model.target(None)) else "remote" for model in models}
    if json:
        print_json(
            {
                model.name: {
                    "task": model.task,
                    "address": f"{ADDRESS}/{model.file}",
                    "training_sets": model.training_sets,
                    "licence": LICENCE,
                    "state": states[model.name],
                }
                for model in models
            }
        )
        return
    rows = [
        (model.name, model.task, ", ".join(model.training_sets), states[model.name])
        for model in models
    ]
    columns = ("weights", "task", "trained on", "where")
    out.print(table(f"The authors' models; licence: {LICENCE}", columns, rows))

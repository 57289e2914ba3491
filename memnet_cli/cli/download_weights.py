"""``memnet download-weights``: fetch weights that are not bundled, verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from memnet_cli.cli._console import err, out, print_json, table
from memnet_cli.cli.models import scores_text
from memnet_cli.errors import UsageError

if TYPE_CHECKING:
    from memnet_cli.stores.weights import WeightsEntry


def download_weights(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAMES]...", help="See --list.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Fetch the whole zoo.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="Show what there is.")] = False,
    dest: Annotated[
        Path | None, typer.Option("--dest", help="Put the files into this folder.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Take this file, fetched by other means, for the one NAME."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Fetch weights into the cache or a folder; bundled ones need no network.

    memnet download-weights --list
    """
    from memnet_cli.stores.weights import adopt, fetch, get_weights, weights_entries

    entries = weights_entries()
    if show_list:
        _show(entries, json)
        return
    chosen = entries if everything else tuple(get_weights(name) for name in names or ())
    if not chosen:
        raise UsageError("No weights were named: give names, --all, or --list to see them.")
    if source is not None and len(chosen) != 1:
        raise UsageError(f"--from takes the file of one name, but {len(chosen)} were given.")
    placed = {}
    with _progress(hidden=json) as progress:
        for entry in chosen:
            if source is not None:
                placed[entry.name] = adopt(entry, source, dest)
                continue
            bar = progress.add_task(entry.name, total=entry.bytes)

            def update(received: int, _total: int | None, bar: object = bar) -> None:
                progress.update(bar, completed=received)  # type: ignore[arg-type]

            placed[entry.name] = fetch(entry, folder=dest, force=force, progress=update)
    if json:
        print_json({name: str(path) for name, path in placed.items()})
        return
    for name, path in placed.items():
        out.print(f"{name}: {path}", markup=False)


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


def _show(entries: tuple[WeightsEntry, ...], json: bool) -> None:
    if json:
        print_json(
            {
                entry.name: {
                    "task": entry.task,
                    "scores": entry.scores,
                    "bytes": entry.bytes,
                    "training_sets": entry.training_sets,
                    "licence": entry.licence,
                    "state": entry.state,
                }
                for entry in entries
            }
        )
        return
    out.print(
        table(
            "Weights",
            ("weights", "task", "PSNR", "MB", "trained on", "licence", "where"),
            [
                (
                    entry.name,
                    entry.task or "all",
                    scores_text(entry.scores),
                    f"{entry.bytes / 1e6:.1f}",
                    ", ".join(entry.training_sets),
                    entry.licence,
                    entry.state,
                )
                for entry in entries
            ],
        )
    )

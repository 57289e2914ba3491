"""``memnet restore``: a folder of damaged pictures in, better ones out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memnet_cli.cli._console import (
    err,
    out,
    picture_progress,
    print_error,
    print_json,
    print_warning,
    printable,
)
from memnet_cli.cli._options import (
    Device,
    Fp32,
    Overwrite,
    Precision,
    Quiet,
    Recursive,
    Tile,
    TileOverlap,
)
from memnet_cli.cli._outcomes import STREAM, Report, document, summarise, tell
from memnet_cli.cli._signals import Stopped, stopping
from memnet_cli.cli._startup import kept_to_the_end
from memnet_cli.config import RuntimeOptions, parse_tile
from memnet_cli.errors import UsageError

if TYPE_CHECKING:
    from memnet_cli.restoration.folder import Outcome, Settings
    from memnet_cli.restoration.jobs import Job
    from memnet_cli.restoration.restorer import Restorer

AUTO = "auto"
#: What the restorer of JPEGs of a good quality is called beside that for jpeg.
GOOD_JPEGS = "good jpeg"


def restore(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT... OUTPUT",
            help="Pictures, folders, glob patterns or '-' (standard input); "
            "last the output folder, file or '-' (standard output).",
        ),
    ],
    task: Annotated[
        str, typer.Option("--task", help="sr, denoise, jpeg, or auto (denoise or jpeg).")
    ] = AUTO,
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale", "-s", help="Enlargement for --task sr: over 1 to 16; trained: 2, 3, 4."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model or weights by name; see `memnet models`.")
    ] = "memnet",
    weights: Annotated[
        str | None, typer.Option("--weights", help="Weights by name, or a .safetensors file.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    fp32: Fp32 = False,
    tile: Tile = "auto",
    tile_overlap: TileOverlap = None,
    tta: Annotated[
        bool, typer.Option("--tta", "--x8", help="Average 8 flips and rotations: 8 times slower.")
    ] = False,
    exit_block: Annotated[
        int | None,
        typer.Option("--exit-block", help="Stop after memory block m: faster and worse."),
    ] = None,
    nlrn_stride: Annotated[
        int | None,
        typer.Option(
            "--nlrn-stride", help="Distance of NLRN's patches: 7 in the paper, 0 for none."
        ),
    ] = None,
    chroma: Annotated[
        bool, typer.Option("--chroma", help="Restore the chroma planes of JPEGs too.")
    ] = False,
    deblock: Annotated[
        bool | None,
        typer.Option(
            "--deblock/--no-deblock",
            help="Remove the blocks of JPEGs before --task sr; done unless told not to.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help="png, jpg, webp, tiff or bmp; else by name, or PNG."),
    ] = None,
    quality: Annotated[
        int, typer.Option("--quality", min=1, max=100, help="Of JPEG and WebP outputs.")
    ] = 95,
    suffix: Annotated[
        str, typer.Option("--suffix", help="Added to names; {ext} {task} {scale} are filled in.")
    ] = "",
    overwrite: Overwrite = False,
    recursive: Recursive = False,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Folder for before/after pictures.")
    ] = None,
    verify_tiles: Annotated[
        bool, typer.Option("--verify-tiles", help="Report the largest tiled/whole difference.")
    ] = False,
    provenance: Annotated[
        bool,
        typer.Option("--provenance/--no-provenance", help="Record in the output how it was made."),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and what it would take.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Restore pictures: enlarge them, remove noise, or remove JPEG damage.

    memnet restore --task sr --scale 3 in/ out/
    """
    if len(paths) < 2:
        raise UsageError(f"Only '{paths[0]}' was given: expected INPUT... and last an OUTPUT.")
    if fp32 and precision not in {"auto", "fp32"}:
        raise UsageError(f"--fp32 and --precision {precision} contradict each other: give one.")
    options = RuntimeOptions(
        device,
        "fp32" if fp32 else precision,
        parse_tile(tile),
        tile_overlap,
        tta,
        exit_block,
        nlrn_stride,
    )
    report = Report(json, quiet, to_stdout=paths[-1] == STREAM)
    if quiet:
        for name in ("memnet_cli", "tifffile"):
            logging.getLogger(name).setLevel(logging.ERROR)
    if report.to_stdout and "stdout" in (context.obj or ()):
        raise UsageError("The output '-' is standard output, which is closed: give a file.")
    if report.json and report.to_stdout:
        raise UsageError("--json and the output '-' both want standard output: give one.")
    tasks = _tasks(task, scale, chroma)
    if deblock is not None and task != "sr":
        raise UsageError(f"--deblock and --no-deblock go with --task sr, not with --task {task}.")

    # numpy, requests and torch come only once the options make sense, so that --help is quick
    from memnet_cli.checkpoints import check_purpose
    from memnet_cli.restoration.jobs import Naming, formats_passed_over, plan_jobs
    from memnet_cli.stores.weights import find_weights

    naming = Naming(format, suffix, task, scale)
    jobs = plan_jobs(
        paths[:-1],
        paths[-1],
        recursive=recursive,
        naming=naming,
        compare=compare,
        overwrite=overwrite,
    )
    if not quiet and (foreign := formats_passed_over(paths[:-1], recursive)):
        print_warning(f"Passed over: {foreign}.")
    files = {name: find_weights(weights, model=model, task=name, level=scale) for name in tasks}
    if weights is None and "jpeg" in tasks:
        files |= _by_quality(model)
    for name, file in files.items():
        check_purpose(file, _task_of(name), exit_block, nlrn_stride)

    with kept_to_the_end():
        from memnet_cli.restoration.folder import Settings

        restorers = _load(files, options)
        if task == "sr" and deblock is not False:
            restorers |= _deblocker(options)
    settings = Settings(task, scale, chroma, quality, overwrite, provenance, verify_tiles)
    if dry_run:
        _show_plan(jobs, settings, restorers, report)
        return
    _run(jobs, settings, restorers, report)


def _tasks(task: str, scale: float | None, chroma: bool) -> tuple[str, ...]:
    """Return the tasks that may be needed, with the options checked against them."""
    from memnet_cli.tasks import TASKS, get_task

    if task == AUTO:
        if scale is not None:
            raise UsageError("--scale goes with --task sr: give --task sr to enlarge.")
        return ("jpeg", "denoise")
    if task not in TASKS:
        raise UsageError(f"There is no task '{task}': expected {', '.join(TASKS)} or {AUTO}.")
    get_task(task).check_options(scale, chroma)
    return (task,)


def _by_quality(model: str) -> dict[str, Path]:
    """Return the default weights for bad JPEGs, and those for good ones where they are others."""
    from memnet_cli.stores.weights import find_weights

    worst, best = (find_weights(None, model=model, task="jpeg", level=q) for q in (1, 100))
    return {"jpeg": worst} if best == worst else {"jpeg": worst, GOOD_JPEGS: best}


def _task_of(name: str) -> str:
    return "jpeg" if name == GOOD_JPEGS else name


def _load(files: Mapping[str, Path], options: RuntimeOptions) -> dict[str, Restorer]:
    from memnet_cli.restoration.host_memory import reuse_freed_memory
    from memnet_cli.restoration.restorer import Restorer
    from memnet_cli.tasks import get_task

    reuse_freed_memory()
    return {
        name: Restorer.from_file(file, get_task(_task_of(name)), options)
        for name, file in files.items()
    }


def _deblocker(options: RuntimeOptions) -> dict[str, Restorer]:
    """Return what restores JPEGs before they are enlarged: the default for good ones, MemNet's."""
    from memnet_cli.stores.weights import find_weights
    from memnet_cli.stores.zoo import DEFAULT_MODEL

    file = find_weights(None, model=DEFAULT_MODEL, task="jpeg", level=100)
    return _load({"jpeg": file}, replace(options, exit_block=None, nlrn_stride=None))


def _run(
    jobs: Sequence[Job], settings: Settings, restorers: Mapping[str, Restorer], report: Report
) -> None:
    from memnet_cli.restoration.folder import restore_folder

    outcomes: list[Outcome] = []
    untold: list[Outcome] = []
    start = time.perf_counter()
    stopped: Stopped | None = None
    try:
        with (
            stopping(),
            picture_progress(hidden=report.json or report.quiet) as progress,
            closing(restore_folder(jobs, settings, restorers, untold=untold)) as coming,
        ):
            bar = progress.add_task("Restoring", total=len(jobs), pixels=0)
            pixels = 0
            for outcome in coming:
                outcomes.append(outcome)
                width, height = outcome.size or (0, 0)
                pixels += width * height
                progress.update(bar, advance=1, pixels=pixels)
                tell(outcome, report)
    except Stopped as request:
        stopped = request
        outcomes += untold
    seconds = time.perf_counter() - start
    if report.json:
        print_json(document(outcomes, restorers, seconds, stopped is not None))
    elif not report.quiet:
        summarise(outcomes, settings, restorers, seconds, report)
    if stopped is not None:
        left = len(jobs) - len(outcomes)
        print_error(f"Stopped by {stopped.name}: {left} of {len(jobs)} pictures were not done.")
        raise typer.Exit(stopped.exit_code)
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _show_plan(
    jobs: Sequence[Job], settings: Settings, restorers: Mapping[str, Restorer], report: Report
) -> None:
    from memnet_cli.restoration.forecast import forecast

    plan = forecast(jobs, settings, restorers)
    problems = [file.error for file in plan.files if file.error is not None]
    for problem in problems:
        print_error(problem)
    if report.json:
        print_json(plan.document())
    else:
        for line in plan.lines():
            (err if report.to_stdout else out).print(printable(line))
    if problems:
        raise typer.Exit(1)

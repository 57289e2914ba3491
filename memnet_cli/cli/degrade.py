"""``memnet degrade``: damage clean pictures as the papers do, to try a restoration on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from memnet_cli.cli._console import out, picture_progress, print_error, print_warning
from memnet_cli.cli._options import Overwrite, Quiet, Recursive
from memnet_cli.errors import ImageError, UsageError

if TYPE_CHECKING:
    from memnet_cli.restoration.jobs import Job
    from memnet_cli.tasks import Task


def degrade(
    paths: Annotated[
        list[str], typer.Argument(metavar="INPUT... OUTPUT", help="Pictures; last the output.")
    ],
    task: Annotated[str, typer.Option("--task", help="sr, denoise or jpeg.")],
    scale: Annotated[
        int | None, typer.Option("--scale", "-s", help="For sr: shrink by this scale factor.")
    ] = None,
    sigma: Annotated[
        int | None, typer.Option("--sigma", help="For denoise: noise level, of 255.")
    ] = None,
    quality: Annotated[
        int | None, typer.Option("--quality", help="For jpeg: quality factor, 1 to 100.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the noise.")] = 0,
    suffix: Annotated[
        str, typer.Option("--suffix", help="Added to names; {ext} {task} {scale} are filled in.")
    ] = "",
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Damage pictures: shrink them, add noise, or compress them as JPEG.

    memnet degrade --task sr --scale 3 clean/ small/
    """
    from memnet_cli.restoration.jobs import STREAM, Naming, plan_jobs
    from memnet_cli.tasks import get_task

    chosen = get_task(task)
    levels = {
        "sr": ("--scale", scale),
        "denoise": ("--sigma", sigma),
        "jpeg": ("--quality", quality),
    }
    option, level = levels[chosen.name]
    if level is None:
        raise UsageError(f"--task {task} needs a {chosen.level_name}: give {option}.")
    for name, (other, value) in levels.items():
        if value is not None and name != chosen.name:
            raise UsageError(f"{other} goes with --task {name}, not with --task {task}.")
    chosen.check_level(level)
    if len(paths) < 2 or STREAM in paths:
        raise UsageError("Expected INPUT... and last an OUTPUT, files or folders.")
    naming = Naming("jpg" if chosen.name == "jpeg" else None, suffix, chosen.name, scale)
    jobs = plan_jobs(paths[:-1], paths[-1], recursive=recursive, naming=naming, overwrite=overwrite)

    written = skipped = failed = 0
    with picture_progress(hidden=quiet) as progress:
        bar = progress.add_task("Degrading", total=len(jobs))
        for job in jobs:
            progress.advance(bar)
            if job.is_done() and not overwrite:
                skipped += 1
                continue
            problem = _damage(job, chosen, level, seed)
            if problem is None:
                written += 1
            else:
                failed += 1
                print_error(problem)
    if not quiet:
        out.print(
            f"{written} degraded by {chosen.level_name} {level}, {skipped} skipped, {failed} failed"
        )
        if skipped:
            print_warning("What is there already was left as it is: --overwrite makes it again.")
    if failed:
        raise typer.Exit(1)


def _damage(job: Job, task: Task, level: int, seed: int) -> str | None:
    """Damage one picture; returns what to tell if that fails."""
    from memnet_cli.imaging.images import read_image
    from memnet_cli.restoration.degrade import degrade_to_file

    assert job.source is not None
    try:
        picture = read_image(job.source)
    except ImageError as error:
        return str(error)
    try:
        degrade_to_file(picture, job, task, level, seed)
    except ImageError as error:
        return f"{job.name}: {error}"
    except OSError as error:
        return f"{job.target} cannot be written: {error.strerror or error}."
    return None

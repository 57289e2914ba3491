"""``memnet ablate``: the variants of a paper's table, trained alike, beside the paper's numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memnet_cli.cli._console import err, out, table
from memnet_cli.cli._options import (
    DataDir,
    Device,
    Offline,
    Quiet,
    TrainingPrecision,
    ValidationLimit,
)
from memnet_cli.cli._training import STOPPED, TrainingView, clock_text
from memnet_cli.errors import UsageError

if TYPE_CHECKING:
    from memnet_cli.training.ablating import RunScore
    from memnet_cli.training.ablation import Ablation
    from memnet_cli.training.ablation_plan import AblationRequest, PlannedRun
    from memnet_cli.training.ablation_summary import AblationResult


def ablate(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="memnet-table1, memnet-table2, memnet-table6, nlrn-table1, nlrn-table2, nlrn-q, "
            "nlrn-T, or a .toml file.",
        ),
    ],
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the runs and the table.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Instead of the paper's: sr, denoise or jpeg.")
    ] = None,
    level: Annotated[
        int | None, typer.Option("--level", "-l", help="Instead of the paper's level.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", help="Set or folder instead of the paper's; repeatable."),
    ] = None,
    validation: Annotated[
        str | None, typer.Option("--val", help="Set or folder to measure on, not the paper's.")
    ] = None,
    validation_limit: ValidationLimit = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Budget of a run in steps.")] = None,
    duration: Annotated[
        str | None, typer.Option("--time", help="Budget of a run in time, score included: 2m.")
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="How many, or a list: 3 or 0,1,2.")] = "3",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE for all variants, as memnet train; repeatable."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the results here too, as JSON.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write the table here too, as Markdown.")
    ] = None,
    device: Device = "auto",
    precision: TrainingPrecision = "auto",
    data_dir: DataDir = None,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train the variants of a table with the same budget and seeds; say what their order shows.

    The same command goes on with an ablation that was interrupted.

    memnet ablate memnet-table1 --time 2m --seeds 3 --set model.width=16 --out runs/table1
    """
    from memnet_cli.training.ablation import load_ablation
    from memnet_cli.training.ablation_plan import AblationRequest, parse_seeds
    from memnet_cli.training.config import Budget, Machine, parse_duration

    if folder is None:
        raise UsageError("There is no folder for the runs: give --out.")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("memnet ablate runs in one process: start it without torchrun.")
    ablation = load_ablation(name)
    seconds = None if duration is None else parse_duration(duration)
    if (steps is None) == (seconds is None):
        raise UsageError("Give exactly one of --steps and --time, the budget of every run.")
    machine = Machine(device=device, precision=precision, data_dir=data_dir, offline=offline)
    request = AblationRequest(
        out=folder,
        budget=Budget(steps=steps, seconds=seconds),
        seeds=parse_seeds(seeds),
        task=task,
        level=level,
        data=tuple(data or ()),
        validation=validation,
        validation_limit=validation_limit,
        settings=tuple(settings or ()),
        machine=machine,
    )
    result = _run(ablation, request, (json, markdown), quiet)
    if not quiet:
        _print(result)
    if result.missing:
        err.print(
            f"Stopped with {result.missing} runs to do: everything is saved; the same command goes "
            "on with them."
        )
        raise typer.Exit(STOPPED)


def _run(
    ablation: Ablation,
    request: AblationRequest,
    copies: tuple[Path | None, Path | None],
    quiet: bool,
) -> AblationResult:
    """Do the runs that are left; the results are on disk after each."""
    from memnet_cli.training.ablating import do_runs
    from memnet_cli.training.ablation_plan import plan_runs
    from memnet_cli.training.ablation_report import keep_result
    from memnet_cli.training.ablation_summary import summarise

    runs = plan_runs(ablation, request)
    results = [summarise(ablation, request, ())]

    def keep(scores: tuple[RunScore, ...]) -> None:
        results.append(summarise(ablation, request, scores))
        keep_result(results[-1], *copies)

    with TrainingView(request.budget, quiet=quiet) as view:

        def announce(place: int, run: PlannedRun, score: RunScore | None) -> None:
            if quiet:
                return
            which = f"Run {place} of {len(runs)}: {run.variant}, seed {run.seed}"
            done = "" if score is None else f": done before, {score.psnr:.3f} dB"
            err.print(f"{which}{done}")

        do_runs(runs, results[0].level, announce, view.show, keep)
    return results[-1]


def _print(result: AblationResult) -> None:
    from memnet_cli.training.ablation_report import COLUMNS, conclusions, heading, table_rows

    seconds = sum(score.seconds for score in result.scores)
    made = table(heading(result), COLUMNS, table_rows(result))
    for column in made.columns[1:]:
        column.no_wrap = True  # long names give way to numbers
    out.print(made)
    for sentence in conclusions(result):
        out.print(sentence)
    err.print(f"{len(result.scores)} runs of {clock_text(seconds)} in all.")

"""``memnet train``: from pictures to weights, with recipes, budgets and resuming."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memnet_cli.cli._options import (
    DataDir,
    Device,
    Offline,
    Quiet,
    TrainingPrecision,
    ValidationLimit,
)
from memnet_cli.cli._startup import interruptible
from memnet_cli.cli._training import STOPPED, TrainingView, print_result
from memnet_cli.errors import UsageError
from memnet_cli.files import is_file

if TYPE_CHECKING:
    from memnet_cli.training.config import TrainingConfig


#: Options that decide the weights, besides the budget: what a run resumed by its folder alone does
#: not heed.
_OF_THE_RUN = {
    *("model", "data", "recipe", "settings", "levels", "init", "teachers", "seed"),
    *("validation", "validation_limit", "validation_share"),
}


def train(
    context: typer.Context,
    task: Annotated[str | None, typer.Option("--task", help="sr, denoise or jpeg.")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="memnet, rednet, nlrn or plain.")
    ] = "memnet",
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", help="Set by name, or a folder; may be repeated."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder: checkpoints, weights, log.")
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", help="fast, growth, continue, paper, or a .toml file.")
    ] = "fast",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE overrides a field of the recipe; repeatable."),
    ] = None,
    levels: Annotated[
        list[int] | None,
        typer.Option(
            "--levels",
            "-l",
            help="Train for these levels; one that is named twice is drawn twice as often.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Budget in steps.")] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", help="Budget in epochs.")] = None,
    duration: Annotated[
        str | None, typer.Option("--time", help="Budget in time, measured score included: 9m.")
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option(
            "--init",
            help="Weights to start from, by name or file; of any task. Of several, their mean.",
        ),
    ] = None,
    teachers: Annotated[
        list[str] | None,
        typer.Option(
            "--teacher",
            help="Weights whose outputs are the targets, by name or file; of several for the same "
            "scale factor, the mean.",
        ),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option("--val", help="Set or folder to measure on; else a few pictures are kept."),
    ] = None,
    validation_limit: ValidationLimit = None,
    validation_share: Annotated[
        float, typer.Option("--val-share", help="Share of the time to measure on the way.")
    ] = 0.05,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**63 - 1, help="Of everything random.")
    ] = 0,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in --out; a budget replaces its own."),
    ] = False,
    stop_after: Annotated[
        str | None, typer.Option("--stop-after", help="Save and leave after this time: 9m.")
    ] = None,
    save_every: Annotated[
        str, typer.Option("--save-every", help="Time between checkpoints.")
    ] = "5m",
    keep: Annotated[int, typer.Option("--keep", min=1, help="Checkpoints to keep.")] = 2,
    device: Device = "auto",
    precision: TrainingPrecision = "auto",
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option("--gradient-checkpointing", help="Less memory for more arithmetic."),
    ] = False,
    sync_bn: Annotated[
        bool, typer.Option("--sync-bn", help="With torchrun: BN statistics over all processes.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard events too.")
    ] = False,
    data_dir: DataDir = None,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train a network for a task; a run can be interrupted at any time and resumed.

    memnet train --task sr --data T91 --data BSD-train --out runs/sr --time 9m
    """
    started = time.monotonic()
    from memnet_cli.training.config import (
        Budget,
        Machine,
        TrainingConfig,
        config_from_identity,
        parse_duration,
    )

    if folder is None:
        raise UsageError("There is no run folder: give --out.")
    machine = Machine(
        device=device,
        precision=precision,
        compile=compiled,
        gradient_checkpointing=gradient_checkpointing,
        sync_bn=sync_bn,
        save_seconds=parse_duration(save_every),
        keep=keep,
        stop_after=None if stop_after is None else parse_duration(stop_after),
        tensorboard=tensorboard,
        data_dir=data_dir,
        offline=offline,
    )
    from memnet_cli.training.recipe_files import load_recipe
    from memnet_cli.training.records import check_folder, stored_identity
    from memnet_cli.training.tensorboard import check_tensorboard

    seconds = None if duration is None else parse_duration(duration)
    stored = stored_identity(folder)
    if resume and task is None:
        if stored is None:
            raise UsageError(f"{folder} holds no run to resume: give --task and --data.")
        _refuse_settings_of_the_run(context, folder)
        config = config_from_identity(stored, folder, machine)
        if not steps is epochs is seconds is None:
            config = replace(config, budget=Budget(steps, epochs, seconds))
    else:
        if task is None:
            raise UsageError("There is no task: give --task sr, denoise or jpeg.")
        overrides = [*(settings or ()), *(["levels=" + str(levels)] if levels else [])]
        chosen = load_recipe(recipe, model, overrides)
        if recipe == "paper" and steps is epochs is seconds is None:
            epochs = chosen.epochs
        config = TrainingConfig(
            task=task,
            model=model,
            recipe=chosen,
            data=tuple(data or ()),
            out=folder,
            budget=Budget(steps, epochs, seconds),
            validation=validation,
            validation_limit=validation_limit,
            validation_share=validation_share,
            init=tuple(_weights_file(name) for name in init or ()),
            teachers=tuple(_weights_file(teacher) for teacher in teachers or ()),
            seed=seed,
            machine=machine,
            resume=resume,
        )
    check_folder(config)
    if tensorboard:
        check_tensorboard()
    _train(config, started, quiet)


def _refuse_settings_of_the_run(context: typer.Context, folder: Path) -> None:
    """Refuse options that a run resumed by its folder alone would not heed."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in _OF_THE_RUN
        and (source := context.get_parameter_source(parameter.name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise UsageError(
            f"--resume without --task takes all that decides the weights from the run in {folder}: "
            f"leave {' and '.join(given)} out, or start a new run with --init "
            f"{folder / 'last.safetensors'}."
        )


def _weights_file(name: str) -> Path:
    """Return the file of --init or --teacher; it may be of another task."""
    from memnet_cli.stores.weights import locate

    path = Path(name)
    return path if path.suffix == ".safetensors" or is_file(path) else locate(name)


def _train(config: TrainingConfig, started: float, quiet: bool) -> None:
    """Show the run, do it, and say how it ended."""
    from memnet_cli.training.data import gather_data
    from memnet_cli.training.records import recipe_text

    leads = os.environ.get("RANK", "0") == "0"
    with TrainingView(config.budget, quiet=quiet or not leads) as view:
        data = gather_data(config)
        view.title(config, data, recipe_text(config))

        with interruptible():
            from memnet_cli.restoration.host_memory import reuse_freed_memory
            from memnet_cli.training.loop import train as run_training

        reuse_freed_memory()
        result = run_training(config, data, view.show, started)
    if leads and not quiet:
        # whoever closed the terminal asked it to stop
        with nullcontext() if result.finished else suppress(OSError):
            print_result(config, result)
    if not result.finished:
        raise typer.Exit(STOPPED)

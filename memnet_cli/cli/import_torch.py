"""``memnet import-torch``: turn a state_dict saved by PyTorch into weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from memnet_cli.cli._console import out as stdout
from memnet_cli.cli._origin import (
    ForceOption,
    LevelsOption,
    LicenceOption,
    OutOption,
    TaskOption,
    TrainingSetOption,
    check_out,
    read_origin,
)
from memnet_cli.errors import UsageError


def import_torch(
    file: Annotated[Path, typer.Argument(metavar="MODEL.pth", help="A saved state_dict.")],
    out: OutOption,
    task: TaskOption,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A network of `memnet models`.")
    ] = "memnet",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Setting of the network where it is not the default, for instance "
            "memory_blocks=4; may be repeated.",
        ),
    ] = None,
    levels: LevelsOption = None,
    training_set: TrainingSetOption = None,
    licence: LicenceOption = "",
    force: ForceOption = False,
) -> None:
    """Convert tensors saved by PyTorch; names and shapes must be those of the network.

    Nothing but tensors is read: a file that would run code is refused.

    memnet import-torch net.pth --out net.safetensors --model memnet --task sr
    """
    from memnet_cli.models import config_from_mapping

    origin = read_origin(task, levels, training_set, licence)
    config = config_from_mapping(model, _parse_settings(settings or ()))
    check_out(out, force=force)

    from memnet_cli.checkpoints import save_arrays
    from memnet_cli.stores.pickles import import_state

    state = import_state(file, config)
    save_arrays(out, state, origin.info(config, file))
    stdout.print(f"{out}: {model} of {len(state)} tensors, for {task}")


def _parse_settings(settings: Sequence[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise UsageError(f"--set {setting} has no value: expected NAME=VALUE.")
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError):
            values[name] = text
    return values

"""``memnet import-caffe``: turn a MemNet trained with Caffe into weights."""

from __future__ import annotations

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


def import_caffe(
    model: Annotated[Path, typer.Argument(metavar="MODEL.caffemodel", help="The trained network.")],
    out: OutOption,
    task: TaskOption,
    levels: LevelsOption = None,
    training_set: TrainingSetOption = None,
    licence: LicenceOption = "",
    force: ForceOption = False,
) -> None:
    """Convert the MemNet that its authors released for Caffe, without Caffe.

    memnet import-caffe MemNet_M6R6_80C64_SR.caffemodel --out m6r6.safetensors --task sr
    """
    origin = read_origin(task, levels, training_set, licence)
    check_out(out, force=force)

    from memnet_cli.checkpoints import save_arrays
    from memnet_cli.stores.caffe import import_memnet

    config, state = import_memnet(model)
    save_arrays(out, state, origin.info(config, model))
    stdout.print(
        f"{out}: MemNet of {config.memory_blocks} memory blocks, {config.recursions} recursions "
        f"and {config.width} maps, for {task}",
    )

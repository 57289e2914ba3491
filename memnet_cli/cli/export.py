"""``memnet export``: take the weights out of a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from memnet_cli.cli._console import out
from memnet_cli.errors import UsageError
from memnet_cli.files import exists, is_file

_KINDS = ("best", "last")


def export(
    run: Annotated[Path, typer.Argument(help="Run folder of memnet train.")],
    weights: Annotated[Path, typer.Argument(help="File to write, .safetensors.")],
    which: Annotated[
        str | None,
        typer.Option("--which", help="best or last; else the one that measured better."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write the weights of a run to a file of their own, checked.

    memnet export runs/sr memnet-sr.safetensors
    """
    if which is not None and which not in _KINDS:
        raise UsageError(f"--which {which} is unknown: expected best or last.")
    if weights.suffix != ".safetensors":
        raise UsageError(f"{weights} would not be found as weights: give a .safetensors file.")
    if exists(weights) and not overwrite:
        raise UsageError(f"{weights} exists: give another name or --overwrite.")
    files = {kind: run / f"{kind}.safetensors" for kind in _KINDS}
    found = [file for file in files.values() if is_file(file)]
    if os.path.realpath(weights) in map(os.path.realpath, files.values()):
        raise UsageError(f"{weights} is the run's own file: give another place.")
    if not found:
        raise UsageError(f"{run} holds no weights: give the --out folder of memnet train.")
    from memnet_cli.checkpoints import read_info

    source = files[which] if which else max(found, key=_mean_psnr)
    if not is_file(source):
        raise UsageError(f"{run} has no {which} weights: give --which {found[0].stem}.")

    from memnet_cli.checkpoints import load_weights
    from memnet_cli.files import write_atomically

    load_weights(source)  # refuses what is damaged or not finite
    info = read_info(source)
    try:
        write_atomically(weights, source.read_bytes())
    except OSError as error:
        raise UsageError(
            f"Cannot write {weights} ({error.strerror}): give another place."
        ) from None
    out.print(
        f"{weights}: {source.stem} weights of {run}, {info.steps} steps, "
        f"{info.pixels_seen / 1e6:.1f} million pixels",
    )


def _mean_psnr(file: Path) -> float:
    """Return what the weights reached on the run's validation set; less than all if nothing."""
    from memnet_cli.checkpoints import read_info

    values = [s["psnr"] for levels in read_info(file).scores.values() for s in levels.values()]
    return sum(values) / len(values) if values else float("-inf")

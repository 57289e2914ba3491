"""Checkpoints of a run: whole, synced, verified by the digest in their name, the last K kept."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from memnet_cli.errors import TrainingError
from memnet_cli.files import write_atomically

_NAME = re.compile(r"checkpoint-(\d{9})-([0-9a-f]{16})\.pt")
_VERSION = 2


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to go on as if it had never stopped.

    The patches of a step, their order and their damage follow from the seed and the step, so that
    the position in the data is the step. Only tensors, numbers and strings, so that it can be read
    without unpickling code.

    Attributes:
        step: optimizer steps done.
        seconds: wall time used so far, over all sessions.
        progress: share of the budget that the schedule has come to.
        pixels: training pixels seen.
        config: fields of the model's config, with the recursions it has grown to.
        model: state of the network.
        mean: state of its running mean; None without one.
        optimizers: their states, in order.
        best: best validation score so far, mean PSNR in dB; None before the first.
        generators: states of torch's random number generators: CPU, then every CUDA device.
        data: fingerprint of the training pictures.
        measured: of those to measure on; empty in a checkpoint from before it was kept.
        budget: that the progress is a share of; empty in a checkpoint from before it was kept.
    """

    step: int
    seconds: float
    progress: float
    pixels: int
    config: Mapping[str, object]
    model: Mapping[str, torch.Tensor]
    mean: Mapping[str, torch.Tensor] | None
    optimizers: tuple[Mapping[str, Any], ...]
    best: float | None
    generators: tuple[torch.Tensor, ...]
    data: str
    budget: str = ""
    measured: str = ""


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint and remove all but the newest ``keep``.

    Raises:
        TrainingError: if it cannot be written; the earlier ones are untouched.
    """
    buffer = io.BytesIO()
    torch.save({"version": _VERSION, **vars(checkpoint)}, buffer)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()[:16]
    path = folder / f"checkpoint-{checkpoint.step:09d}-{digest}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise TrainingError(_unwritable(folder, error)) from None
    others = [old for old in checkpoints(folder) if old != path]
    for old in others[keep - 1 :]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def _unwritable(folder: Path, error: OSError) -> str:
    kept = checkpoints(folder)
    left = (
        f"the last good one is {kept[0].name}; make room and go on with --resume"
        if kept
        else "there is none yet"
    )
    return f"Cannot write a checkpoint to {folder} ({error.strerror}): {left}."


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoint files of a folder, the newest first."""
    if not folder.is_dir():
        return []
    found = [(match[1], path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    # of one step there are several where runs were resumed and stopped before the next
    dated = [(step, _written(path), path) for step, path in found]
    return [path for *_, path in sorted(dated, reverse=True)]


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # removed by the run meanwhile
        return 0


def load_newest(folder: Path) -> tuple[Checkpoint, tuple[Path, ...]] | None:
    """Return the newest checkpoint that verifies, and the newer ones that did not.

    Raises:
        TrainingError: if there are checkpoints and none is sound.
    """
    broken: list[Path] = []
    for path in checkpoints(folder):
        checkpoint = _load(path)
        if checkpoint is not None:
            return checkpoint, tuple(broken)
        broken.append(path)
    if broken:
        raise TrainingError(
            f"None of the {len(broken)} checkpoints in {folder} is whole ({broken[0].name} is cut "
            "off or changed): start again in another folder, with --init last.safetensors."
        )
    return None


def _load(path: Path) -> Checkpoint | None:
    """Return the checkpoint if its content is what its name says."""
    match = _NAME.fullmatch(path.name)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if match is None or hashlib.sha256(data).hexdigest()[:16] != match[2]:
        return None
    try:
        fields = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise TrainingError(
            f"{path} holds more than tensors, numbers and texts: it was not written by memnet."
        ) from None
    if fields.pop("version") != _VERSION:
        raise TrainingError(
            f"{path} was written by another version of memnet: resume the run with that one."
        )
    return Checkpoint(**fields)


def generator_states() -> tuple[torch.Tensor, ...]:
    """Return the states of torch's random number generators: the CPU's, every CUDA device's."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return (torch.get_rng_state(), *cuda)


def set_generator_states(states: tuple[torch.Tensor, ...]) -> None:
    """Put the generators back; devices that are not there any more are left out."""
    torch.set_rng_state(states[0])
    if torch.cuda.is_available():
        for device, state in enumerate(states[1 : 1 + torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)

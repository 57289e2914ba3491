"""Weights files: safetensors with metadata, to and from a model.

The format is described in docs/weights.md. Reading what a file says about itself needs no torch;
loading its tensors does. Nothing here ever unpickles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memnet_cli.checkpoints.header import (
    Header,
    WeightsInfo,
    metadata_of,
    parse_info,
    read_header,
)
from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.files import write_atomically
from memnet_cli.models import build_model, config_from_mapping
from memnet_cli.models.configs import MemNetConfig, ModelConfig, NLRNConfig

if TYPE_CHECKING:
    from memnet_cli.models.base import RestorationModel

__all__ = [
    "WeightsInfo",
    "check_purpose",
    "load_weights",
    "read_config",
    "read_info",
    "save_arrays",
    "save_weights",
]

_FLOAT_TYPES = {"F16", "BF16", "F32"}


def read_info(path: Path) -> WeightsInfo:
    """Return what the weights file at ``path`` says about itself, without torch.

    Raises:
        WeightsError: for a missing, damaged or foreign file.
    """
    return parse_info(path, read_header(path))


def read_config(path: Path, info: WeightsInfo) -> ModelConfig:
    """Return the validated model config of a weights file.

    Raises:
        WeightsError: if the model is unknown or the config is out of its bounds.
    """
    try:
        return config_from_mapping(info.model, info.config)
    except UsageError as error:
        raise WeightsError(f"{path} describes a model that cannot be built: {error}") from None


def check_purpose(
    path: Path, task: str, exit_block: int | None = None, nlrn_stride: int | None = None
) -> WeightsInfo:
    """Check, without torch, that weights are for ``task`` and that the options fit their network.

    Raises:
        WeightsError: for a missing, damaged or foreign file, or one trained for another task.
        UsageError: for an ``exit_block`` that the model does not have, or an ``nlrn_stride`` for
            another model or larger than its patches.
    """
    info = read_info(path)
    if info.task not in {"", task}:
        raise WeightsError(
            f"{path.name} is trained for {info.task}, not for {task}: "
            f"give weights for {task}, or --task {info.task}."
        )
    config = read_config(path, info)
    if nlrn_stride is not None:
        if not isinstance(config, NLRNConfig):
            raise UsageError(f"--nlrn-stride is for NLRN, and {path.name} holds {info.model}.")
        if nlrn_stride > (side := config.patch_side(info.patch)):
            raise UsageError(
                f"--nlrn-stride {nlrn_stride} leaves gaps between patches of {side} pixels: "
                "give at most that."
            )
    if exit_block is None:
        return info
    if not isinstance(config, MemNetConfig) or not config.multi_supervised:
        raise UsageError("--exit-block works with multi-supervised MemNet weights only.")
    if not 1 <= exit_block <= config.memory_blocks:
        where = "before the first" if exit_block < 1 else "past the last"
        raise UsageError(
            f"--exit-block {exit_block} is {where} of {config.memory_blocks} memory blocks."
        )
    return info


def _check_tensors(path: Path, header: Header, expected: Mapping[str, Sequence[int]]) -> None:
    """Compare names, shapes and types with the model's before a byte is allocated for them."""
    missing = sorted(expected.keys() - header.shapes.keys())
    surplus = sorted(header.shapes.keys() - expected.keys())
    if missing or surplus:
        what = f"lacks '{missing[0]}'" if missing else f"has the unknown '{surplus[0]}'"
        raise WeightsError(f"{path} does not fit the model that it names: it {what}.")
    for name, shape in header.shapes.items():
        if shape != tuple(expected[name]):
            raise WeightsError(
                f"{path} does not fit the model that it names: '{name}' has shape {list(shape)}, "
                f"expected {list(expected[name])}."
            )
        if header.dtypes[name] not in _FLOAT_TYPES:
            raise WeightsError(
                f"{path} holds '{name}' as {header.dtypes[name]}, expected one of "
                f"{', '.join(sorted(_FLOAT_TYPES))}."
            )


def load_weights(path: Path) -> tuple[RestorationModel, WeightsInfo]:
    """Build the model that the file describes and fill it; float32 on the CPU, in eval mode.

    Names, shapes and types are checked against the header first, so that a hostile file cannot
    make the model allocate more than the file itself holds.

    Raises:
        WeightsError: for anything but a sound weights file.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    header = read_header(path)
    info = parse_info(path, header)
    with torch.device("meta"):
        model = build_model(read_config(path, info))
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    _check_tensors(path, header, expected)
    try:
        state = load(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged ({error}): fetch or train it again.") from None
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{path} holds values in '{name}' that are not finite.")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise WeightsError(f"{path} holds variances in '{name}' below 0.")
    state = {name: tensor.float() for name, tensor in state.items()}
    model.load_state_dict(state, strict=True, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.eval(), info


def save_weights(path: Path, model: RestorationModel, info: WeightsInfo) -> None:
    """Write the model's tensors and ``info`` to ``path``, whole or not at all."""
    from safetensors.torch import save

    state = {
        name: tensor.detach().to("cpu").contiguous() for name, tensor in model.state_dict().items()
    }
    write_atomically(path, save(state, metadata=metadata_of(info)))


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.float32]], info: WeightsInfo) -> None:
    """Write arrays under their names in weights files, whole or not at all; without torch.

    For weights that come from elsewhere; that they fit the model is the caller's to check.

    Raises:
        WeightsError: if the file cannot be written.
    """
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        write_atomically(path, save(contiguous, metadata=metadata_of(info)))
    except OSError as error:
        raise WeightsError(f"Cannot write {path}: {error.strerror}.") from None

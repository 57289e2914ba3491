"""Weights files: safetensors with metadata, to and from a model.

The format is described in docs/weights.md. Reading what a file says about itself needs no torch;
loading its tensors does. Nothing here ever unpickles.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.files import write_atomically
from memnet_cli.models import build_model, config_from_mapping, config_to_mapping
from memnet_cli.models.configs import MemNetConfig, ModelConfig, NLRNConfig, PlainConfig
from memnet_cli.tasks import TASKS

if TYPE_CHECKING:
    from memnet_cli.models.base import RestorationModel

FORMAT_VERSION = 1
_MAX_HEADER_BYTES = 16 * 1024 * 1024
_MAX_PATCH = 1 << 16
_FLOAT_TYPES = {"F16", "BF16", "F32"}


@dataclass(frozen=True)
class WeightsInfo:
    """What a weights file says about itself.

    Attributes:
        model: a key of ``models.MODELS``.
        config: the fields of that model's config.
        task: "sr", "denoise" or "jpeg"; empty for weights that serve every task.
        levels: the scale factors, sigmas or quality factors trained on.
        training_sets: names of catalogue datasets that the weights were trained on.
        training_images: first 16 hex digits of the sha256 of every other training image file.
        recipe: how they were trained, in words or TOML.
        steps: optimizer steps of the whole training.
        pixels_seen: training pixels (with repeats) over the whole training.
        patch: side of the patches of the last training, pixels; 0 where unknown.
        scores: dataset -> level -> {"psnr": dB, "ssim": 0..1}, measured by ``memnet benchmark``.
        licence: of the weights.
        source: where they came from.
    """

    model: str
    config: Mapping[str, object]
    task: str
    levels: tuple[int, ...] = ()
    training_sets: tuple[str, ...] = ()
    training_images: tuple[str, ...] = ()
    recipe: str = ""
    steps: int = 0
    pixels_seen: int = 0
    patch: int = 0
    scores: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    licence: str = ""
    source: str = ""


@dataclass(frozen=True)
class _Header:
    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]


def _read_header(path: Path) -> _Header:
    """Read the JSON header of a safetensors file without touching its tensors."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= min(_MAX_HEADER_BYTES, path.stat().st_size):
                raise WeightsError(_not_safetensors(path))
            header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in header.items()}
        dtypes = {name: str(entry["dtype"]) for name, entry in header.items()}
        if not all(isinstance(value, str) for value in metadata.values()):
            raise WeightsError(_not_safetensors(path))
    except FileNotFoundError:
        raise WeightsError(
            f"There is no weights file {path}; `memnet models` lists what is there."
        ) from None
    except OSError as error:
        raise WeightsError(f"Cannot read the weights file {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise WeightsError(_not_safetensors(path)) from None
    return _Header(metadata, shapes, dtypes)


def _not_safetensors(path: Path) -> str:
    hint = (
        " A .pth file can be turned into one with `memnet import-torch`."
        if path.suffix in {".pth", ".pt", ".ckpt"}
        else ""
    )
    return f"{path} is not a safetensors file, or it is cut off: expected memnet weights.{hint}"


def _plain_metadata(path: Path, header: _Header) -> dict[str, str]:
    """Describe a bare VDSR or DnCNN file: layers.{i}.weight and nothing about itself.

    VDSR has no biases and adds its output, DnCNN has biases and subtracts it.
    """
    first = header.shapes.get("layers.0.weight")
    if first is None or len(first) != 4:
        raise WeightsError(
            f"{path} does not say which model it is for: expected weights written by memnet, "
            "or the bare layers of VDSR or DnCNN."
        )
    depth = sum(name.endswith(".weight") for name in header.shapes)
    bias = "layers.0.bias" in header.shapes
    try:
        config = PlainConfig(depth=depth, width=first[0], bias=bias, subtract=bias)
    except UsageError as error:
        raise WeightsError(f"{path} describes a model that cannot be built: {error}") from None
    return {"model": "plain", "config": json.dumps(config_to_mapping(config)), "task": ""}


def _side(value: int) -> int:
    if not 0 <= value <= _MAX_PATCH:
        raise ValueError(value)
    return value


def _levels(task: str, values: Sequence[object]) -> tuple[int, ...]:
    for level in values:
        if type(level) is not int:
            raise ValueError(level)
        if task:
            TASKS[task].check_level(level)
    return tuple(values)  # type: ignore[arg-type]


def _parse_info(path: Path, header: _Header) -> WeightsInfo:
    metadata = dict(header.metadata)
    if "model" not in metadata:
        metadata |= _plain_metadata(path, header)

    def parsed(key: str, default: Any) -> Any:
        value = json.loads(metadata[key]) if key in metadata else default
        if not isinstance(value, type(default)):
            raise ValueError(key)
        return value

    try:
        version = parsed("format_version", FORMAT_VERSION)
        if version > FORMAT_VERSION:
            raise WeightsError(
                f"{path} has weights format {version}, this memnet reads up to "
                f"{FORMAT_VERSION}: update memnet."
            )
        return WeightsInfo(
            model=metadata["model"],
            config=parsed("config", {}),
            task=(task := metadata.get("task", "")),
            levels=_levels(task, parsed("levels", [])),
            training_sets=tuple(str(name) for name in parsed("training_sets", [])),
            training_images=tuple(str(name) for name in parsed("training_images", [])),
            recipe=metadata.get("recipe", ""),
            steps=parsed("steps", 0),
            pixels_seen=parsed("pixels_seen", 0),
            patch=_side(parsed("patch", 0)),
            scores=parsed("scores", {}),
            licence=metadata.get("licence", ""),
            source=metadata.get("source", ""),
        )
    except (UsageError, KeyError, ValueError, TypeError, RecursionError):
        raise WeightsError(
            f"The metadata of {path} cannot be understood: expected what memnet writes."
        ) from None


def read_info(path: Path) -> WeightsInfo:
    """Return what the weights file at ``path`` says about itself, without torch.

    Raises:
        WeightsError: for a missing, damaged or foreign file.
    """
    return _parse_info(path, _read_header(path))


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


def _check_tensors(path: Path, header: _Header, expected: Mapping[str, Sequence[int]]) -> None:
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
    from safetensors.torch import load_file

    header = _read_header(path)
    info = _parse_info(path, header)
    with torch.device("meta"):
        model = build_model(read_config(path, info))
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    _check_tensors(path, header, expected)
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged ({error}): fetch or train it again.") from None
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{path} holds values in '{name}' that are not finite.")
    state = {name: tensor.float() for name, tensor in state.items()}
    model.load_state_dict(state, strict=True, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.eval(), info


def _metadata(info: WeightsInfo) -> dict[str, str]:
    return {
        "format_version": json.dumps(FORMAT_VERSION),
        "model": info.model,
        "config": json.dumps(dict(info.config)),
        "task": info.task,
        "levels": json.dumps(list(info.levels)),
        "training_sets": json.dumps(list(info.training_sets)),
        "training_images": json.dumps(list(info.training_images)),
        "recipe": info.recipe,
        "steps": json.dumps(info.steps),
        "pixels_seen": json.dumps(info.pixels_seen),
        "patch": json.dumps(info.patch),
        "scores": json.dumps(info.scores),
        "licence": info.licence,
        "source": info.source,
    }


def save_weights(path: Path, model: RestorationModel, info: WeightsInfo) -> None:
    """Write the model's tensors and ``info`` to ``path``, whole or not at all."""
    from safetensors.torch import save

    state = {
        name: tensor.detach().to("cpu").contiguous() for name, tensor in model.state_dict().items()
    }
    write_atomically(path, save(state, metadata=_metadata(info)))


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.float32]], info: WeightsInfo) -> None:
    """Write arrays under their names in weights files, whole or not at all; without torch.

    For weights that come from elsewhere; that they fit the model is the caller's to check.

    Raises:
        WeightsError: if the file cannot be written.
    """
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        write_atomically(path, save(contiguous, metadata=_metadata(info)))
    except OSError as error:
        raise WeightsError(f"Cannot write {path}: {error.strerror}.") from None

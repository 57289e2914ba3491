"""What a weights file says about itself: the header of a safetensors file, read without torch."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.files import encodable
from memnet_cli.models import config_to_mapping
from memnet_cli.models.configs import PlainConfig
from memnet_cli.tasks import TASKS

FORMAT_VERSION = 1
_MAX_HEADER_BYTES = 16 * 1024 * 1024
_MAX_PATCH, _MAX_COUNT = 1 << 16, 1 << 63
#: What reading metadata raises that memnet did not write.
_SENSELESS = (
    UsageError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


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
class Header:
    """The header of a safetensors file.

    Attributes:
        metadata: what the writer says about the file.
        shapes: of the tensors, by name.
        dtypes: of the tensors, as safetensors calls them.
    """

    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read the JSON header of a safetensors file without touching its tensors.

    Raises:
        WeightsError: for a file that is not there, cannot be read, is no safetensors file, or is
            longer or shorter than it says.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= min(_MAX_HEADER_BYTES, path.stat().st_size):
                raise WeightsError(_not_safetensors(path))
            header = json.loads(file.read(length))
            size = file.seek(0, os.SEEK_END)
        metadata = header.pop("__metadata__", {})
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in header.items()}
        dtypes = {name: str(entry["dtype"]) for name, entry in header.items()}
        ends = [int(entry["data_offsets"][1]) for entry in header.values()]
        whole = size == len(start) + length + max(ends, default=0)
        if not whole or not all(isinstance(value, str) for value in metadata.values()):
            raise WeightsError(_not_safetensors(path))
    except FileNotFoundError:
        raise WeightsError(
            f"There is no weights file {path}; `memnet models` lists what is there."
        ) from None
    except OSError as error:
        raise WeightsError(f"Cannot read the weights file {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise WeightsError(_not_safetensors(path)) from None
    return Header(metadata, shapes, dtypes)


def _not_safetensors(path: Path) -> str:
    hint = (
        " A .pth file can be turned into one with `memnet import-torch`."
        if path.suffix in {".pth", ".pt", ".ckpt"}
        else ""
    )
    return f"{path} is not a safetensors file, or it is cut off: expected memnet weights.{hint}"


def _plain_metadata(path: Path, header: Header) -> dict[str, str]:
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
    if type(value) is not int or not 0 <= value <= _MAX_PATCH:
        raise ValueError(value)
    return value


def _count(value: int) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_COUNT:
        raise ValueError(value)
    return value


def _finite(value: float) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError(value)
    return number


def _score(values: Mapping[str, Any]) -> dict[str, float]:
    score = {name: _finite(value) for name, value in values.items()}
    if "psnr" not in score:
        raise ValueError(values)
    return score


def _scores(values: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        dataset: {level: _score(score) for level, score in levels.items()}
        for dataset, levels in values.items()
    }


def _levels(task: str, values: Sequence[object]) -> tuple[int, ...]:
    for level in values:
        if type(level) is not int:
            raise ValueError(level)
        TASKS[task].check_level(level)
    return tuple(values)  # type: ignore[arg-type]


def parse_info(path: Path, header: Header) -> WeightsInfo:
    """Return what the header of the file at ``path`` says, bare layers of VDSR and DnCNN too.

    Raises:
        WeightsError: for metadata that make no sense, or of a newer format.
    """
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
            steps=_count(parsed("steps", 0)),
            pixels_seen=_count(parsed("pixels_seen", 0)),
            patch=_side(parsed("patch", 0)),
            scores=_scores(parsed("scores", {})),
            licence=metadata.get("licence", ""),
            source=metadata.get("source", ""),
        )
    except _SENSELESS:
        raise WeightsError(
            f"The metadata of {path} cannot be understood: expected what memnet writes."
        ) from None


def metadata_of(info: WeightsInfo) -> dict[str, str]:
    """Return the metadata that :func:`parse_info` reads ``info`` from.

    Names of files that are no UTF-8 have their bytes escaped.
    """
    metadata = {
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
    return {name: encodable(text) for name, text in metadata.items()}

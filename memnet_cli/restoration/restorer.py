"""The public way to restore pictures from Python: weights, device and precision as one callable."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.checkpoints import WeightsInfo, check_purpose, load_weights
from memnet_cli.config import RuntimeOptions, TileSize, __version__
from memnet_cli.errors import UsageError
from memnet_cli.imaging.images import (
    Picture,
    picture_from_array,
    picture_from_pil,
    picture_to_array,
    picture_to_pil,
)
from memnet_cli.models.nlrn import in_patches
from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.restoration.engine import Engine, Plane
from memnet_cli.restoration.fast import fast_model, int8_model
from memnet_cli.restoration.planes import (
    RestoredParts,
    Split,
    as_it_lies,
    as_the_file_allows,
    split,
)
from memnet_cli.stores.weights import find_weights
from memnet_cli.tasks import Task, get_task

ImageOrArray = TypeVar("ImageOrArray", Image.Image, NDArray[Any])

#: The record of a picture that nothing was restored of, in a file of another format than its own.
WRITTEN_ANEW = {"Software": f"memnet {__version__}", "memnet:task": "none"}


@dataclass(frozen=True)
class Restoration:
    """One restored picture, and what the user should know about how it was made."""

    picture: Picture
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Restorer:
    """A model with its weights on a device, restoring one task.

    Made by :meth:`load`. Calling it restores a picture; the same weights give the same result
    from Python as from ``memnet restore``.

    Attributes:
        task: what it repairs.
        info: what the weights file says about itself.
        weights: the file.
        weights_hash: first 12 hex digits of the file's sha256.
        engine: model, device, precision, tiles.
    """

    task: Task
    info: WeightsInfo
    weights: Path
    weights_hash: str
    engine: Engine

    @classmethod
    def load(
        cls,
        model: str = "memnet",
        *,
        task: str,
        level: float | None = None,
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        tile: TileSize = "auto",
        tile_overlap: int | None = None,
        tta: bool = False,
        exit_block: int | None = None,
        nlrn_stride: int | None = None,
    ) -> Restorer:
        """Load weights and put the model on its device.

        Args:
            model: "memnet", "rednet", "nlrn", or the name of weights (see ``memnet models``).
            task: "sr", "denoise" or "jpeg".
            level: scale factor, noise level sigma or quality factor that default weights are chosen
                for, as ``memnet restore`` does; None takes those that are for most.
            weights: a name or a file; None takes the default weights of the model for the task.
            device: auto, cpu, cuda, cuda:N or mps.
            precision: auto, fp32, bf16, fp16, or int8 (MemNet on CPUs).
            tile: side of the tiles in pixels, "auto" or "off".
            tile_overlap: context around every tile in pixels; None takes the model's own.
            tta: average over the 8 flips and rotations: slower, a little better.
            exit_block: stop after this memory block (multi-supervised MemNet): faster.
            nlrn_stride: distance of NLRN's overlapping patches: 7 as its authors, 0 to slide its
                neighbourhood over the plane instead, None for what its training asks for.

        Raises:
            UsageError: for an unknown task, device or precision, an impossible level or option.
            WeightsError: for weights that are missing, damaged or made for another task.
            DeviceError: for a device that is not there.
        """
        chosen = get_task(task)
        if level is not None and not 0.0 < level < math.inf:
            raise UsageError(f"The level {level} is none: expected a number above 0.")
        options = RuntimeOptions(
            device, precision, tile, tile_overlap, tta, exit_block, nlrn_stride
        )
        name = None if weights is None else str(weights)
        path = find_weights(name, model=model, task=task, level=level)
        return cls.from_file(path, chosen, options)

    @classmethod
    def from_file(cls, path: Path, task: Task, options: RuntimeOptions) -> Restorer:
        """Load the weights file at ``path`` for ``task``; see :meth:`load` for what is raised."""
        check_purpose(path, task.name, options.exit_block, options.nlrn_stride)
        module, info = load_weights(path)
        module = in_patches(module, options.nlrn_stride, info.patch)
        runtime = resolve_runtime(options.device, options.precision)
        channels_last = torch.channels_last
        module = module.to(runtime.device, memory_format=channels_last)  # type: ignore[call-overload]
        fast = int8_model(module, runtime, task) if runtime.precision == "int8" else None
        if fast is None:
            runtime = runtime.without_int8
            fast = fast_model(module, runtime)
        engine = Engine(
            model=module,
            runtime=runtime,
            tile=options.tile,
            overlap=module.halo if options.tile_overlap is None else options.tile_overlap,
            tta=options.tta,
            exit_block=options.exit_block,
            fast=fast,
        )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(task, info, path, digest[:12], engine)

    def __call__(
        self, image: ImageOrArray, *, scale: float | None = None, chroma: bool = False
    ) -> ImageOrArray:
        """Restore one picture and return the same kind of object.

        Args:
            image: a PIL image, or an array (H, W) or (H, W, 1 to 4), 2 being grey and alpha, of
                uint8, uint16 or float in [0, 1]; alpha is kept. The result has the same dtype and
                number of channels.
            scale: for task "sr" the enlargement; needed there, and an error elsewhere.
            chroma: for task "jpeg" restore Cb and Cr too.

        Raises:
            UsageError: for a scale or option that does not go with the task.
            ImageError: for an array that is no picture.
        """
        if isinstance(image, Image.Image):
            picture = picture_from_pil(image)
            return picture_to_pil(self.restore([picture], scale=scale, chroma=chroma)[0].picture)
        picture = picture_from_array(image)
        restored = self.restore([picture], scale=scale, chroma=chroma)[0].picture
        array = picture_to_array(restored, image.dtype)
        return array[:, :, 0] if image.ndim == 2 else array

    def restore(
        self, pictures: Sequence[Picture], *, scale: float | None = None, chroma: bool = False
    ) -> list[Restoration]:
        """Restore pictures of any sizes together; tiles of equal size share a batch.

        Raises:
            UsageError: for a scale or option that does not go with the task.
            ImageError: if a result is not finite in float32 either.
            DeviceError: if memory does not suffice for the smallest tile.
        """
        parts = [self.take_apart(picture, scale=scale, chroma=chroma) for picture in pictures]
        return [
            Restoration(done.together(scaled_shape(p.height, p.width, scale)), done.notes)
            for p, done in zip(pictures, self.restore_parts(parts), strict=True)
        ]

    def take_apart(
        self, picture: Picture, *, scale: float | None = None, chroma: bool = False
    ) -> Split:
        """Return the planes that are to be restored, and what is around them.

        Raises:
            UsageError: for a scale or option that does not go with the task.
        """
        self.task.check_options(scale, chroma)
        return split(picture, self.task, scale=self.trained_scale(scale), chroma=chroma)

    def restore_parts(self, parts: Sequence[Split]) -> list[RestoredParts]:
        """Restore pictures that were taken apart; tiles of equal size share a batch.

        Luma and chroma of a JPEG file at hand are such that it could have been made of them.

        Raises:
            ImageError, DeviceError: as :meth:`restore` does.
        """
        shown = [as_it_lies(part, plane) for part in parts for plane in part.planes]
        planes = iter(self.engine.restore(shown))
        results = []
        for part in parts:
            own = [next(planes) for _ in part.channels]
            notes = tuple(dict.fromkeys(note for item in own for note in item.notes))
            done = [as_it_lies(part, item.plane) for item in own]
            results.append(RestoredParts(part, as_the_file_allows(part, done), notes))
        return results

    @property
    def trained_range(self) -> tuple[int, int]:
        """Smallest and largest level that the weights were trained for."""
        return self.task.trained_range(self.info.levels)

    def trained_scale(self, scale: float | None) -> int:
        """Return the scale that the model runs at: the trained one nearest to ``scale``.

        The larger of two that are equally near; 1 for tasks that do not enlarge.
        """
        if scale is None:
            return 1
        levels = self.info.levels or self.task.levels
        return min(sorted(levels, reverse=True), key=lambda level: abs(level - scale))

    def restore_plane(self, degraded: Plane) -> Plane:
        """Restore one (H, W) float32 plane in [0, 1], for sr already enlarged; not clipped.

        What the benchmark measures: the model and nothing around it.
        """
        return self.engine.restore([np.asarray(degraded, dtype=np.float32)])[0].plane

    def verify_tiles(self, picture: Picture, *, scale: float | None, chroma: bool) -> float:
        """Return the largest difference, over pixels and channels, of tiled against whole.

        In [0, 1]. Where the tile would hold the whole picture, half of its longer side is taken.
        """
        trained = self.trained_scale(scale)  # the size that the network sees
        shape = (picture.height * trained, picture.width * trained)
        side, longer = self.engine.tile_side(*shape), max(shape)
        if side >= longer:
            side = max(longer // 2 + self.engine.overlap, 2 * self.engine.overlap + 16)
        results = [
            replace(self, engine=replace(self.engine, tile=tile))
            .restore([picture], scale=scale, chroma=chroma)[0]
            .picture.pixels
            for tile in (side, "off")
        ]
        return float(np.abs(results[0] - results[1]).max())

    def provenance(
        self,
        *,
        scale: float | None = None,
        chroma: bool = False,
        before: Restorer | None = None,
    ) -> dict[str, str]:
        """Return how a picture was made, as it is recorded in the output's metadata.

        ``before`` is what restored it first, if anything did.
        """
        used = [self] if before is None else [before, self]
        engine = self.engine
        options = {
            "scale": None if scale is None else f"{scale:g}",
            "chroma": "yes" if chroma else None,
            "tta": "yes" if engine.tta else None,
            "exit-block": engine.exit_block,
            "nlrn-stride": getattr(engine.model, "stride", None),
            "precision": engine.runtime.precision,
        }
        return {
            "Software": f"memnet {__version__}",
            "memnet:task": ", ".join(one.task.name for one in used),
            "memnet:model": ", ".join(one.info.model for one in used),
            "memnet:weights": ", ".join(
                f"{one.weights.stem} sha256:{one.weights_hash}" for one in used
            ),
            "memnet:options": " ".join(f"{key}={value}" for key, value in options.items() if value),
        }


def scaled_shape(height: int, width: int, scale: float | None) -> tuple[int, int]:
    """Return the (height, width) that a picture has once it is restored."""
    factor = scale or 1.0
    return max(1, round(height * factor)), max(1, round(width * factor))

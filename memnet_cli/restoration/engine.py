"""Planes in, planes out: tiles, batches, precision and what to do when memory runs out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from memnet_cli.config import TileSize
from memnet_cli.errors import DeviceError, ImageError
from memnet_cli.models.base import RestorationModel
from memnet_cli.restoration import memory
from memnet_cli.restoration.devices import Runtime
from memnet_cli.restoration.fast import FastModel
from memnet_cli.restoration.tiling import Tile, plan_tiles
from memnet_cli.restoration.views import VIEWS, turned, turned_back

Plane = NDArray[np.float32]
#: Tiles that are run at once, each with the number of its plane.
_Batch = list[tuple[int, Tile]]

#: Tiles are joined into one batch up to this many pixels: enough to fill the device's units.
_BATCH_PIXELS = {"cpu": 1 << 15, "cuda": 1 << 22, "mps": 1 << 20}
#: A plane of so many pixels fits everywhere.
_SMALL = 192 * 192
_CHECK_BLOCK = 32
#: Planes with a side below the one are padded by the other on every side.
_TINY, _PADDED = 8, 8
_DARK, _LIT, _SHIFT = 0.01, 0.15, 0.20
NOT_FINITE = "not finite"


@dataclass(frozen=True)
class Restored:
    """One restored plane and what had to be done for it beyond the usual."""

    plane: Plane
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """A model on its device, and how pictures are cut for it.

    Attributes:
        model: in eval mode, on ``runtime.device``.
        runtime: device and precision.
        tile: side of the tiles, "auto" or "off".
        overlap: context around every tile, pixels.
        tta: average over the 8 flips and rotations.
        exit_block: stop after this memory block, or None.
        fast: does what ``model`` does in the precision of ``runtime``, faster; or None.
    """

    model: RestorationModel
    runtime: Runtime
    tile: TileSize
    overlap: int
    tta: bool
    exit_block: int | None
    fast: FastModel | None = None

    @cached_property
    def bytes_per_pixel(self) -> float:
        """Bytes that the model needs at once for a pixel; it restores a small plane to find out."""
        dtype = self.runtime.dtype
        return memory.peak_bytes_per_pixel(self.model, dtype, fused=self.fast is not None)

    @property
    def batch_pixels(self) -> int:
        """Pixels up to which tiles are joined into one batch on this device."""
        return _BATCH_PIXELS[self.runtime.device.type]

    def tile_side(self, height: int, width: int) -> int:
        """Return the side of the tiles for a (height, width) plane; its longer side if whole."""
        whole = max(height, width)
        if self.tile == "off":
            return whole
        if isinstance(self.tile, int):
            return self.tile
        if height * width <= _SMALL:
            return whole
        side = memory.largest_tile(self.bytes_per_pixel, self.runtime.device, self.overlap)
        if self.model.largest_tile is not None:
            side = min(side, self.model.largest_tile)
        return whole if height * width <= side * side else side

    def restore(self, planes: Sequence[Plane]) -> list[Restored]:
        """Restore (H, W) float32 planes of any sizes; range [0, 1] in, not clipped out.

        Tiles of equal size are run as batches, also across planes. On an out-of-memory error the
        batches are made smaller, and then the tile is halved. A plane that comes back not finite,
        black or shifted is done once more in float32.

        Raises:
            DeviceError: if even the smallest tile does not fit into memory.
            ImageError: if a plane is not finite in float32 either.
        """
        restored = self._restore_padded(planes)
        faults = [fault(a, b.plane) for a, b in zip(planes, restored, strict=True)]
        for index, found in enumerate(faults):
            if found:
                restored[index] = self._redo(planes[index], restored[index], found)
        return restored

    def _restore_padded(self, planes: Sequence[Plane]) -> list[Restored]:
        """Restore planes, those of a few pixels mirrored on all sides: networks darken them."""
        tiny = [min(plane.shape) < _TINY for plane in planes]
        shown = [
            np.pad(plane, _PADDED, mode="symmetric") if padded else plane
            for plane, padded in zip(planes, tiny, strict=True)
        ]
        restored = self._restore_until_it_fits(shown, self.runtime)
        inner = slice(_PADDED, -_PADDED)
        return [
            replace(done, plane=done.plane[inner, inner].copy()) if padded else done
            for done, padded in zip(restored, tiny, strict=True)
        ]

    def _redo(self, degraded: Plane, first: Restored, found: str) -> Restored:
        if self.runtime.precision == "fp32":
            if found == NOT_FINITE:
                raise ImageError(
                    "The restored picture is not finite in float32: the weights do not fit it."
                )
            return Restored(first.plane, (*first.notes, f"result is {found}"))
        exact = Runtime(self.runtime.device, "fp32")
        again = self._restore_until_it_fits([degraded], exact)[0]
        left = fault(degraded, again.plane)
        if left == NOT_FINITE:
            raise ImageError(
                f"The restored picture is not finite in {self.runtime.precision} and in float32."
            )
        note = f"result in {self.runtime.precision} was {found}: done again in float32"
        return Restored(again.plane, (*again.notes, note, *([f"result is {left}"] if left else [])))

    def _restore_until_it_fits(self, planes: Sequence[Plane], runtime: Runtime) -> list[Restored]:
        sides = [self.tile_side(plane.shape[0], plane.shape[1]) for plane in planes]
        limit = self._batch_limit(planes)
        notes: tuple[str, ...] = ()
        while True:
            tiles = [
                plan_tiles(plane.shape[0], plane.shape[1], side, self.overlap, self.model.grid)
                for plane, side in zip(planes, sides, strict=True)
            ]
            results = [np.empty_like(plane) for plane in planes]
            batch: _Batch = []
            try:
                for batch in _batches(tiles, limit):
                    self._run(batch, planes, results, runtime)
                return [Restored(plane, notes) for plane in results]
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            if runtime.device.type == "cuda":
                torch.cuda.empty_cache()
            limit = sum(math.prod(tile.shape) for _, tile in batch) // 4
            if len(batch) > 1:
                continue
            largest = max(sides)
            halved = largest // 2
            # what is kept of a tile, and both overlaps, are whole squares of the grid
            if halved < 2 * self.overlap + 3 * self.model.grid - 2:
                raise DeviceError(
                    f"Not enough memory on {runtime.device} even for a tile of {largest} pixels: "
                    "give a smaller --tile-overlap, or --device cpu."
                )
            sides = [min(side, halved) for side in sides]
            notes = (f"out of memory: tile halved to {halved}",)

    def _batch_limit(self, planes: Sequence[Plane]) -> int:
        """Return the pixels up to which tiles are joined: what the device fills, and can hold."""
        limit = self.batch_pixels
        if min(limit, sum(plane.size for plane in planes)) <= _SMALL:
            return limit
        side = memory.largest_tile(self.bytes_per_pixel, self.runtime.device, self.overlap)
        return min(limit, side * side)

    def _run(
        self, batch: _Batch, planes: Sequence[Plane], results: Sequence[Plane], runtime: Runtime
    ) -> None:
        """Put what is restored of the tiles into the results."""
        windows = np.stack([planes[index][tile.window] for index, tile in batch])
        for (index, tile), output in zip(batch, self._forward(windows, runtime), strict=True):
            results[index][tile.kept] = output[tile.kept_in_window]

    @torch.inference_mode()
    def _forward(self, windows: NDArray[np.float32], runtime: Runtime) -> NDArray[np.float32]:
        """Run (N, H, W) windows through the model; float32 in and out, in host memory."""
        batch = torch.from_numpy(windows).unsqueeze(1).to(runtime.device)
        if self.fast is not None and runtime.precision == self.runtime.precision:
            fast, block = self.fast, self.exit_block
            output = _ensembled(lambda x: fast(x, block), batch, self.tta)
        else:
            with _autocast(runtime):
                output = _ensembled(self._model, batch, self.tta)
        result: NDArray[np.float32] = output.squeeze(1).float().cpu().numpy()
        return result

    def _model(self, batch: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor
        if self.exit_block is None:
            output = self.model(batch)
        else:  # only MemNet takes it, which check_purpose saw to
            output = self.model(batch, exit_block=self.exit_block)
        return output


def _batches(tiles: Sequence[Sequence[Tile]], limit: int) -> Iterator[_Batch]:
    """Yield batches, each of one window size and of ``limit`` pixels at most, or of one tile."""
    flat = [(index, tile) for index, of_plane in enumerate(tiles) for tile in of_plane]
    flat.sort(key=lambda item: item[1].shape)
    for (height, width), group in groupby(flat, key=lambda item: item[1].shape):
        members = list(group)
        size = max(1, limit // (height * width))
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _autocast(runtime: Runtime) -> AbstractContextManager[object]:
    if runtime.dtype == torch.float32:
        return nullcontext()
    return torch.autocast(runtime.device.type, dtype=runtime.dtype)


def _ensembled(
    model: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor, tta: bool
) -> torch.Tensor:
    return _self_ensemble(model, batch) if tta else model(batch)


def _self_ensemble(
    model: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor
) -> torch.Tensor:
    """Average over the 8 flips and rotations of (N, 1, H, W), each undone after the model.

    Timofte et al., CVPR 2016, section 3.5; the "multi-view testing" of the RED-Net paper.
    """
    total = torch.zeros_like(batch)
    for view in range(VIEWS):
        total += turned_back(model(turned(batch, view)).float(), view)
    return total / VIEWS


def out_of_memory(error: BaseException) -> bool:
    """Say whether the error means that an allocation failed, on any device."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        sign in text
        for sign in (
            "out of memory",
            "can't allocate memory",
            "not enough memory",
            "could not create a memory",
            "NNPACK",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "CUDNN_STATUS_ALLOC_FAILED",
        )
    )


def fault(degraded: Plane, restored: Plane) -> str | None:
    """Name what is wrong with a restored plane as a whole, or None.

    No repair moves the mean over 32x32 pixels by much: a block that goes black or shifts by more
    than 0.2 is a failure of arithmetic. Planes smaller than a block are only checked to be finite.
    """
    if not np.isfinite(restored).all():
        return NOT_FINITE
    if min(degraded.shape) < _CHECK_BLOCK:
        return None
    before, after = _block_means(degraded), _block_means(restored)
    if bool(((after < _DARK) & (before > _LIT)).any()):
        return "black where the input is not"
    if float(np.abs(after - before).max()) > _SHIFT:
        return "shifted in brightness or colour"
    return None


def _block_means(plane: Plane) -> NDArray[np.float64]:
    height, width = (side // _CHECK_BLOCK for side in plane.shape)
    blocks = plane[: height * _CHECK_BLOCK, : width * _CHECK_BLOCK]
    shape = (height, _CHECK_BLOCK, width, _CHECK_BLOCK)
    means: NDArray[np.float64] = blocks.reshape(shape).mean(axis=(1, 3), dtype=np.float64)
    return means

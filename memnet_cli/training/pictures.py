"""The training pictures as one tensor on the device, and patches cut out of it in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from memnet_cli.evaluation.benchmark import read_uint8
from memnet_cli.evaluation.protocols import grey_uint8
from memnet_cli.imaging.color import luma_uint8, rgb_to_opponent
from memnet_cli.imaging.degradations import crop_to_multiple
from memnet_cli.imaging.resize import imresize
from memnet_cli.stores.datasets import DatasetImage
from memnet_cli.tasks import Task
from memnet_cli.training.recipe import Recipe

Plane = NDArray[np.uint8]

#: Distinguishes the random mixes of colours from all else that is random.
_MIXES = 3


@dataclass(frozen=True)
class Pictures:
    """All planes, one after the other, as 8-bit values on the device.

    Attributes:
        pixels: (total,) uint8.
        starts, heights, widths: (N,) int64 on the device.
        planes: the same pictures on the host, (H, W) each.
    """

    pixels: Tensor
    starts: Tensor
    heights: Tensor
    widths: Tensor
    planes: tuple[Plane, ...]

    def cut(
        self, picture: Tensor, top: Tensor, left: Tensor, side: int, multiple: int = 1
    ) -> Tensor:
        """Return (B, side, side) float32 in [0, 1]; mirrored beyond the edges of the pictures.

        Args:
            picture, top, left: (B,) int64; corners may lie outside.
            side: of the square.
            multiple: of which the sides of the pictures are, what is beyond does not count.
        """
        heights, widths = (
            sides - sides % multiple for sides in (self.heights[picture], self.widths[picture])
        )
        along = torch.arange(side, device=self.pixels.device)
        y = _mirrored(top[:, None] + along, heights[:, None])
        x = _mirrored(left[:, None] + along, widths[:, None])
        start = self.starts[picture]
        index = start[:, None, None] + (y * self.widths[picture, None])[:, :, None] + x[:, None, :]
        return self.pixels[index].float() / 255.0


def _mirrored(index: Tensor, length: Tensor) -> Tensor:
    """Fold indices back at the edges, the edge pixel twice, as MATLAB's imresize does."""
    folded = index.remainder(2 * length)
    return torch.where(folded < length, folded, 2 * length - 1 - folded)


def read_planes(
    images: Sequence[DatasetImage],
    task: Task,
    recipe: Recipe,
) -> list[Plane]:
    """Read the plane that the task restores from every picture, with the copies of the recipe.

    Grey for denoise and luma for sr and jpeg, as the benchmark makes them.

    Args:
        images: the pictures.
        task: that is trained.
        recipe: ``sizes``, ``turns``, ``mixed`` and ``contrasts`` of the copies.

    Raises:
        ImageError: for a file that is no usable picture.
    """
    planes = []
    for number, image in enumerate(images):
        pixels = read_uint8(image)
        plane = grey_uint8(pixels) if task.name == "denoise" else luma_uint8(pixels)
        for copy in _copies(plane, pixels, recipe, np.random.default_rng([_MIXES, number])):
            planes += [np.ascontiguousarray(_contrasted(copy, gain)) for gain in recipe.contrasts]
    return planes


def read_chroma(images: Sequence[DatasetImage], task: Task, recipe: Recipe) -> list[Plane]:
    """Read the two planes beside luma that are restored of every picture in colour.

    Of jpeg Cb and Cr as a file of 4:2:0 has them, means of 2x2 pixels in the full range of JFIF; of
    denoise the colour differences of :func:`memnet_cli.imaging.color.rgb_to_opponent`, clipped. At
    every one of the recipe's ``sizes``.

    Args:
        images: the pictures.
        task: jpeg or denoise.
        recipe: that it is for.

    Raises:
        ImageError: for a file that is no usable picture.
    """
    chroma = _chroma_halves if task.name == "jpeg" else _colour_differences
    planes = []
    for image in images:
        pixels = read_uint8(image)
        if pixels.ndim == 3 and pixels.shape[2] == 3:
            for values in np.moveaxis(chroma(pixels), 2, 0):
                rounded = np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
                plane = np.ascontiguousarray(rounded)
                planes += [plane if size == 1.0 else _resized(plane, size) for size in recipe.sizes]
    return planes


def _chroma_halves(rgb: Plane) -> NDArray[np.float64]:
    even = crop_to_multiple(rgb, 2)
    ycbcr = np.asarray(Image.fromarray(even).convert("YCbCr"), np.float64)
    height, width = (side // 2 for side in even.shape[:2])
    halves: NDArray[np.float64] = ycbcr.reshape(height, 2, width, 2, 3).mean((1, 3))
    return halves[:, :, 1:]


def _colour_differences(rgb: Plane) -> NDArray[np.float64]:
    return rgb_to_opponent(rgb / 255.0)[:, :, 1:] * 255.0


def _copies(
    plane: Plane, pixels: Plane, recipe: Recipe, rng: np.random.Generator
) -> Iterator[Plane]:
    """Yield the plane at every size, and turned where it is shrunk, which hides that it was.

    Those that are shrunk may be other mixes of the (H, W, 3) pixels than the plane is.
    """

    def source() -> Plane:
        return _mixed(pixels, rng) if rng.random() < recipe.mixed else plane

    for size in recipe.sizes:
        yield plane if size == 1.0 else _resized(source(), size)
    smaller = [size for size in recipe.sizes if size < 1.0]
    for degrees in recipe.turns:
        turned = _turned(source(), degrees)
        for size in smaller:
            yield _resized(turned, size)


def _mixed(pixels: Plane, rng: np.random.Generator) -> Plane:
    """Return grey made of R, G and B in any proportion; grey pixels stay what they are."""
    channels = pixels.shape[2]
    values = pixels.astype(np.float64) @ rng.dirichlet(np.ones(channels))
    rounded: Plane = np.floor(values + 0.5).astype(np.uint8)
    return rounded


def _turned(plane: Plane, degrees: float) -> Plane:
    """Turn about the middle, at the same size; corners are filled by mirroring the edges."""
    from skimage.transform import rotate

    values = rotate(plane, degrees, order=3, mode="symmetric", preserve_range=True)
    rounded: Plane = np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
    return rounded


def _contrasted(plane: Plane, gain: float) -> Plane:
    """Return the plane with its distances to its mean that many times as large, clipped."""
    changed: Plane = np.asarray(ImageEnhance.Contrast(Image.fromarray(plane)).enhance(gain))
    return changed


def _resized(plane: Plane, size: float) -> Plane:
    smaller = np.floor(imresize(plane.astype(np.float64), scale=size) + 0.5)
    rounded: Plane = np.clip(smaller, 0, 255).astype(np.uint8)
    return rounded


def load_pictures(planes: Sequence[Plane], device: torch.device) -> Pictures:
    """Put the planes on the device."""
    sizes = np.array([plane.shape for plane in planes], np.int64).reshape(-1, 2)
    starts = np.cumsum([0, *(plane.size for plane in planes)])[:-1]
    pixels = np.concatenate([plane.ravel() for plane in planes])
    return Pictures(
        pixels=torch.from_numpy(pixels).to(device),
        starts=torch.from_numpy(starts.astype(np.int64)).to(device),
        heights=torch.from_numpy(sizes[:, 0].copy()).to(device),
        widths=torch.from_numpy(sizes[:, 1].copy()).to(device),
        planes=tuple(
            pixels[start : start + plane.size].reshape(plane.shape)
            for start, plane in zip(starts, planes, strict=True)
        ),
    )

"""Which planes of a picture a task restores, and how the picture is put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.color import rgb_to_ycbcr, ycbcr_to_rgb
from memnet_cli.imaging.images import Picture
from memnet_cli.imaging.resize import imresize
from memnet_cli.tasks import Task

Plane = NDArray[np.float32]

#: Colours are converted, in float64, for as many rows at a time as have about so many pixels.
_BLOCK_PIXELS = 1 << 20


@dataclass(frozen=True)
class Split:
    """A picture taken apart.

    Attributes:
        picture: enlarged to the trained scale for sr, else as it came.
        channels: those that are restored, of grey, RGB or YCbCr.
        planes: these channels, (H, W) float32, in [0, 1] but for the bicubic overshoot.
        in_ycbcr: whether the channels are those of YCbCr.
    """

    picture: Picture
    channels: tuple[int, ...]
    planes: tuple[Plane, ...]
    in_ycbcr: bool


def enlarge(picture: Picture, shape: tuple[int, int]) -> Picture:
    """Resize a picture and its alpha bicubically to (height, width); not clipped."""
    if shape == (picture.height, picture.width):
        return picture
    alpha = picture.alpha
    if alpha is not None:
        alpha = np.clip(imresize(alpha, shape=shape), 0.0, 1.0).astype(np.float32)
    pixels = imresize(picture.pixels, shape=shape).astype(np.float32)
    return replace(picture, pixels=pixels, alpha=alpha)


def split(picture: Picture, task: Task, *, scale: int = 1, chroma: bool = False) -> Split:
    """Take a picture apart for ``task``.

    Super-resolution enlarges it bicubically by ``scale`` and restores luma; deblocking restores
    luma, with ``chroma`` Cb and Cr too; denoising restores every RGB channel, since noise is
    independent in them. Grey is restored as it is.
    """
    if scale != 1:
        picture = enlarge(picture, (picture.height * scale, picture.width * scale))
    if picture.is_grey:
        return _taken_apart(picture, (0,), in_ycbcr=False)
    if task.restores == "channels":
        return _taken_apart(picture, (0, 1, 2), in_ycbcr=False)
    return _taken_apart(picture, (0, 1, 2) if chroma else (0,), in_ycbcr=True)


def _taken_apart(picture: Picture, channels: tuple[int, ...], *, in_ycbcr: bool) -> Split:
    planes = tuple(np.empty((picture.height, picture.width), np.float32) for _ in channels)
    for rows in _blocks(picture):
        block = picture.pixels[rows]
        colours = rgb_to_ycbcr(block) if in_ycbcr else block
        for channel, plane in zip(channels, planes, strict=True):
            plane[rows] = colours[:, :, channel]
    return Split(picture, channels, planes, in_ycbcr)


def _blocks(picture: Picture) -> Iterator[slice]:
    height = max(1, _BLOCK_PIXELS // picture.width)
    for top in range(0, picture.height, height):
        yield slice(top, top + height)


def merge(parts: Split, restored: Sequence[Plane], shape: tuple[int, int]) -> Picture:
    """Put restored planes back in place and bring the picture to ``shape``; clipped to [0, 1]."""
    pixels = np.empty_like(parts.picture.pixels)
    for rows in _blocks(parts.picture):
        before = parts.picture.pixels[rows]
        colours = rgb_to_ycbcr(before) if parts.in_ycbcr else before.copy()
        for channel, plane in zip(parts.channels, restored, strict=True):
            colours[:, :, channel] = plane[rows]
        pixels[rows] = ycbcr_to_rgb(colours) if parts.in_ycbcr else colours
    picture = enlarge(replace(parts.picture, pixels=pixels), shape)
    np.clip(picture.pixels, 0.0, 1.0, out=picture.pixels)
    return picture

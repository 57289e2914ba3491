"""Which planes of a picture a task restores, and how the picture is put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.color import (
    opponent_to_rgb,
    rgb_to_opponent,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from memnet_cli.imaging.consistency import consistent
from memnet_cli.imaging.images import Picture
from memnet_cli.imaging.picture import JpegBlocks
from memnet_cli.imaging.quantisation import earlier_quality, jpeg_quality
from memnet_cli.imaging.resize import imresize
from memnet_cli.tasks import Task

Plane = NDArray[np.float32]
Convert = Callable[[NDArray[Any]], NDArray[Any]]

#: Black and white of MATLAB's YCbCr; those of a JPEG file are 0 and 255.
_STUDIO = (16.0, 235.0)
#: Qualities that are told of tables and of pixels differ by as much where they are the same.
_SAME_QUALITY = 5
#: Colours are converted, in float64, for as many rows at a time as have about so many pixels.
_BLOCK_PIXELS = 1 << 20


@dataclass(frozen=True)
class Space:
    """Colours in which planes are restored: both ways from and to a picture's own, (H, W, C)."""

    of: Convert
    back: Convert


_OWN = Space(np.array, np.asarray)
_YCBCR = Space(rgb_to_ycbcr, ycbcr_to_rgb)
_OPPONENT = Space(rgb_to_opponent, opponent_to_rgb)


@dataclass(frozen=True)
class Split:
    """A picture taken apart.

    Attributes:
        picture: enlarged to the trained scale for sr, else as it came.
        blocks: for jpeg, how the file holds luma, if the picture came from one and was no other
            JPEG before; see :func:`file_blocks`.
        lying: for jpeg, whether the picture lies on its side in the file, and with it the table
            that networks know.
        space: grey as it is, YCbCr or opponent colours.
        channels: those of ``space`` that are restored.
        planes: these channels, (H, W) float32, in [0, 1] but for the bicubic overshoot and
            saturated opponent colours; Cb and Cr of a subsampled JPEG at the size of its own.
    """

    picture: Picture
    space: Space
    channels: tuple[int, ...]
    planes: tuple[Plane, ...]
    blocks: JpegBlocks | None = None
    lying: bool = False


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
    luma, with ``chroma`` Cb and Cr too, as many samples of them as a subsampled JPEG holds, since
    its blocks are 8x8 of these; denoising restores the mean of R, G and B and two colour
    differences, between which noise is as independent as between the channels. Grey is restored
    as it is, and colour differences that are the same all over are left alone: a grey picture
    that is stored in colour stays grey.
    """
    if scale != 1:
        picture = enlarge(picture, (picture.height * scale, picture.width * scale))
    if picture.is_grey:
        parts = _taken_apart(picture, _OWN, (0,))
    elif task.restores == "colours":
        parts = _taken_apart(picture, _OPPONENT, (0, 1, 2))
    else:
        parts = _taken_apart(picture, _YCBCR, (0, 1, 2) if chroma else (0,))
    if task.name != "jpeg" or picture.source.luma_blocks is None:
        return parts
    lying = picture.source.luma_blocks.lying
    return replace(parts, blocks=file_blocks(picture), lying=lying)


def as_it_lies(parts: Split, plane: Plane) -> Plane:
    """Return a plane as it lies in the file, or such a plane as it stands; up to a flip."""
    return np.ascontiguousarray(plane.T) if parts.lying else plane


def _taken_apart(picture: Picture, space: Space, channels: tuple[int, ...]) -> Split:
    planes = tuple(np.empty((picture.height, picture.width), np.float32) for _ in channels)
    for rows in _blocks(picture):
        colours = space.of(picture.pixels[rows])
        for channel, plane in zip(channels, planes, strict=True):
            plane[rows] = colours[:, :, channel]
    steps = picture.source.chroma_step if space is _YCBCR else (1, 1)
    kept = [
        (channel, _every(plane, steps) if channel else plane)
        for channel, plane in zip(channels, planes, strict=True)
        if channel == 0 or float(np.ptp(plane)) > 0.0
    ]
    return Split(picture, space, tuple(c for c, _ in kept), tuple(p for _, p in kept))


def _blocks(picture: Picture) -> Iterator[slice]:
    height = max(1, _BLOCK_PIXELS // picture.width)
    for top in range(0, picture.height, height):
        yield slice(top, top + height)


def file_blocks(picture: Picture) -> JpegBlocks | None:
    """Return how a JPEG holds luma, if that is all the damage that can be told.

    None for other pictures, and for a JPEG of what was a worse one before: a clean picture is not
    among those of which the last file could have been made.
    """
    blocks = picture.source.luma_blocks
    if blocks is None:
        return None
    earlier = earlier_quality(picture.pixels)
    worse = earlier is not None and earlier < jpeg_quality(blocks.table) - _SAME_QUALITY
    return None if worse else blocks


def as_the_file_allows(parts: Split, blocks: JpegBlocks, luma: Plane) -> Plane:
    """Return the luma nearest to the restored one of which the picture's JPEG could be made.

    Args:
        parts: of YCbCr or grey, luma the first of its planes.
        blocks: of the file.
        luma: restored, on the scale of that.
    """
    low, high = _STUDIO if parts.space is _YCBCR else (0.0, 255.0)
    black, step = np.float32(low / 255.0), np.float32((high - low) / 255.0**2)
    restored, decoded = ((plane - black) / step for plane in (luma, parts.planes[0]))
    nearest: Plane = consistent(restored, decoded, blocks) * step + black
    return nearest


def _every(plane: Plane, steps: tuple[int, int]) -> Plane:
    """Return the means of rectangles of ``steps`` pixels; the last ones may hang over the edge."""
    if steps == (1, 1):
        return plane
    rows, columns = steps
    over = [(0, -side % step) for side, step in zip(plane.shape, steps, strict=True)]
    whole = np.pad(plane, over, mode="edge")
    height, width = whole.shape[0] // rows, whole.shape[1] // columns
    means: Plane = whole.reshape(height, rows, width, columns).mean((1, 3))
    return means


def _at_every_pixel(plane: Plane, picture: Picture) -> Plane:
    """Enlarge a restored plane bicubically to the picture's size, if it is smaller."""
    if plane.shape == (picture.height, picture.width):
        return plane
    rows, columns = picture.source.chroma_step
    larger = imresize(plane, shape=(plane.shape[0] * rows, plane.shape[1] * columns))
    return larger[: picture.height, : picture.width].astype(np.float32)


def merge(parts: Split, planes: Sequence[Plane], shape: tuple[int, int]) -> Picture:
    """Put restored planes back in place and bring the picture to ``shape``; clipped to [0, 1]."""
    restored = [_at_every_pixel(plane, parts.picture) for plane in planes]
    pixels = np.empty_like(parts.picture.pixels)
    for rows in _blocks(parts.picture):
        colours = parts.space.of(parts.picture.pixels[rows])
        for channel, plane in zip(parts.channels, restored, strict=True):
            colours[:, :, channel] = plane[rows]
        pixels[rows] = parts.space.back(colours)
    picture = enlarge(replace(parts.picture, pixels=pixels), shape)
    np.clip(picture.pixels, 0.0, 1.0, out=picture.pixels)
    return picture

"""Which planes of a picture a task restores, and how the picture is put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.back_projection import back_projected
from memnet_cli.imaging.consistency import weighed
from memnet_cli.imaging.hidden import hidden_again, hidden_colour, with_nearest_colours
from memnet_cli.imaging.images import Picture
from memnet_cli.imaging.picture import JpegBlocks, as_shown
from memnet_cli.imaging.quantisation import earlier_quality, jpeg_quality
from memnet_cli.imaging.resize import imresize
from memnet_cli.imaging.subsampling import at_every_pixel, file_samples
from memnet_cli.restoration.spaces import JPEG, OPPONENT, OWN, YCBCR, Space, within_reach
from memnet_cli.tasks import Task

Plane = NDArray[np.float32]

#: What 0 and 255 of a JPEG file are in Y of MATLAB's YCbCr; they are themselves in all else.
_STUDIO, _FULL = (16.0, 235.0), (0.0, 255.0)
#: Qualities that are told of tables and of pixels differ by as much where they are the same.
_SAME_QUALITY = 5
#: Colours are converted, in float64, for as many rows at a time as have about so many pixels.
_BLOCK_PIXELS = 1 << 20


@dataclass(frozen=True)
class Split:
    """A picture taken apart.

    Attributes:
        picture: enlarged to the trained scale for sr, else as it came; what alpha hides in one
            colour has those of the nearest pixels that are seen.
        blocks: for jpeg, how the file holds each of the planes, None where that cannot be told;
            empty if the picture came from none or was another JPEG before.
        lying: for jpeg, whether the picture lies on its side in the file, and with it the table
            that networks know.
        hidden: that colour, (C,).
        bounds: for sr, the least and the most that the luma can have been before it was enlarged,
            (h, w) float32 each, infinite where the picture was cut off at black or white.
        space: grey as it is, YCbCr, with the chroma of a JPEG file or without, or opponent colours.
        channels: those of ``space`` that are restored.
        planes: these channels, (H, W) float32, in [0, 1] but for noise and the bicubic overshoot;
            Cb and Cr of a subsampled JPEG at the size of its own.
    """

    picture: Picture
    space: Space
    channels: tuple[int, ...]
    planes: tuple[Plane, ...]
    blocks: tuple[JpegBlocks | None, ...] = ()
    lying: bool = False
    hidden: NDArray[np.float32] | None = None
    bounds: tuple[Plane, Plane] | None = None


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
    hidden = hidden_colour(picture)
    if hidden is not None:
        picture = with_nearest_colours(picture)
    bounds = None
    if scale != 1:
        bounds = _bounds(picture)
        picture = enlarge(picture, (picture.height * scale, picture.width * scale))
    if picture.is_grey:
        parts = _taken_apart(picture, OWN, (0,))
    elif task.restores == "colours":
        parts = _taken_apart(as_shown(picture), OPPONENT, (0, 1, 2))
    else:
        parts = _taken_apart(picture, *((JPEG, (0, 1, 2)) if chroma else (YCBCR, (0,))))
    parts = replace(parts, hidden=hidden, bounds=bounds)
    if task.name != "jpeg" or picture.source.luma_blocks is None:
        return parts
    lying = picture.source.luma_blocks.lying
    return replace(parts, blocks=_file_blocks(parts), lying=lying)


def as_it_lies(parts: Split, plane: Plane) -> Plane:
    """Return a plane as it lies in the file, or such a plane as it stands; up to a flip."""
    return np.ascontiguousarray(plane.T) if parts.lying else plane


def _taken_apart(picture: Picture, space: Space, channels: tuple[int, ...]) -> Split:
    planes = tuple(np.empty((picture.height, picture.width), np.float32) for _ in channels)
    for rows in _blocks(picture):
        colours = space.of(picture.pixels[rows])
        for channel, plane in zip(channels, planes, strict=True):
            plane[rows] = colours[:, :, channel]
    if space is OPPONENT:
        space = within_reach(planes)
    step = picture.source.chroma_step if space is JPEG else (1, 1)
    kept = [
        (channel, file_samples(plane, step) if channel else plane)
        for channel, plane in zip(channels, planes, strict=True)
        if channel == 0 or float(np.ptp(plane)) > 0.0
    ]
    return Split(picture, space, tuple(c for c, _ in kept), tuple(p for _, p in kept))


def _blocks(picture: Picture) -> Iterator[slice]:
    height = max(1, _BLOCK_PIXELS // picture.width)
    for top in range(0, picture.height, height):
        yield slice(top, top + height)


def _file_blocks(parts: Split) -> tuple[JpegBlocks | None, ...]:
    """Return how a JPEG holds each of the planes, if that is all the damage that can be told.

    Nothing for other pictures, and for a JPEG of what was a worse one before: a clean picture is
    not among those of which the last file could have been made.
    """
    source = parts.picture.source
    if source.luma_blocks is None:
        return ()
    earlier = earlier_quality(parts.picture.pixels)
    worse = earlier is not None and earlier < jpeg_quality(source.luma_blocks.table) - _SAME_QUALITY
    held = (source.luma_blocks, *(source.chroma_blocks or (None, None)))
    return () if worse else tuple(held[channel] for channel in parts.channels)


def as_the_file_allows(parts: Split, planes: Sequence[Plane]) -> tuple[Plane, ...]:
    """Return planes of which the picture's JPEG could be made, by the restored ones and by it.

    Args:
        parts: of YCbCr or grey.
        planes: restored, on the scale of those of ``parts``.
    """
    allowed = list(planes)
    for index, blocks in enumerate(parts.blocks):
        if blocks is not None:
            luma = parts.space is not OWN and parts.channels[index] == 0
            black, white = _STUDIO if luma else _FULL
            zero, step = np.float32(black / 255.0), np.float32((white - black) / 255.0**2)
            pair = (planes[index], parts.planes[index])
            restored, decoded = ((plane - zero) / step for plane in pair)
            allowed[index] = weighed(restored, decoded, blocks) * step + zero
    return tuple(allowed)


def as_the_small_picture_allows(parts: Split, planes: Sequence[Plane]) -> tuple[Plane, ...]:
    """Return planes of which the luma, for sr, shrinks to that of the picture, to its rounding."""
    if parts.bounds is None:
        return tuple(planes)
    return (back_projected(planes[0], *parts.bounds), *planes[1:])


def _bounds(picture: Picture) -> tuple[Plane, Plane]:
    """Return what luma can have been before it was rounded, and cut off in any channel."""
    luma = _taken_apart(picture, OWN if picture.is_grey else YCBCR, (0,)).planes[0]
    half_a_level = np.float32(0.5 / (2**picture.bit_depth - 1))
    black = (picture.pixels < half_a_level).any(axis=2)
    white = (picture.pixels > 1 - half_a_level).any(axis=2)
    least = np.where(black, np.float32(-np.inf), luma - half_a_level)
    return least, np.where(white, np.float32(np.inf), luma + half_a_level)


def merge(parts: Split, planes: Sequence[Plane], shape: tuple[int, int]) -> Picture:
    """Put restored planes back in place and bring the picture to ``shape``; clipped to [0, 1]."""
    whole = parts.picture.height, parts.picture.width
    step = parts.picture.source.chroma_step
    restored = [at_every_pixel(plane, step, whole) for plane in planes]
    pixels = np.empty_like(parts.picture.pixels)
    for rows in _blocks(parts.picture):
        colours = parts.space.of(parts.picture.pixels[rows])
        for channel, plane in zip(parts.channels, restored, strict=True):
            colours[:, :, channel] = plane[rows]
        pixels[rows] = parts.space.back(colours)
    picture = enlarge(replace(parts.picture, pixels=pixels), shape)
    np.clip(picture.pixels, 0.0, 1.0, out=picture.pixels)
    return picture if parts.hidden is None else hidden_again(picture, parts.hidden)


@dataclass(frozen=True)
class RestoredParts:
    """A restored picture that is not yet put together.

    Attributes:
        parts: the degraded picture.
        planes: restored, one for each channel of ``parts``.
        notes: what the user should know about how they were made.
    """

    parts: Split
    planes: tuple[Plane, ...]
    notes: tuple[str, ...]

    def together(self, shape: tuple[int, int]) -> Picture:
        """Return the restored picture of (height, width); enlarged, it shrinks to what it was."""
        planes = as_the_small_picture_allows(self.parts, self.planes)
        return merge(self.parts, planes, shape)

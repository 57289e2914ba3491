"""Which planes of a picture a task restores, and how the picture is put together again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.color import rgb_to_ycbcr, ycbcr_to_rgb
from memnet_cli.imaging.images import Picture
from memnet_cli.imaging.resize import imresize
from memnet_cli.tasks import Task

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Split:
    """A picture taken apart.

    Attributes:
        picture: enlarged to the trained scale for sr, else as it came.
        base: (H, W, C) of ``picture`` in the colour space of the planes: grey, RGB or YCbCr.
        channels: the channels of ``base`` that are restored.
        in_ycbcr: whether ``base`` is YCbCr.
    """

    picture: Picture
    base: NDArray[np.float32]
    channels: tuple[int, ...]
    in_ycbcr: bool

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The (H, W) float32 planes to restore, in [0, 1] but for the bicubic overshoot."""
        return tuple(np.ascontiguousarray(self.base[:, :, channel]) for channel in self.channels)


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
        return Split(picture, picture.pixels, (0,), in_ycbcr=False)
    if task.restores == "channels":
        return Split(picture, picture.pixels, (0, 1, 2), in_ycbcr=False)
    base = rgb_to_ycbcr(picture.pixels).astype(np.float32)
    return Split(picture, base, (0, 1, 2) if chroma else (0,), in_ycbcr=True)


def merge(parts: Split, restored: tuple[Plane, ...], shape: tuple[int, int]) -> Picture:
    """Put restored planes back in place and bring the picture to ``shape``; clipped to [0, 1]."""
    base = parts.base.copy()
    for channel, plane in zip(parts.channels, restored, strict=True):
        base[:, :, channel] = plane
    pixels = ycbcr_to_rgb(base) if parts.in_ycbcr else base
    picture = enlarge(replace(parts.picture, pixels=pixels.astype(np.float32)), shape)
    return replace(picture, pixels=np.clip(picture.pixels, 0.0, 1.0))

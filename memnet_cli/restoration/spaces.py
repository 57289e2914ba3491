"""Colours in which planes are restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.color import (
    opponent_to_rgb,
    rgb_to_opponent,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)

Plane = NDArray[np.float32]
Convert = Callable[[NDArray[Any]], NDArray[Any]]

#: Cb and Cr of grey, and how much wider those of a JPEG file lie about that than MATLAB's.
_GREY_CHROMA, _FULL_CHROMA = 128.0 / 255.0, 255.0 / 224.0
#: Side of the squares whose means tell how far the colours of a picture reach, with little noise.
_SQUARE = 4


@dataclass(frozen=True)
class Space:
    """Colours in which planes are restored: both ways from and to a picture's own, (H, W, C)."""

    of: Convert
    back: Convert


def _to_jpeg(rgb: NDArray[Any]) -> NDArray[Any]:
    """Convert to Y of MATLAB's YCbCr, and Cb and Cr as a JPEG file has them."""
    ycbcr = rgb_to_ycbcr(rgb)
    ycbcr[:, :, 1:] = (ycbcr[:, :, 1:] - _GREY_CHROMA) * _FULL_CHROMA + _GREY_CHROMA
    return ycbcr


def _from_jpeg(ycbcr: NDArray[Any]) -> NDArray[Any]:
    chroma = (ycbcr[:, :, 1:] - _GREY_CHROMA) / _FULL_CHROMA + _GREY_CHROMA
    return ycbcr_to_rgb(np.concatenate([ycbcr[:, :, :1], chroma], axis=2))


OWN = Space(np.array, np.asarray)
YCBCR = Space(rgb_to_ycbcr, ycbcr_to_rgb)
JPEG = Space(_to_jpeg, _from_jpeg)
OPPONENT = Space(rgb_to_opponent, opponent_to_rgb)


def within_reach(planes: Sequence[Plane]) -> Space:
    """Shift opponent colours into [0, 1], in place, and return the space in which they are then.

    The differences of saturated colours reach from -0.32 to 1.32, and a network that was trained on
    pictures in [0, 1] moves what is beyond towards that. Those of most pictures are within and stay
    as they are; those that reach too far are shifted, and where they are wider than [0, 1] they are
    made as much narrower, with their noise.

    Args:
        planes: (H, W) float32, as ``rgb_to_opponent`` makes them, changed.
    """
    gain, shift = np.ones(len(planes)), np.zeros(len(planes))
    for channel, plane in enumerate(planes):
        low, high = _reach(plane)
        if low < 0.0 or high > 1.0:
            gain[channel] = min(1.0, 1.0 / (high - low)) if high > low else 1.0
            shift[channel] = -gain[channel] * low if low < 0.0 else 1.0 - gain[channel] * high
            plane[:] = plane * np.float32(gain[channel]) + np.float32(shift[channel])
    if (gain == 1.0).all() and not shift.any():
        return OPPONENT
    return Space(
        lambda rgb: rgb_to_opponent(rgb) * gain + shift,
        lambda opponent: opponent_to_rgb((opponent - shift) / gain),
    )


def _reach(plane: Plane) -> tuple[float, float]:
    """Return the least and the largest mean of squares of a plane, the largest that it holds."""
    down, across = (min(side, _SQUARE) for side in plane.shape)
    height, width = plane.shape[0] // down, plane.shape[1] // across
    squares = plane[: height * down, : width * across].reshape(height, down, width, across)
    means = squares.mean((1, 3))
    return float(means.min()), float(means.max())

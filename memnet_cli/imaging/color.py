"""Luma and chroma as the papers' MATLAB code sees them, and opponent colours for denoising.

All of the field's super-resolution and deblocking numbers are measured on the Y channel of
MATLAB's ``rgb2ycbcr``: ITU-R BT.601 in the studio range, Y from 16 to 235.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RGB_TO_YCBCR = (
    np.array(
        [
            [65.481, 128.553, 24.966],
            [-37.797, -74.203, 112.0],
            [112.0, -93.786, -18.214],
        ],
        dtype=np.float64,
    )
    / 255.0
)
_OFFSET = np.array([16.0, 128.0, 128.0], dtype=np.float64) / 255.0
_YCBCR_TO_RGB = np.linalg.inv(_RGB_TO_YCBCR)

_RGB_TO_OPPONENT: NDArray[np.float64] = np.array(
    [np.full(3, 1 / 3), np.array([1, 0, -1]) / 2**0.5, np.array([1, -2, 1]) / 6**0.5],
    dtype=np.float64,
)
_OPPONENT_OFFSET = np.array([0.0, 0.5, 0.5], dtype=np.float64)
_OPPONENT_TO_RGB = np.linalg.inv(_RGB_TO_OPPONENT)


def rgb_to_ycbcr(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert (H, W, 3) sRGB in [0, 1] to YCbCr in [0, 1], not rounded.

    The matrix is that of MATLAB's ``rgb2ycbcr``; Y lies in [16/255, 235/255].
    """
    return np.asarray(rgb, dtype=np.float64) @ _RGB_TO_YCBCR.T + _OFFSET


def ycbcr_to_rgb(ycbcr: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert (H, W, 3) YCbCr in [0, 1] back to RGB, the exact inverse, not clipped."""
    return (np.asarray(ycbcr, dtype=np.float64) - _OFFSET) @ _YCBCR_TO_RGB.T


def rgb_to_opponent(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert (H, W, 3) RGB to the mean of R, G and B and two colour differences around 1/2.

    The rows of the matrix are orthogonal, so that independent noise of equal level sigma in R, G
    and B is independent in the three: of sigma / sqrt(3) in the mean, which holds most of the
    picture, and of sigma in the differences (the opponent colours of Dabov et al., "Color image
    denoising via sparse 3D collaborative filtering", ICIP 2007, up to scale). The mean is in
    [0, 1] for RGB in [0, 1], the differences are in [-0.32, 1.32].
    """
    return np.asarray(rgb, dtype=np.float64) @ _RGB_TO_OPPONENT.T + _OPPONENT_OFFSET


def opponent_to_rgb(opponent: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert (H, W, 3) of ``rgb_to_opponent`` back, the exact inverse, not clipped."""
    return (np.asarray(opponent, dtype=np.float64) - _OPPONENT_OFFSET) @ _OPPONENT_TO_RGB.T


def luma_uint8(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the 8-bit Y channel (H, W) of an 8-bit picture, rounded as MATLAB rounds.

    ``pixels`` is (H, W, 3) RGB, or grey as (H, W) or (H, W, 1), which is returned as it is.
    """
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[:, :, 0]
    luma = pixels.astype(np.float64) @ _RGB_TO_YCBCR[0] + 16.0
    rounded: NDArray[np.uint8] = np.floor(luma + 0.5).astype(np.uint8)
    return rounded

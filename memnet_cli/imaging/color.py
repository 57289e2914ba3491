"""Luma and chroma as the papers' MATLAB code sees them.

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


def rgb_to_ycbcr(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert (H, W, 3) sRGB in [0, 1] to YCbCr in [0, 1], not rounded.

    The matrix is that of MATLAB's ``rgb2ycbcr``; Y lies in [16/255, 235/255].
    """
    return np.asarray(rgb, dtype=np.float64) @ _RGB_TO_YCBCR.T + _OFFSET


def ycbcr_to_rgb(ycbcr: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert (H, W, 3) YCbCr in [0, 1] back to RGB, the exact inverse, not clipped."""
    return (np.asarray(ycbcr, dtype=np.float64) - _OFFSET) @ _YCBCR_TO_RGB.T


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

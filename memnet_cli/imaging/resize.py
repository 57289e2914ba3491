"""Bicubic resizing that equals MATLAB's ``imresize``.

Keys' cubic kernel (IEEE Trans. ASSP 29(6), 1981) with a = -0.5; the kernel is widened by the
scale when shrinking (antialiasing); borders are mirrored; everything in float64, so that nothing
is rounded between shrinking and enlarging.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

_KERNEL_WIDTH = 4.0


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    near = np.abs(x)
    inner = 1.5 * near**3 - 2.5 * near**2 + 1.0
    outer = -0.5 * near**3 + 2.5 * near**2 - 4.0 * near + 2.0
    return np.where(near <= 1.0, inner, np.where(near <= 2.0, outer, 0.0))


@lru_cache(maxsize=64)
def bicubic_taps(
    length: int, new_length: int, scale: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return source indices and weights, each (new_length, taps), of one resized axis.

    ``scale`` is new over old size; the rows of the weights sum to 1. The arrays are shared
    between callers and therefore read-only.
    """
    shrink = min(scale, 1.0)
    width = _KERNEL_WIDTH / shrink
    centre = (np.arange(new_length, dtype=np.float64) + 0.5) / scale - 0.5
    first = np.floor(centre - width / 2.0).astype(np.int64)
    indices = first[:, None] + np.arange(ceil(width) + 2)
    weights = shrink * _cubic((centre[:, None] - indices) * shrink)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.mod(indices, 2 * length)
    mirrored = np.where(mirrored < length, mirrored, 2 * length - 1 - mirrored)
    used = np.flatnonzero(np.any(weights != 0.0, axis=0))
    taps = mirrored[:, used], weights[:, used]
    for array in taps:
        array.flags.writeable = False
    return taps


def bicubic_matrix(length: int, new_length: int, scale: float) -> NDArray[np.float64]:
    """Return the (new_length, length) float64 matrix that resizes one axis.

    For small lengths (training patches), where two matrix products resize a whole batch.
    """
    indices, weights = bicubic_taps(length, new_length, scale)
    matrix = np.zeros((new_length, length), dtype=np.float64)
    np.add.at(matrix, (np.arange(new_length)[:, None], indices), weights)
    return matrix


def _resize_rows(image: NDArray[np.float64], new_length: int, scale: float) -> NDArray[np.float64]:
    indices, weights = bicubic_taps(image.shape[0], new_length, scale)
    resized = np.zeros((new_length, *image.shape[1:]), dtype=np.float64)
    shape = (-1,) + (1,) * (image.ndim - 1)
    for tap in range(indices.shape[1]):
        resized += weights[:, tap].reshape(shape) * image[indices[:, tap]]
    return resized


def imresize(
    image: NDArray[np.floating] | NDArray[np.integer],
    *,
    scale: float | None = None,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.float64]:
    """Resize (H, W) or (H, W, C) by ``scale`` or to ``shape`` (height, width), in float64.

    With ``scale``, the new size is ceil(scale * size), as in MATLAB. The range of the values is
    kept but for the overshoot of the cubic kernel; nothing is clipped or rounded.

    Raises:
        ValueError: unless exactly one of ``scale`` and ``shape`` is given, and above 0.
    """
    if (scale is None) == (shape is None):
        raise ValueError("give exactly one of scale and shape")
    if min((scale,) if scale is not None else (shape or ())) <= 0:
        raise ValueError("give a scale or a shape above 0")
    height, width = image.shape[:2]
    if shape is not None:
        new_height, new_width = shape
        scales = new_height / height, new_width / width
    else:
        assert scale is not None
        # 1e-9: MATLAB's own guard against 1/3 * 9 being a hair over 3
        new_height, new_width = ceil(scale * height - 1e-9), ceil(scale * width - 1e-9)
        scales = scale, scale
    values = np.asarray(image, dtype=np.float64)
    # MATLAB resizes the dimension with the smaller scale first; with equal scales, rows first
    if scales[0] <= scales[1]:
        values = _resize_rows(values, new_height, scales[0])
        return _resize_rows(values.swapaxes(0, 1), new_width, scales[1]).swapaxes(0, 1)
    values = _resize_rows(values.swapaxes(0, 1), new_width, scales[1]).swapaxes(0, 1)
    return _resize_rows(values, new_height, scales[0])

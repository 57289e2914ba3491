"""Restored luma that shrinks to the small picture that it was enlarged from.

All large pictures that shrink bicubically to the small one, to its rounding, are a convex set, and
the one that is looked for is among them; what was cut off at black or white is known from one side
only. A network's own is nearly so in a photograph; small letters come out too thin or too light, by
several grey levels in the mean. What is too much is taken back where it came from (Irani and Peleg,
"Improving resolution by image registration", CVGIP 1991; in one step, as in Bahat and Michaeli,
"Explorable super resolution", CVPR 2020).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.resize import bicubic_taps

Plane = NDArray[np.float32]

#: Rows are corrected for about as many pixels at a time, which bounds the temporary memory.
_BLOCK_PIXELS = 1 << 20


def back_projected(restored: Plane, least: Plane, most: Plane) -> Plane:
    """Return the nearest plane that shrinks to what the restored one does, within bounds.

    Args:
        restored: (H, W) float32.
        least, most: (h, w) float32, what the shrunk plane is to be at each place, infinite where
            that is unknown; H and W are the same multiples of h and w.

    Returns:
        (H, W) float32. With the matrix D that shrinks, x restored and y what is wanted of D x, it
        is x - D^T (D D^T)^-1 (D x - y).
    """
    rows, columns = (
        _shrinking(large, less) for large, less in zip(restored.shape, least.shape, strict=True)
    )
    shrunk = (columns @ (rows @ restored).T).T
    excess = shrunk - np.clip(shrunk, least, most)
    if not excess.any():
        return restored
    source = _solved(columns, _solved(rows, excess).T)
    across = (columns.T @ source).T.astype(np.float32)
    spread = rows.T.tocsr()
    result = restored.copy()
    height = max(1, _BLOCK_PIXELS // restored.shape[1])
    for top in range(0, restored.shape[0], height):
        block = slice(top, top + height)
        result[block] -= spread[block] @ across
    return result


@lru_cache(maxsize=8)
def _shrinking(length: int, less: int) -> Any:
    """Return the sparse (less, length) float32 matrix that shrinks one axis as ``imresize``."""
    from scipy.sparse import csr_array

    places, weights = bicubic_taps(length, less, less / length)
    numbers = np.broadcast_to(np.arange(less)[:, None], places.shape)
    # of places that borders mirror there are two, which are added up
    flat = (weights.astype(np.float32).ravel(), (numbers.ravel(), places.ravel()))
    return csr_array(flat, shape=(less, length))


def _solved(shrinking: Any, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (D D^T)^-1 of values, along the first axis."""
    from scipy.linalg import solveh_banded

    products = (shrinking @ shrinking.T).astype(np.float64)
    count = products.shape[0]
    width = 1 + int(np.abs(np.subtract(*products.nonzero())).max())
    bands = np.zeros((width, count))
    for number in range(width):
        bands[number, : count - number] = products.diagonal(-number)
    solved: NDArray[np.float64] = solveh_banded(bands, values, lower=True, overwrite_ab=True)
    return solved

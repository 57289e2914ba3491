"""Where pictures have detail, so that patches can be taken where there is something to learn.

In flat regions a network is right at once, and a patch of them costs as much as any other. Choosing
hard examples is known as hard example mining (Shrivastava et al., 2016); here the choice is made by
the clean picture alone, before anything is computed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.filters import laplace
from skimage.measure import block_reduce
from skimage.transform import integral_image, integrate

#: Side of the cells that detail is summed over, in pixels; no patch is smaller.
_CELL = 4

Sums = NDArray[np.float64]


def detail_sums(plane: NDArray[np.uint8]) -> Sums:
    """Return the integral image of the squared Laplacian of an (H, W) plane.

    Returns:
        (ceil(H / 4), ceil(W / 4)), over cells of 4x4 pixels.
    """
    energy = laplace(plane.astype(np.float64)) ** 2
    sums: Sums = integral_image(block_reduce(energy, _CELL, np.sum))
    return sums


def detail_of(sums: Sums, top: int, left: int, side: int) -> float:
    """Return the detail of the square of ``side`` 4 or more, to the nearest cells."""
    first, behind = (
        tuple((corner + shift + _CELL // 2) // _CELL for corner in (top, left))
        for shift in (0, side)
    )
    return float(integrate(sums, first, tuple(end - 1 for end in behind))[0])

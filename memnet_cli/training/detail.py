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

from memnet_cli.training.pictures import Plane

#: Side of the cells that detail is summed over, in pixels.
_CELL = 8

Sums = NDArray[np.float64]


def detail_sums(plane: Plane) -> Sums:
    """Return the squared Laplacian of an (H, W) 8-bit plane, summed from the corner.

    Returns:
        (1 + ceil(H / 8), 1 + ceil(W / 8)), the sums over all cells of 8x8 pixels above and to the
        left, so that four of them give that of any rectangle of cells.
    """
    energy = laplace(plane.astype(np.float64)) ** 2
    cells = block_reduce(energy, _CELL, np.sum)
    sums: Sums = np.pad(cells.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return sums


def detail_of(sums: Sums, top: int, left: int, side: int) -> float:
    """Return the detail of the square with that corner, to the nearest cells."""
    (above, below), (before, after) = (
        ((start + _CELL // 2) // _CELL, (start + side + _CELL // 2) // _CELL)
        for start in (top, left)
    )
    return float(
        sums[below, after] - sums[above, after] - sums[below, before] + sums[above, before]
    )

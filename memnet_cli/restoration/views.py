"""The eight flips and quarter turns of planes, for the self-ensemble and for teachers."""

from __future__ import annotations

import torch
from torch import Tensor

#: How many there are.
VIEWS = 8


def turned(planes: Tensor, view: int) -> Tensor:
    """Return one of the views of (N, C, H, W), 0 as they are: quarter turns, from 4 on flipped too.

    A view of H x W planes is W x H where the quarter turns are odd.
    """
    quarters = torch.rot90(planes, view % 4, (2, 3))
    return (quarters.flip(3) if view >= 4 else quarters).contiguous()


def turned_back(planes: Tensor, view: int) -> Tensor:
    """Return the planes that :func:`turned` made this view of."""
    return torch.rot90(planes.flip(3) if view >= 4 else planes, -(view % 4), (2, 3))

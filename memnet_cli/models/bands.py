"""Cutting a plane into bands of rows that a convolution is computed for one after the other.

What a layer needs for a moment is then of the size of a band, and only what outlives the layer of
that of the plane.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: Winograd's convolution works on so many rows at once.
_ROWS = 6


@dataclass(frozen=True)
class Band:
    """Some rows of a plane.

    Attributes:
        rows: the rows.
        seen: with the row above and the row below, where the plane has them.
        above, below: rows that it does not have, 0 or 1.
        is_plane: whether these are all rows there are.
    """

    rows: slice
    seen: slice
    above: int
    below: int

    @property
    def is_plane(self) -> bool:
        """Whether these are all rows of the plane."""
        return bool(self.above and self.below)

    @property
    def padding(self) -> int:
        """Rows of zeros that a 3x3 convolution must put above and below what ``window`` gives."""
        return 1 if self.is_plane else 0

    def window(self, seen: Tensor) -> Tensor:
        """Return (N, C, rows + 2, W) from the rows seen, zero where the plane has none.

        The whole plane is left as it is.
        """
        if self.is_plane or not (self.above or self.below):
            return seen
        return F.pad(seen, (0, 0, self.above, self.below))


def plan_bands(planes: int, height: int, width: int, pixels: int) -> tuple[Band, ...]:
    """Return bands for (N, C, H, W) maps, from top to bottom, as equal as can be.

    Args:
        planes: N.
        height: H.
        width: W.
        pixels: of a band, all N together, about. Much smaller ones than half a million cost time:
            rows at their edges are copied, and Winograd transforms its weights for each anew.
    """
    count = -(-planes * height * width // pixels)
    rows = -(-height // count)
    if count > 1:
        rows = -(-rows // _ROWS) * _ROWS
    return tuple(_band(top, min(top + rows, height), height) for top in range(0, height, rows))


def one_band(height: int) -> tuple[Band, ...]:
    """Return all rows of a plane as one band."""
    return (_band(0, height, height),)


def with_neighbours(parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield every band's own rows, (N, C, rows, W), with one more above and below, as ``window``.

    A single band is left as it is.
    """
    if len(parts) == 1:
        yield parts[0]
        return
    for index, part in enumerate(parts):
        above = parts[index - 1][:, :, -1:] if index else torch.zeros_like(part[:, :, :1])
        last = index + 1 == len(parts)
        below = torch.zeros_like(part[:, :, :1]) if last else parts[index + 1][:, :, :1]
        yield torch.cat((above, part, below), dim=2)


def _band(top: int, bottom: int, height: int) -> Band:
    above, below = int(top == 0), int(bottom == height)
    return Band(slice(top, bottom), slice(top - 1 + above, bottom + 1 - below), above, below)

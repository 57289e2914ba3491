"""Weighted sums over the q x q neighbourhood of every pixel, that of NLRN wrapped at the borders.

The pixels are worked on in groups: all of a small plane at once, or squares of a large one, each
with the window of pixels that any of its own can see. Within a group the correlations are one
matrix product; what a pixel cannot see is masked out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

#: Side of the squares. Smaller ones copy more of their windows, larger ones mask out more.
BLOCK = 8
#: Correlations are kept from step to step up to this many bytes; beyond it they are computed
#: anew from all earlier embeddings, which takes about twice as long (docs/nlrn.md).
STORED_BYTES = 2 << 30
#: So many bytes of correlations are worked on at once: on a CPU what its caches hold.
_CHUNK_BYTES = {"cuda": 512 << 20}
_CHUNK_BYTES_ELSEWHERE = 4 << 20


@dataclass(frozen=True)
class Grid:
    """How the pixels of (N, C, H, W) maps are grouped.

    Attributes:
        height, width: of the maps, pixels.
        reach: pixels that a neighbourhood extends to each side, (q - 1) / 2.
        block: side of the squares; 0 for one group of all pixels.
        multiplicity: (Q, K) float32, how often the k-th key of a group lies in the neighbourhood
            of its q-th pixel: 0 or 1, or more where a plane smaller than q wraps around more than
            once. None where all are 1.
        circular: beyond a border lies the opposite one; else more of its last pixels.
        kind: type of the device by whose limits the groups are worked on; None for the maps' own.
    """

    height: int
    width: int
    reach: int
    block: int
    multiplicity: Tensor | None
    circular: bool = True
    kind: str | None = None

    @property
    def keys(self) -> int:
        """How many pixels the window of a group has, K."""
        return (self.block + 2 * self.reach) ** 2 if self.block else self.height * self.width

    @cached_property
    def bias(self) -> Tensor | None:
        """What is added before a softmax so that every key counts as often as it is met."""
        return None if self.multiplicity is None else self.multiplicity.log()

    def queries(self, maps: Tensor) -> Tensor:
        """Return (groups, Q, C): the pixels of every group."""
        count, channels = maps.shape[:2]
        rows = maps.permute(0, 2, 3, 1)
        if not self.block:
            return rows.reshape(count, self.height * self.width, channels)
        rows = self._stretched(rows, 0, _ceiling(self.height, self.block), dim=1)
        rows = self._stretched(rows, 0, _ceiling(self.width, self.block), dim=2)
        high, wide = rows.shape[1] // self.block, rows.shape[2] // self.block
        squares = rows.reshape(count, high, self.block, wide, self.block, channels)
        return squares.transpose(2, 3).reshape(-1, self.block**2, channels)

    def windows(self, maps: Tensor) -> Tensor:
        """Return a view (N, high, wide, rows, columns, C): the keys of every square."""
        side = self.block + 2 * self.reach
        rows = self._surroundings(maps, self.reach)
        return rows.unfold(1, side, self.block).unfold(2, side, self.block).movedim(3, -1)

    def copies(self, maps: Tensor) -> Tensor:
        """Return (groups, K, C), the keys of every group, with a fast gradient.

        What `windows` has, put together from shifted squares: the gradient of these is a sum of
        few large maps, where that of overlapping views is a sum pixel by pixel.
        """
        if not self.block:
            return maps.permute(0, 2, 3, 1).flatten(1, 2)
        side = self.block + 2 * self.reach
        rows = self._surroundings(maps, _ceiling(2 * self.reach, self.block) - self.reach)
        keys = _windows_of(_windows_of(rows, side, self.block, dim=1), side, self.block, dim=3)
        return keys.transpose(2, 3).flatten(3, 4).flatten(0, 2)

    def _surroundings(self, maps: Tensor, after: int) -> Tensor:
        """Return (N, H, W, C) with what the windows of the squares reach beyond the borders."""
        rows = maps.permute(0, 2, 3, 1)
        rows = self._stretched(rows, -self.reach, _ceiling(self.height, self.block) + after, dim=1)
        return self._stretched(rows, -self.reach, _ceiling(self.width, self.block) + after, dim=2)

    def _stretched(self, rows: Tensor, first: int, stop: int, dim: int) -> Tensor:
        """Take positions first, ..., stop - 1 of a dimension, also those beyond its ends."""
        length = rows.shape[dim]
        if first == 0 and stop == length:
            return rows
        index = torch.arange(first, stop, device=rows.device)
        index = index % length if self.circular else index.clamp(0, length - 1)
        return rows.index_select(dim, index)

    def join(self, groups: Tensor, count: int) -> Tensor:
        """Put the (groups, Q, C) pixels of ``count`` planes back to (N, C, H, W)."""
        channels = groups.shape[-1]
        if not self.block:
            planes = groups.reshape(count, self.height, self.width, channels)
            return planes.permute(0, 3, 1, 2)
        high = _ceiling(self.height, self.block) // self.block
        squares = groups.reshape(count, high, -1, self.block, self.block, channels)
        planes = squares.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return planes[:, : self.height, : self.width].permute(0, 3, 1, 2)


def plan_grid(
    height: int, width: int, size: int, device: torch.device, kind: str | None = None
) -> Grid:
    """Group the pixels of a plane for neighbourhoods of ``size`` x ``size`` pixels.

    ``kind`` is the type of the device by whose limits they are worked on, else that of the maps.
    """
    reach = size // 2
    if height * width <= (BLOCK + 2 * reach) ** 2:
        rows, columns = _visits(height, reach, device), _visits(width, reach, device)
        multiplicity = torch.einsum("ij,kl->ikjl", rows, columns)
        multiplicity = multiplicity.reshape(height * width, height * width)
        plain = height == width == size
        return Grid(height, width, reach, 0, None if plain else multiplicity, kind=kind)
    inner = torch.arange(BLOCK, device=device)
    outer = torch.arange(-reach, BLOCK + reach, device=device)
    seen = ((inner[:, None] - outer).abs() <= reach).float()
    multiplicity = torch.einsum("ij,kl->ikjl", seen, seen).reshape(BLOCK**2, -1)
    return Grid(height, width, reach, BLOCK, multiplicity, kind=kind)


def _visits(length: int, reach: int, device: torch.device) -> Tensor:
    """Return (length, length): how often position j is within reach of i on a circle."""
    steps = torch.arange(length, device=device)
    distance = (steps[:, None] - steps) % length
    low, high = (
        -((reach + distance) // length),
        (reach - distance).div(length, rounding_mode="floor"),
    )
    return (high - low + 1).clamp(min=0).float()


def _ceiling(length: int, block: int) -> int:
    return math.ceil(length / block) * block


def _windows_of(rows: Tensor, side: int, block: int, dim: int) -> Tensor:
    """Make windows of ``side`` positions, ``block`` apart: (..., windows, side, ...).

    The length of the dimension is that of the windows' blocks and of the blocks they reach.
    """
    reached = _ceiling(side, block) - block
    count = rows.shape[dim] - reached
    shape = (*rows.shape[:dim], count // block, block, *rows.shape[dim + 1 :])
    parts = [
        rows.narrow(dim, start, count).reshape(shape).narrow(dim + 1, 0, min(block, side - start))
        for start in range(0, side, block)
    ]
    return torch.cat(parts, dim + 1)


@dataclass(frozen=True)
class Correlation:
    """What a step knows of the correlations of the steps before it (s_corr, eq. 7).

    Attributes:
        logits: their sum, (groups, Q, K) float32 in chunks; empty where they are computed anew
            from the embeddings.
        thetas, psis: the embeddings of all steps so far, (N, L, H, W) each.
    """

    logits: tuple[Tensor, ...] = ()
    thetas: tuple[Tensor, ...] = ()
    psis: tuple[Tensor, ...] = ()


def attend(
    grid: Grid,
    theta: Tensor,
    psi: Tensor,
    values: Tensor,
    earlier: Correlation,
    *,
    softmax: bool,
    keep: bool = True,
) -> tuple[Tensor, Correlation]:
    """Sum the values over every pixel's neighbourhood, weighted by correlation (eq. 6).

    Correlations are theta_i . psi_j plus those of ``earlier``: since these are sums of dot
    products too, they are the dot product of all embeddings so far, put one after the other.

    Args:
        grid: the groups.
        theta: (N, L, H, W) embedding of the pixel.
        psi: (N, L, H, W) embedding of its neighbours.
        values: (N, C, H, W).
        earlier: of the step before; ``Correlation()`` for none. Not to be used again.
        softmax: weights exp(correlation) that sum to 1; else correlation / q^2.
        keep: a later step will want the correlations.

    Returns:
        (N, C, H, W) and the correlations up to this step, none if they are not kept.
    """
    thetas, psis = (*earlier.thetas, theta), (*earlier.psis, psi)
    stored = keep and _fits(grid, theta)
    alone = stored or not earlier.thetas
    now_theta, now_psi = (theta, psi) if alone else (torch.cat(thetas, 1), torch.cat(psis, 1))
    queries = grid.queries(now_theta)
    sums: list[Tensor] = []
    logits: list[Tensor] = []
    size, height = _chunk(grid, queries)
    for own, near, token in zip(
        _split(grid, queries, size),
        _copies(grid, now_psi, size),
        _copies(grid, values, size),
        strict=True,
    ):
        for row in range(0, queries.shape[1], height):
            rows = slice(row, row + height)
            before = earlier.logits[len(sums)] if earlier.logits else None
            bias = grid.bias[rows] if softmax and grid.bias is not None else None
            correlation = _correlation(own[:, rows], near, before, bias)
            weights = correlation.softmax(-1) if softmax else _averaging(correlation, grid, rows)
            sums.append(torch.bmm(weights.to(values.dtype), token).flatten(0, 1))
            if stored:
                logits.append(correlation)
    together = torch.cat(sums).view(*queries.shape[:2], -1)
    joined = grid.join(together, theta.shape[0])
    if not keep:
        return joined, Correlation()
    return joined, Correlation(tuple(logits)) if stored else Correlation((), thetas, psis)


def _fits(grid: Grid, maps: Tensor) -> bool:
    pixels = maps.shape[0] * grid.height * grid.width
    return 4 * pixels * grid.keys <= STORED_BYTES


def _chunk(grid: Grid, queries: Tensor) -> tuple[int, int]:
    """Return how many groups, and rows of each, are worked on at once: of several groups all."""
    own = queries.shape[1]
    kind = grid.kind or queries.device.type
    limit = _CHUNK_BYTES.get(kind, _CHUNK_BYTES_ELSEWHERE) // (4 * grid.keys)
    size = max(1, limit // own)
    return size, own if size > 1 else math.ceil(own / math.ceil(own / max(1, limit)))


def _split(grid: Grid, groups: Tensor, size: int) -> Iterator[Tensor]:
    """Yield at most ``size`` groups at a time: whole rows of squares, or a part of one row."""
    if not grid.block:
        yield from torch.split(groups, size)
        return
    columns = _ceiling(grid.width, grid.block) // grid.block
    rows = _ceiling(grid.height, grid.block) // grid.block
    for plane in torch.split(groups, rows * columns):
        for some in torch.split(plane, max(1, size // columns) * columns):
            yield from torch.split(some, size)


def _copies(grid: Grid, maps: Tensor, size: int) -> Iterator[Tensor]:
    """Yield the keys of the groups of `_split`: (groups, K, C).

    With gradients all at once, since they are kept anyway, and the gradient of many small copies
    out of one map is many maps to add up.
    """
    if not grid.block or torch.is_grad_enabled():
        yield from _split(grid, grid.copies(maps), size)
        return
    for windows in grid.windows(maps):
        for some in torch.split(windows, max(1, size // windows.shape[1])):
            for run in torch.split(some, size, dim=1):
                yield run.flatten(0, 1).flatten(1, 2)


def _correlation(
    queries: Tensor, keys: Tensor, before: Tensor | None, bias: Tensor | None
) -> Tensor:
    """Return (groups, Q, K), float32 at least; the bias goes in once, with the first step."""
    product = torch.bmm(queries, keys.transpose(1, 2))
    if before is not None and not torch.is_grad_enabled():
        return before.add_(product)  # in float32, as before is
    added = bias if before is None else before
    if added is not None:
        return product + added
    return product if product.dtype == torch.float64 else product.float()


def _averaging(correlation: Tensor, grid: Grid, rows: slice) -> Tensor:
    counted = correlation if grid.multiplicity is None else correlation * grid.multiplicity[rows]
    return counted / (2 * grid.reach + 1) ** 2

"""Cutting a plane into overlapping tiles of one size, and which part of each one to keep.

Pure arithmetic on lengths: no pixels here.
"""

from __future__ import annotations

from dataclasses import dataclass

from memnet_cli.errors import UsageError


@dataclass(frozen=True)
class Span:
    """One tile along one axis: what the model sees, and what is kept of its output."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


@dataclass(frozen=True)
class Tile:
    """One tile: the rows and columns that the model sees, and those that are kept."""

    rows: Span
    columns: Span

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the window that the model sees."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def window(self) -> tuple[slice, slice]:
        """The window in the plane."""
        return slice(self.rows.start, self.rows.stop), slice(self.columns.start, self.columns.stop)

    @property
    def kept(self) -> tuple[slice, slice]:
        """The kept part in the plane."""
        return (
            slice(self.rows.keep_start, self.rows.keep_stop),
            slice(self.columns.keep_start, self.columns.keep_stop),
        )

    @property
    def kept_in_window(self) -> tuple[slice, slice]:
        """The kept part in the window."""
        rows, columns = self.rows, self.columns
        return (
            slice(rows.keep_start - rows.start, rows.keep_stop - rows.start),
            slice(columns.keep_start - columns.start, columns.keep_stop - columns.start),
        )


def plan_axis(length: int, tile: int, overlap: int, grid: int = 1) -> tuple[Span, ...]:
    """Cover ``length`` pixels with equal spans of ``tile``, each kept pixel ``overlap`` from a cut.

    Neighbouring spans share at least 2 * ``overlap`` pixels and are cut in the middle of what they
    share; spans are spread evenly. A length within ``tile`` is one span. With a ``grid`` all is
    counted in steps of as many pixels, the last of which the length may cut off.

    Raises:
        UsageError: if the tile is no larger than twice the overlap.
    """
    if length <= tile:
        return (Span(0, length, 0, length),)
    steps, side, context = -(-length // grid), tile // grid, -(-overlap // grid)
    stride = side - 2 * context
    if stride < 1:
        raise UsageError(
            f"A tile of {tile} pixels cannot hold an overlap of {overlap} on both sides: "
            f"give a tile of at least {(2 * context + 1) * grid}, or a smaller overlap."
        )
    count = 1 - (-(steps - side) // stride)
    starts = [round(i * (steps - side) / (count - 1)) for i in range(count)]
    cuts = [0, *((starts[i + 1] + starts[i] + side) // 2 for i in range(count - 1)), steps]
    edges = [(start, start + side, cuts[i], cuts[i + 1]) for i, start in enumerate(starts)]
    return tuple(Span(*(min(edge * grid, length) for edge in span)) for span in edges)


def plan_tiles(height: int, width: int, tile: int, overlap: int, grid: int = 1) -> tuple[Tile, ...]:
    """Cover a (height, width) plane with tiles, row by row.

    Along an axis that is longer than ``tile`` all tiles are ``tile`` long, in whole steps of
    ``grid``; the kept parts are disjoint and cover the plane.
    """
    return tuple(
        Tile(rows, columns)
        for rows in plan_axis(height, tile, overlap, grid)
        for columns in plan_axis(width, tile, overlap, grid)
    )

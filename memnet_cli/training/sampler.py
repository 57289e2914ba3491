"""Which patches a step takes, as a pure function of (seed, step).

Nothing here keeps a position: a run that was cut off draws the same patches when it goes on,
whatever the number of processes. Only numpy on the host; the few numbers go to the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import DatasetError
from memnet_cli.training.detail import Sums, detail_of

Integers = NDArray[np.int64]

#: Quarter turns, each flipped or not.
ORIENTATIONS = 8
#: Distinguish the streams of random numbers that belong to one seed.
_POSITIONS, _EPOCH = 1, 2


@dataclass(frozen=True)
class Patches:
    """The patches of one step.

    Attributes:
        picture: (B,) which picture.
        top, left: (B,) corner in it.
        orientation: (B,) 0 to 7: quarter turns, and 4 more for flipped; 8 more for a negative.
        level: (B,) scale factor, sigma or quality factor; 0 for no damage.
        altered: (B,) whether the degradation's variant applies (8-bit small picture for sr, a
            second compression for jpeg).
    """

    picture: Integers
    top: Integers
    left: Integers
    orientation: Integers
    level: Integers
    altered: NDArray[np.bool_]

    def part(self, chosen: slice | Integers) -> Patches:
        """Return some of the patches."""
        return Patches(
            self.picture[chosen],
            self.top[chosen],
            self.left[chosen],
            self.orientation[chosen],
            self.level[chosen],
            self.altered[chosen],
        )


@dataclass(frozen=True)
class Sampler:
    """Where patches may lie, and how they are drawn.

    Attributes:
        heights, widths: of the pictures.
        patch: side of a patch.
        stride: distance of the grid; 0 for random positions.
        aligned: positions are multiples of the level (sr), as whole pictures are shrunk.
        augment: flip and rotate.
        levels: to draw from evenly.
        level_range: smallest and largest level instead of ``levels``.
        undamaged: share of patches with level 0.
        altered: share of patches with the degradation's variant.
        batch: patches per step.
        seed: of everything.
        negatives: share of patches with black for white.
        hardest_of: random places for every patch, of which the one with the most detail is taken.
        drawn: share of patches from drawings.
        drawings: how many of the pictures, the last, are drawings.
        coloured: share of patches from chroma planes, Cb and Cr or colour differences.
        chroma: how many of the pictures, the last before the drawings, are chroma planes.
        detail: of the pictures, as by :func:`detail_sums`; may be empty where ``hardest_of`` is 1.
    """

    heights: Integers
    widths: Integers
    patch: int
    stride: int
    aligned: bool
    augment: bool
    levels: tuple[int, ...]
    level_range: tuple[int, int] | None
    undamaged: float
    altered: float
    batch: int
    seed: int
    negatives: float = 0.0
    hardest_of: int = 1
    drawn: float = 0.0
    drawings: int = 0
    coloured: float = 0.0
    chroma: int = 0
    detail: tuple[Sums, ...] = ()

    def __post_init__(self) -> None:
        """Raise DatasetError if there is no picture as large as a patch."""
        if self._photographs == 0:
            raise DatasetError(
                f"No training picture is as large as a patch of {self.patch}x{self.patch} pixels: "
                "give larger pictures or a smaller --set patch."
            )

    @property
    def epoch_samples(self) -> int:
        """Patches in one pass over the photographs, in all orientations at all levels."""
        variants = (ORIENTATIONS if self.augment else 1) * max(1, len(self.levels))
        if self.stride:
            return int(self._grid_counts().sum()) * variants
        areas = (self.heights * self.widths)[: self._photographs]
        return max(1, int(areas.sum()) // self.patch**2) * variants

    @property
    def _photographs(self) -> int:
        return len(self.heights) - self.drawings - self.chroma

    @property
    def chroma_planes(self) -> range:
        """Numbers of the pictures that are chroma planes."""
        return range(self._photographs, self._photographs + self.chroma)

    def is_drawing(self, patches: Patches) -> NDArray[np.bool_]:
        """Return (B,) which patches are of drawings."""
        drawn: NDArray[np.bool_] = patches.picture >= len(self.heights) - self.drawings
        return drawn

    def is_chroma(self, patches: Patches) -> NDArray[np.bool_]:
        """Return (B,) which patches are of chroma planes."""
        coloured: NDArray[np.bool_] = np.isin(patches.picture, self.chroma_planes)
        return coloured

    def _grid_counts(self) -> Integers:
        rows = (self.heights - self.patch) // self.stride + 1
        columns = (self.widths - self.patch) // self.stride + 1
        counts: Integers = rows * columns
        return counts

    def draw(self, step: int) -> Patches:
        """Return the patches of step ``step`` (from 0), the same in every process."""
        rng = np.random.default_rng([self.seed, _POSITIONS, step])
        drawn = self._grid(step, rng) if self.stride else self._random(rng)
        if self.undamaged:
            drawn.level[rng.random(self.batch) < self.undamaged] = 0
        if self.negatives:
            drawn.orientation[rng.random(self.batch) < self.negatives] += ORIENTATIONS
        return drawn

    def _random(self, rng: np.random.Generator) -> Patches:
        """Pictures by their area, positions and levels evenly; the hardest of several places."""
        count = self.batch * self.hardest_of
        picture = self._by_area(rng, range(self._photographs), count)
        if self.drawn or self.chroma:
            order, from_drawings = self._drawn(rng)
            if self.drawn:
                numbers = rng.integers(self.chroma_planes.stop, len(self.heights), count)
                picture = np.where(np.repeat(from_drawings, self.hardest_of), numbers, picture)
            if self.chroma:
                # from the other end of the order, so that none of them is a drawing
                wanted = int(self.coloured * self.batch + rng.random())
                from_chroma = np.repeat(order >= self.batch - wanted, self.hardest_of)
                numbers = self._by_area(rng, self.chroma_planes, count)
                picture = np.where(from_chroma, numbers, picture)
        level = np.repeat(self._levels(rng), self.hardest_of)
        step = np.maximum(level, 1) if self.aligned else np.ones_like(level)
        top = self._place(rng, self.heights[picture], step)
        left = self._place(rng, self.widths[picture], step)
        turned = rng.integers(0, ORIENTATIONS, count) if self.augment else np.zeros(count, np.int64)
        altered = rng.random(count) < self.altered
        drawn = Patches(picture, top, left, turned, level, altered)
        return drawn if self.hardest_of == 1 else drawn.part(self._hardest(drawn))

    def _by_area(self, rng: np.random.Generator, among: range, count: int) -> Integers:
        areas = (self.heights * self.widths)[among.start : among.stop].astype(np.float64)
        chosen: Integers = rng.choice(len(areas), size=count, p=areas / areas.sum())
        return chosen + among.start

    def _drawn(self, rng: np.random.Generator) -> tuple[Integers, NDArray[np.bool_]]:
        """Return (batch,) a random order of the patches, and which, its first, are from drawings.

        As many in every step, up to one: drawings have other batch statistics than photographs,
        so that their share must not change much.
        """
        wanted = int(self.drawn * self.batch + rng.random())
        order = rng.permutation(self.batch)
        return order, order < wanted

    def _hardest(self, drawn: Patches) -> Integers:
        """Return which of the drawn patches to take: of each ``hardest_of`` the best place."""
        places = zip(drawn.picture, drawn.top, drawn.left, strict=True)
        detail = [detail_of(self.detail[p], top, left, self.patch) for p, top, left in places]
        best = np.reshape(detail, (self.batch, self.hardest_of)).argmax(axis=1)
        chosen: Integers = np.arange(self.batch) * self.hardest_of + best
        return chosen

    def _levels(self, rng: np.random.Generator) -> Integers:
        if self.level_range is not None:
            return rng.integers(self.level_range[0], self.level_range[1] + 1, self.batch)
        # every batch holds every level as often as the others, give or take one
        offset = int(rng.integers(len(self.levels)))
        return np.array(self.levels, np.int64)[(np.arange(self.batch) + offset) % len(self.levels)]

    def _place(self, rng: np.random.Generator, length: Integers, step: Integers) -> Integers:
        choices = self._last(length, step) // step + 1
        chosen = np.minimum((rng.random(len(length)) * choices).astype(np.int64), choices - 1)
        placed: Integers = chosen * step
        return placed

    def _last(self, length: Integers, step: Integers) -> Integers:
        """Return the last multiples of ``step`` at which patches lie in what is shrunk.

        It is cut to a multiple of the scale factor before, which may leave less than a patch.
        """
        last: Integers = np.maximum(length - length % step - self.patch, 0) // step * step
        return last

    def _grid(self, step: int, rng: np.random.Generator) -> Patches:
        """The paper's patches: every one of the grid once an epoch, in a random order.

        For sr each moves to a multiple of its scale factor, at the far edges inward.
        """
        total = self.epoch_samples
        number = step * self.batch + np.arange(self.batch)
        epoch, within = np.divmod(number, total)
        index = np.empty_like(number)
        for one in np.unique(epoch):
            index[epoch == one] = _epoch_order(self.seed, int(one), total)[within[epoch == one]]
        turned = np.zeros_like(index)
        if self.augment:
            index, turned = np.divmod(index, ORIENTATIONS)
        if self.level_range is None:
            index, which = np.divmod(index, len(self.levels))
            level = np.array(self.levels, np.int64)[which]
        else:
            level = self._levels(rng)
        ends = np.cumsum(self._grid_counts())
        picture = np.searchsorted(ends, index, side="right")
        index = index - np.where(picture > 0, ends[picture - 1], 0)
        columns = (self.widths[picture] - self.patch) // self.stride + 1
        top, left = (part * self.stride for part in np.divmod(index, columns))
        if self.aligned:
            top, left = (
                np.minimum(part - part % level, self._last(length[picture], level))
                for part, length in ((top, self.heights), (left, self.widths))
            )
        altered = rng.random(self.batch) < self.altered
        return Patches(picture, top, left, turned, level, altered)


@lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, total: int) -> Integers:
    """Return the permutation of one epoch; kept, because it is long and used many times."""
    order: Integers = np.random.default_rng([seed, _EPOCH, epoch]).permutation(total)
    return order

"""JPEG patches as they are drawn: each is compressed with the whole 8x8 blocks that it lies in.

A block's result is of its own pixels alone, so that the patch is the one that would be cut from the
whole picture, sent through libjpeg.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.degradations import jpeg_compress, jpeg_resaved
from memnet_cli.training.sampler import ORIENTATIONS, Integers, Patches

_BLOCK = 8
#: Distinguishes what patches that are saved twice are drawn from; the sampler and the noise have 1
#: to 3.
_RESAVED = 4

Plane = NDArray[np.uint8]


@dataclass(frozen=True)
class EarlierSaves:
    """How patches were compressed before, where they were.

    Attributes:
        quality: (B,) quality factors.
        top, left: (B,) 0 to 7, how far before the blocks of the later compression those of the
            earlier one begin.
    """

    quality: Integers
    top: Integers
    left: Integers

    def part(self, chosen: slice) -> EarlierSaves:
        """Return those of some of the patches."""
        return EarlierSaves(self.quality[chosen], self.top[chosen], self.left[chosen])


def earlier_saves(qualities: Sequence[int], seed: int, step: int, batch: int) -> EarlierSaves:
    """Draw earlier compressions for a whole step, as a pure function of (seed, step)."""
    rng = np.random.default_rng([seed, _RESAVED, step])
    quality = rng.choice(np.array(qualities, np.int64), batch)
    return EarlierSaves(quality, rng.integers(0, _BLOCK, batch), rng.integers(0, _BLOCK, batch))


def compressed(
    planes: Sequence[Plane],
    patches: Patches,
    side: int,
    earlier: EarlierSaves | None,
    chroma: NDArray[np.bool_],
) -> Plane:
    """Return (B, side, side) patches of the pictures after libjpeg, upright.

    What is turned, flipped or negative later is compressed as it will be: quantisation tables are
    not the same along rows and columns. It is returned turned back.

    Args:
        planes: 8-bit pictures, (H, W) each.
        patches: B of them; ``level`` is the quality factor.
        side: of the patches.
        earlier: the compressions before, of those patches that are ``altered``.
        chroma: (B,) which patches are of Cb or Cr, with another table.
    """

    def one(index: int) -> Plane:
        orientation = int(patches.orientation[index])
        top, left = int(patches.top[index]), int(patches.left[index])
        quality = int(patches.level[index])
        plane = planes[int(patches.picture[index])]
        # a block more on all sides: those at the edge are saved with what was cut off before
        window, offset = _window(plane, top, left, side)
        shown = _turned(window, orientation)
        if earlier is not None and patches.altered[index]:
            first = int(earlier.quality[index])
            shift = int(earlier.top[index]), int(earlier.left[index])
            saved = jpeg_resaved(shown, first, quality, *shift, chroma=bool(chroma[index]))
        else:
            saved = jpeg_compress(shown, quality, chroma=bool(chroma[index]))
        y, x = offset
        return _turned_back(saved, orientation)[y : y + side, x : x + side]

    return np.stack([one(index) for index in range(len(patches.level))])


def _turned(window: Plane, orientation: int) -> Plane:
    """Return a window in one of the sampler's orientations."""
    negative, turned = divmod(orientation, ORIENTATIONS)
    flipped, quarters = divmod(turned, 4)
    shown = np.rot90(window, quarters)
    shown = np.fliplr(shown) if flipped else shown
    return np.ascontiguousarray(255 - shown if negative else shown)


def _turned_back(shown: Plane, orientation: int) -> Plane:
    """Return the window that :func:`_turned` shows so."""
    negative, turned = divmod(orientation, ORIENTATIONS)
    flipped, quarters = divmod(turned, 4)
    window = np.rot90(np.fliplr(shown) if flipped else shown, -quarters)
    return 255 - window if negative else window


def _window(plane: Plane, top: int, left: int, side: int) -> tuple[Plane, tuple[int, int]]:
    """Return a square of whole blocks about a patch, and where the patch is in it.

    Beyond the picture its edge is repeated, as libjpeg does in the last blocks.
    """
    starts = [corner // _BLOCK * _BLOCK - _BLOCK for corner in (top, left)]
    length = -(-(side + _BLOCK - 1) // _BLOCK) * _BLOCK + 2 * _BLOCK
    rows, columns = (
        np.clip(np.arange(start, start + length), 0, size - 1)
        for start, size in zip(starts, plane.shape, strict=True)
    )
    return plane[rows[:, None], columns], (top - starts[0], left - starts[1])

"""Two benchmark results, row by row: what got better, what worse, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from memnet_cli.errors import UsageError
from memnet_cli.evaluation.results import Results, Row

#: A sign test below this is called clear.
SIGNIFICANCE = 0.05
#: Smaller differences in dB are rounding of another machine, not an image won.
_TIE = 1e-4


@dataclass(frozen=True)
class RowChange:
    """How one row changed from the first result to the second.

    Attributes:
        psnr: change of the mean over images, dB.
        ssim: change of the mean over images.
        speed: megapixels per second, second over first.
        better, worse, equal: number of images by change of PSNR.
        p_value: of a two-sided sign test over the images that changed; 1 if none did.
    """

    before: Row
    after: Row
    psnr: float
    ssim: float
    speed: float
    better: int
    worse: int
    equal: int
    p_value: float

    @property
    def verdict(self) -> Literal["same", "better", "worse", "unclear"]:
        """Say better or worse where the sign test is clear and the mean agrees with it."""
        if self.better == self.worse == 0:
            return "same"
        if self.p_value >= SIGNIFICANCE or (self.better > self.worse) != (self.psnr > 0):
            return "unclear"
        return "better" if self.psnr > 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """All rows that both results have, and how many only one of them has."""

    changes: tuple[RowChange, ...]
    only_before: int
    only_after: int


def _place(row: Row) -> tuple[str, str, int]:
    return row.scores.dataset, row.scores.task, row.scores.level


def _pairs(before: Results, after: Results) -> list[tuple[Row, Row]]:
    """Pair rows of one place by method; what is left over alone on both sides is a pair too."""
    pairs = []
    for place in dict.fromkeys(map(_place, before.rows)):
        first = {row.method: row for row in before.rows if _place(row) == place}
        second = {row.method: row for row in after.rows if _place(row) == place}
        pairs += [(row, second[name]) for name, row in first.items() if name in second]
        alone_first = [row for name, row in first.items() if name not in second]
        alone_second = [row for name, row in second.items() if name not in first]
        if len(alone_first) == len(alone_second) == 1:
            pairs.append((alone_first[0], alone_second[0]))
    return pairs


def compare(before: Results, after: Results) -> Comparison:
    """Compare every dataset, task, level and method that both results have.

    Methods are paired by name; where each side has exactly one method that the other has not,
    these two are compared.

    Raises:
        UsageError: if there is no common row, or the noise or the images differ.
    """
    pairs = _pairs(before, after)
    if not pairs:
        raise UsageError(
            "The two results have no dataset, level and method in common: nothing to compare."
        )
    if before.seed != after.seed and any(a.scores.task == "denoise" for a, _ in pairs):
        raise UsageError(
            f"The noise differs: seed {before.seed} and seed {after.seed}; run both with one seed."
        )
    changes = tuple(_change(first, second) for first, second in pairs)
    return Comparison(changes, len(before.rows) - len(pairs), len(after.rows) - len(pairs))


def _change_of_psnr(before: float, after: float) -> float:
    return 0.0 if before == after else after - before  # both may be infinite: perfect


def _change(before: Row, after: Row) -> RowChange:
    from scipy.stats import binomtest

    first = {image.name: image for image in before.scores.images}
    second = {image.name: image for image in after.scores.images}
    if first.keys() != second.keys():
        raise UsageError(
            f"The images of {before.scores.dataset} differ between the two results "
            f"({len(first)} and {len(second)}): run both on the same ones."
        )
    resized = sorted(name for name in first if first[name].pixels != second[name].pixels)
    if resized:
        name = resized[0]
        raise UsageError(
            f"{name} of {before.scores.dataset} has {first[name].pixels} measured pixels in one "
            f"result and {second[name].pixels} in the other: run both on the same images."
        )
    gains = np.array([second[name].psnr - image.psnr for name, image in first.items()])
    gains[np.isnan(gains)] = 0.0  # perfect in both: infinity minus infinity
    better, worse = int((gains > _TIE).sum()), int((gains < -_TIE).sum())
    p_value = binomtest(better, better + worse).pvalue if better + worse else 1.0
    return RowChange(
        before=before,
        after=after,
        psnr=_change_of_psnr(before.scores.psnr, after.scores.psnr),
        ssim=after.scores.ssim - before.scores.ssim,
        speed=after.scores.megapixels_per_second / before.scores.megapixels_per_second,
        better=better,
        worse=worse,
        equal=len(gains) - better - worse,
        p_value=float(p_value),
    )

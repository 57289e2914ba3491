"""What a few runs can show: Student's t intervals of means and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

#: Of every interval that is printed.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over runs and how far it can be trusted.

    Attributes:
        mean: of the values.
        half_width: of the confidence interval around it; None if one value leaves it unknown.
        count: of values.
    """

    mean: float
    half_width: float | None
    count: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or None."""
        if self.half_width is None:
            return None
        return self.mean - self.half_width, self.mean + self.half_width

    @property
    def sign(self) -> Literal[-1, 0, 1]:
        """The sign of the mean if the interval leaves 0 out, else 0."""
        if self.half_width is None or abs(self.mean) <= self.half_width:
            return 0
        return 1 if self.mean > 0 else -1


def estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of independent values and its two-sided t interval.

    The half width is t s / sqrt(n), s the sample standard deviation and t the quantile of
    Student's distribution with n - 1 degrees of freedom (Student, Biometrika 1908).

    Raises:
        ValueError: for no value.
    """
    from scipy.stats import t

    if not values:
        raise ValueError("there is nothing to estimate")
    mean, count = float(np.mean(values)), len(values)
    if count == 1:
        return Estimate(mean, None, 1)
    quantile = float(t.ppf((1.0 + confidence) / 2.0, count - 1))
    spread = float(np.std(values, ddof=1))
    return Estimate(mean, quantile * spread / math.sqrt(count), count)


def paired_difference(one: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
    """Return the estimate of ``one`` minus ``other`` over the seeds that both have, or None."""
    shared = sorted(one.keys() & other.keys())
    return estimate([one[seed] - other[seed] for seed in shared]) if shared else None

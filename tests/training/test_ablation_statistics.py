"""Intervals against SciPy's own, closed forms, and how often they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp, ttest_rel

from memnet_cli.training.statistics import Estimate, estimate, paired_difference

_VALUES = [33.91, 33.98, 34.05, 33.87]


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_is_that_of_scipys_t_test(confidence: float) -> None:
    made = estimate(_VALUES, confidence)
    expected = ttest_1samp(_VALUES, 0.0).confidence_interval(confidence)
    assert made.interval == pytest.approx((expected.low, expected.high), abs=1e-10)
    assert made.mean == pytest.approx(sum(_VALUES) / 4)
    assert made.count == 4


def test_two_and_three_values_have_closed_forms() -> None:
    # one degree of freedom is Cauchy's distribution: t = tan(pi (p - 1/2))
    two = estimate([1.0, 3.0])
    assert two.half_width == pytest.approx(math.tan(math.pi * 0.475))
    # two degrees: t = (2p - 1) / sqrt(2 p (1 - p))
    three = estimate([1.0, 2.0, 3.0])
    quantile = 0.95 / math.sqrt(2 * 0.975 * 0.025)
    assert three.half_width == pytest.approx(quantile / math.sqrt(3))


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    one = estimate([30.0])
    assert (one.half_width, one.interval, one.sign) == (None, None, 0)
    with pytest.raises(ValueError, match="nothing"):
        estimate([])


@pytest.mark.parametrize(
    ("mean", "half", "sign"),
    [(0.2, 0.1, 1), (-0.2, 0.1, -1), (0.1, 0.1, 0), (0.1, None, 0), (0.0, 0.0, 0), (0.1, 0.0, 1)],
)
def test_the_sign_is_known_where_the_interval_leaves_0_out(
    mean: float, half: float | None, sign: int
) -> None:
    assert Estimate(mean, half, 3).sign == sign


def test_differences_are_paired_by_seed() -> None:
    one = {0: 30.0, 1: 31.0, 2: 32.5, 7: 99.0}
    other = {2: 32.0, 1: 30.8, 0: 29.9, 8: 11.0}
    made = paired_difference(one, other)
    assert made is not None
    test = ttest_rel([30.0, 31.0, 32.5], [29.9, 30.8, 32.0])
    interval = test.confidence_interval(0.95)
    assert made.interval == pytest.approx((interval.low, interval.high))
    # seeds differ by more than the variants do: only the pairing shows the difference
    unpaired = estimate([30.0, 31.0, 32.5]).half_width
    assert unpaired is not None and made.half_width is not None
    assert made.half_width < unpaired / 4
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_95_of_100_intervals_hold_the_truth(rng: np.random.Generator) -> None:
    draws = rng.normal(30.0, 0.1, (2000, 3))
    held = [abs(e.mean - 30.0) <= (e.half_width or 0.0) for e in map(estimate, draws.tolist())]
    # three standard deviations of a binomial count
    assert abs(np.mean(held) - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 2000)
    assert t.ppf(0.975, 2) > 4  # three seeds make wide intervals, and that is why

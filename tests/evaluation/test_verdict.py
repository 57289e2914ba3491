from __future__ import annotations

import dataclasses

import pytest

from memnet_cli.evaluation.results import Results
from memnet_cli.evaluation.verdict import Verdict, judge

from .conftest import MakeRow, make_results


def verdict(results: Results, tolerance: float = 0.02) -> Verdict:
    (only,) = judge(results, psnr_tolerance=tolerance, ssim_tolerance=0.001)
    return only


# MemNet, table 4: bicubic on Set5 x2 33.66/0.9299, MemNet 37.78/0.9597
@pytest.mark.parametrize(
    ("psnr", "ssim", "passed"),
    [
        (33.67, 0.9299, True),
        (33.63, 0.9299, False),
        (33.69, 0.9299, False),
        (33.66, 0.9300, True),
        (33.66, 0.9280, False),
    ],
)
def test_an_untrained_row_must_be_the_published_one(
    make_row: MakeRow, psnr: float, ssim: float, passed: bool
) -> None:
    found = verdict(make_results(make_row("bicubic", psnr=(psnr,), ssim=ssim)))
    assert found.expected.exact
    assert found.passed is passed


def test_a_trained_row_may_be_better_than_published(make_row: MakeRow) -> None:
    assert verdict(make_results(make_row(psnr=(38.5,), ssim=0.99))).passed
    assert not verdict(make_results(make_row(psnr=(37.0,), ssim=0.99))).passed
    assert verdict(make_results(make_row(psnr=(37.0,), ssim=0.99)), tolerance=1.0).passed


def test_recorded_values_come_before_published_ones(make_row: MakeRow) -> None:
    results = make_results(make_row(psnr=(36.76,), ssim=0.955))
    recorded = {"Set5": {"2": {"psnr": 36.76, "ssim": 0.9552}}}
    card = dataclasses.replace(results.methods[0], recorded=recorded)
    found = verdict(dataclasses.replace(results, methods=(card,)))
    assert found.expected.source == "the weights file"
    assert found.passed
    better = dataclasses.replace(
        results, methods=(card,), rows=(make_row(psnr=(36.9,), ssim=0.955),)
    )
    assert not verdict(better).passed  # the same weights cannot improve: something else changed


def test_rows_without_an_expectation_are_left_out(make_row: MakeRow) -> None:
    results = make_results(make_row(dataset="folder"), make_row("tiny"))
    assert judge(results, psnr_tolerance=0.02, ssim_tolerance=0.001) == ()

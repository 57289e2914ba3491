"""Compare what was measured with what was published or recorded: pass or fail, row by row."""

from __future__ import annotations

from dataclasses import dataclass

from memnet_cli.evaluation.published import find_published
from memnet_cli.evaluation.results import MethodCard, Results, Row


@dataclass(frozen=True)
class Expectation:
    """What a row should reach.

    Attributes:
        psnr, ssim: the expected values; SSIM is None where none is printed.
        source: where they come from.
        exact: True if a deviation to either side is a miss: nothing is trained, or the same
            weights were measured before. False if only a lower value is.
    """

    psnr: float
    ssim: float | None
    source: str
    exact: bool


@dataclass(frozen=True)
class Verdict:
    """One row against its expectation; differences are measured minus expected."""

    row: Row
    expected: Expectation
    psnr_difference: float
    ssim_difference: float | None
    passed: bool


def expectation(card: MethodCard, dataset: str, level: int) -> Expectation | None:
    """Return what the method should reach: recorded in its weights, else published, else None."""
    recorded = card.recorded.get(dataset, {}).get(str(level))
    if recorded is not None and "psnr" in recorded:
        return Expectation(recorded["psnr"], recorded.get("ssim"), "the weights file", True)
    if card.published_as is None:
        return None
    row = find_published(dataset, card.task, level, card.published_as)
    if row is None:
        return None
    return Expectation(row.psnr, row.ssim, row.short_source, exact=card.kind == "baseline")


def judge(results: Results, *, psnr_tolerance: float, ssim_tolerance: float) -> tuple[Verdict, ...]:
    """Return a verdict for every row of ``results`` that something can be expected of."""
    verdicts = []
    for row in results.rows:
        expected = expectation(results.card(row), row.scores.dataset, row.scores.level)
        if expected is not None:
            verdicts.append(_verdict(row, expected, psnr_tolerance, ssim_tolerance))
    return tuple(verdicts)


def _verdict(
    row: Row, expected: Expectation, psnr_tolerance: float, ssim_tolerance: float
) -> Verdict:
    psnr = row.scores.psnr - expected.psnr
    ssim = None if expected.ssim is None else row.scores.ssim - expected.ssim
    passed = _within(psnr, psnr_tolerance, expected.exact) and (
        ssim is None or _within(ssim, ssim_tolerance, expected.exact)
    )
    return Verdict(row, expected, psnr, ssim, passed)


def _within(difference: float, tolerance: float, exact: bool) -> bool:
    return (abs(difference) if exact else -difference) <= tolerance

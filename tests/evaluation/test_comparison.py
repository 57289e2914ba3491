from __future__ import annotations

import dataclasses
import math

import pytest

from memnet_cli.errors import UsageError
from memnet_cli.evaluation.comparison import compare

from .conftest import MakeRow, make_results

BEFORE = tuple(30.0 + index for index in range(10))


def shifted(*gains: float) -> tuple[float, ...]:
    return tuple(value + gain for value, gain in zip(BEFORE, gains, strict=True))


def test_every_image_better_is_clear(make_row: MakeRow) -> None:
    after = make_results(make_row(psnr=shifted(*[0.1] * 10)))
    (change,) = compare(make_results(make_row(psnr=BEFORE)), after).changes
    assert (change.better, change.worse, change.verdict) == (10, 0, "better")
    assert change.psnr == pytest.approx(0.1)
    assert change.p_value == pytest.approx(2 * 0.5**10)  # closed form of the sign test


def test_mixed_images_are_not_clear(make_row: MakeRow) -> None:
    gains = [0.1] * 6 + [-0.1] * 4
    after = make_results(make_row(psnr=shifted(*gains)))
    (change,) = compare(make_results(make_row(psnr=BEFORE)), after).changes
    assert (change.better, change.worse, change.verdict) == (6, 4, "unclear")


def test_five_images_cannot_be_clear(make_row: MakeRow) -> None:
    before, after = make_row(psnr=BEFORE[:5]), make_row(psnr=tuple(v - 1 for v in BEFORE[:5]))
    (change,) = compare(make_results(before), make_results(after)).changes
    assert (change.worse, change.p_value, change.verdict) == (5, 0.0625, "unclear")


def test_worse_and_same(make_row: MakeRow) -> None:
    before = make_results(make_row(psnr=BEFORE), make_row("bicubic", psnr=BEFORE))
    after = make_results(make_row("bicubic", psnr=BEFORE), make_row(psnr=shifted(*[-0.2] * 9, 0.0)))
    memnet, bicubic = compare(before, after).changes
    assert (memnet.verdict, memnet.worse, memnet.equal) == ("worse", 9, 1)
    assert (bicubic.verdict, bicubic.p_value) == ("same", 1.0)


def test_a_mean_against_the_majority_is_not_clear(make_row: MakeRow) -> None:
    gains = [0.1] * 9 + [-5.0]
    after = make_results(make_row(psnr=shifted(*gains)))
    (change,) = compare(make_results(make_row(psnr=BEFORE)), after).changes
    assert change.p_value < 0.05
    assert change.verdict == "unclear"


def test_the_only_other_method_of_each_side_is_compared(make_row: MakeRow) -> None:
    before = make_results(make_row("old", psnr=BEFORE), make_row("bicubic", psnr=BEFORE))
    after = make_results(make_row("new", psnr=BEFORE), make_row("bicubic", psnr=BEFORE))
    pairs = {(c.before.method, c.after.method) for c in compare(before, after).changes}
    assert pairs == {("old", "new"), ("bicubic", "bicubic")}


def test_rows_of_one_side_are_counted(make_row: MakeRow) -> None:
    before = make_results(make_row(), make_row(level=3))
    after = make_results(make_row(), make_row(dataset="Set14"), make_row(level=4))
    found = compare(before, after)
    assert (len(found.changes), found.only_before, found.only_after) == (1, 1, 2)


def test_nothing_in_common(make_row: MakeRow) -> None:
    with pytest.raises(UsageError, match="nothing to compare"):
        compare(make_results(make_row()), make_results(make_row(level=3)))


def test_other_images_or_other_noise_are_refused(make_row: MakeRow) -> None:
    with pytest.raises(UsageError, match="images of Set5 differ"):
        compare(make_results(make_row()), make_results(make_row(psnr=BEFORE)))
    noise = make_results(make_row(dataset="Set12", task="denoise", level=30))
    with pytest.raises(UsageError, match="seed 0 and seed 1"):
        compare(noise, dataclasses.replace(noise, seed=1))
    larger = make_row()
    images = tuple(dataclasses.replace(image, pixels=7) for image in larger.scores.images)
    scores = dataclasses.replace(larger.scores, images=images)
    with pytest.raises(UsageError, match="7 in the other"):
        compare(make_results(make_row()), make_results(dataclasses.replace(larger, scores=scores)))


def test_perfect_in_both_is_no_change(make_row: MakeRow) -> None:
    perfect = make_results(make_row(psnr=(math.inf,) * 3))
    (change,) = compare(perfect, perfect).changes
    assert (change.psnr, change.verdict) == (0.0, "same")

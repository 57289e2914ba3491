"""Patches as a pure function of seed and step."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from memnet_cli.errors import DatasetError
from memnet_cli.training.detail import detail_sums
from memnet_cli.training.sampler import ORIENTATIONS, Patches, Sampler

_HEIGHTS, _WIDTHS = np.array([48, 60, 36]), np.array([60, 36, 96])
_RANDOM = Sampler(
    heights=_HEIGHTS,
    widths=_WIDTHS,
    patch=16,
    stride=0,
    aligned=True,
    augment=True,
    levels=(2, 3, 4),
    level_range=None,
    undamaged=0.0,
    altered=0.25,
    batch=12,
    seed=7,
)


def _equal(one: Patches, other: Patches) -> bool:
    names = [field.name for field in fields(Patches)]
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("stride", [0, 7])
def test_a_step_draws_the_same_patches_whenever_it_is_asked(stride: int) -> None:
    sampler = replace(_RANDOM, stride=stride)
    late = sampler.draw(1000)
    for step in range(5):
        sampler.draw(step)
    assert _equal(replace(_RANDOM, stride=stride).draw(1000), late)
    assert not _equal(sampler.draw(1001), late)
    assert not _equal(replace(sampler, seed=8).draw(1000), late)


@pytest.mark.parametrize("stride", [0, 7])
def test_patches_lie_inside_and_on_the_grid_of_their_scale(stride: int) -> None:
    sampler = replace(_RANDOM, stride=stride)
    levels, altered = [], []
    for step in range(60):
        drawn = sampler.draw(step)
        assert (drawn.top >= 0).all() and (drawn.left >= 0).all()
        assert (drawn.top + 16 <= _HEIGHTS[drawn.picture]).all()
        assert (drawn.left + 16 <= _WIDTHS[drawn.picture]).all()
        assert (drawn.top % drawn.level == 0).all() and (drawn.left % drawn.level == 0).all()
        assert set(drawn.orientation) <= set(range(8))
        levels += list(drawn.level)
        altered += list(drawn.altered)
    counts = np.bincount(levels)[2:]
    assert counts.min() > 0.85 * counts.max()
    assert np.mean(altered) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("stride", [0, 7])
def test_patches_lie_in_what_is_left_of_a_picture_that_is_shrunk(stride: int) -> None:
    odd = replace(_RANDOM, heights=_HEIGHTS - 1, widths=_WIDTHS + 1, levels=(5, 7), stride=stride)
    for step in range(60):
        drawn = odd.draw(step)
        for corner, sides in ((drawn.top, odd.heights), (drawn.left, odd.widths)):
            side = sides[drawn.picture]
            assert (corner >= 0).all() and (corner % drawn.level == 0).all()
            assert (corner + 16 <= side - side % drawn.level).all()


def test_random_positions_reach_every_corner_and_larger_pictures_more_often() -> None:
    sampler = replace(_RANDOM, levels=(2,))
    drawn = [sampler.draw(step) for step in range(300)]
    picture = np.concatenate([patches.picture for patches in drawn])
    top = np.concatenate([patches.top for patches in drawn])
    for index, height in enumerate(_HEIGHTS):
        inside = top[picture == index]
        assert (inside.min(), inside.max()) == (0, height - 16)
    shares = np.bincount(picture) / len(picture)
    areas = _HEIGHTS * _WIDTHS
    assert shares == pytest.approx(areas / areas.sum(), abs=0.03)


def test_an_epoch_takes_every_patch_in_every_way_once() -> None:
    sampler = replace(_RANDOM, stride=20, levels=(2, 4), aligned=False, batch=24)
    # (48-16)//20+1 = 2 rows by 3 columns, 3 by 2, 2 by 5: 22 patches, 8 ways, 2 levels
    assert sampler.epoch_samples == 22 * 8 * 2
    steps = 2 * sampler.epoch_samples // 24 + 1
    drawn = [sampler.draw(step) for step in range(steps)]
    rows = np.concatenate(
        [np.stack([d.picture, d.top, d.left, d.orientation, d.level], axis=1) for d in drawn]
    )
    first, second = rows[:352], rows[352:704]
    assert len(np.unique(first, axis=0)) == len(np.unique(second, axis=0)) == 352
    assert not np.array_equal(first, second)
    assert set(first[:, 1]) == {0, 20, 40}


def test_noise_levels_come_from_the_whole_range_and_some_patches_stay_clean() -> None:
    sampler = replace(
        _RANDOM, aligned=False, levels=(), level_range=(5, 75), undamaged=0.1, altered=0.0
    )
    levels = np.concatenate([sampler.draw(step).level for step in range(400)])
    assert np.mean(levels == 0) == pytest.approx(0.1, abs=0.02)
    noisy = levels[levels > 0]
    assert (noisy.min(), noisy.max()) == (5, 75)
    assert noisy.mean() == pytest.approx(40, abs=1.5)


def test_a_share_of_the_patches_are_negatives_and_all_else_stays() -> None:
    plain, mixed = _RANDOM, replace(_RANDOM, negatives=0.25)
    share = []
    for step in range(50):
        before, after = plain.draw(step), mixed.draw(step)
        negative = after.orientation >= ORIENTATIONS
        share.append(negative.mean())
        assert np.array_equal(after.orientation % ORIENTATIONS, before.orientation)
        for field in ("picture", "top", "left", "level", "altered"):
            assert np.array_equal(getattr(after, field), getattr(before, field))
    assert np.mean(share) == pytest.approx(0.25, abs=0.06)


def test_parts_of_a_step_make_up_the_step() -> None:
    drawn = _RANDOM.draw(3)
    parts = [drawn.part(slice(start, start + 4)) for start in (0, 4, 8)]
    assert np.array_equal(np.concatenate([part.top for part in parts]), drawn.top)


def test_the_hardest_of_several_places_is_taken() -> None:
    # detail in the right half of the pictures alone
    planes = [np.zeros((48, 64), np.uint8), np.zeros((64, 48), np.uint8)]
    for plane in planes:
        plane[:, plane.shape[1] // 2 :] = (
            np.indices((plane.shape[0], plane.shape[1] // 2)).sum(0) % 2
        )
    sampler = replace(
        _RANDOM,
        heights=np.array([48, 64]),
        widths=np.array([64, 48]),
        hardest_of=6,
        detail=tuple(map(detail_sums, planes)),
    )
    drawn = [sampler.draw(step) for step in range(40)]
    assert _equal(sampler.draw(3), drawn[3])
    for patches in drawn:
        assert len(patches.top) == 12
        assert sorted(patches.level) == [2] * 4 + [3] * 4 + [4] * 4
        assert (patches.left % patches.level == 0).all()
    flat = np.concatenate([d.left + 16 <= sampler.widths[d.picture] // 2 for d in drawn])
    usual = [replace(sampler, hardest_of=1).draw(step) for step in range(40)]
    any_place = np.concatenate([d.left + 16 <= sampler.widths[d.picture] // 2 for d in usual])
    assert flat.mean() < 0.01
    assert any_place.mean() > 0.2


@pytest.mark.parametrize("hardest_of", [1, 3])
def test_the_share_of_drawings_is_kept_in_every_step(hardest_of: int) -> None:
    planes = [np.random.default_rng(0).integers(0, 9, (48, 48)).astype(np.uint8)] * 5
    sampler = replace(
        _RANDOM,
        heights=np.full(5, 48),
        widths=np.full(5, 48),
        drawn=0.2,
        drawings=3,
        hardest_of=hardest_of,
        detail=tuple(map(detail_sums, planes)),
    )
    steps = [sampler.draw(step) for step in range(200)]
    counts = [sampler.is_drawing(patches).sum() for patches in steps]
    assert set(counts) == {2, 3}
    assert np.mean(counts) == pytest.approx(0.2 * 12, abs=0.1)
    # at any place of the batch, and from all drawings
    places = np.mean([sampler.is_drawing(patches) for patches in steps], axis=0)
    assert places == pytest.approx(0.2, abs=0.1)
    shares = np.bincount(np.concatenate([patches.picture for patches in steps])) / 2400
    assert shares == pytest.approx([0.4, 0.4, 0.2 / 3, 0.2 / 3, 0.2 / 3], abs=0.04)


def test_drawings_do_not_make_an_epoch_longer() -> None:
    five = replace(_RANDOM, heights=np.full(5, 48), widths=np.full(5, 48))
    two = replace(_RANDOM, heights=np.full(2, 48), widths=np.full(2, 48))
    assert replace(five, drawn=0.2, drawings=3).epoch_samples == two.epoch_samples


def test_pictures_smaller_than_a_patch_are_refused() -> None:
    with pytest.raises(DatasetError, match="No training picture is as large as a patch of 16x16"):
        replace(_RANDOM, heights=np.array([], np.int64), widths=np.array([], np.int64))
    with pytest.raises(DatasetError, match="No training picture"):
        replace(_RANDOM, drawn=0.2, drawings=3)  # nothing but drawings


def test_chroma_has_its_share_beside_the_drawings() -> None:
    sampler = replace(
        _RANDOM,
        heights=np.array([48, 48, 24, 48, 48]),
        widths=np.array([48, 48, 24, 48, 48]),
        drawn=0.2,
        drawings=1,
        coloured=0.3,
        chroma=2,
    )
    assert sampler.chroma_planes == range(2, 4)
    steps = [sampler.draw(step) for step in range(300)]
    assert {int(sampler.is_chroma(patches).sum()) for patches in steps} == {3, 4}
    assert {int(sampler.is_drawing(patches).sum()) for patches in steps} == {2, 3}
    assert not any((sampler.is_chroma(d) & sampler.is_drawing(d)).any() for d in steps)
    shares = np.bincount(np.concatenate([patches.picture for patches in steps])) / 3600
    # by their areas: a quarter of the other
    assert shares == pytest.approx([0.25, 0.25, 0.06, 0.24, 0.2], abs=0.03)
    places = np.mean([sampler.is_chroma(patches) for patches in steps], axis=0)
    assert places == pytest.approx(0.3, abs=0.1)


def test_a_share_of_no_chroma_planes_changes_no_patch() -> None:
    drawing = replace(_RANDOM, heights=np.full(5, 48), widths=np.full(5, 48), drawn=0.2, drawings=3)
    patches = drawing.draw(7)
    again = replace(drawing, coloured=0.5).draw(7)  # a share of no planes
    assert np.array_equal(patches.picture, again.picture)
    assert np.array_equal(patches.top, again.top)

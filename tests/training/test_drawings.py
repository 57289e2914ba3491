"""Drawings to train on: what photographs lack, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data as photographs

from memnet_cli.training.drawings import drawings


def _steps(plane: np.ndarray) -> float:
    """Share of neighbouring pixels that differ by half the range or more."""
    return float(np.mean(np.abs(np.diff(plane.astype(int), axis=1)) >= 128))


def test_drawings_are_the_same_for_the_same_seed_alone() -> None:
    first, again, other = drawings(7, 48, 1), drawings(6, 48, 1), drawings(6, 48, 2)
    for number, plane in enumerate(again):
        assert plane.shape == (240, 240) and plane.dtype == np.uint8
        assert np.array_equal(plane, first[number])
        assert not np.array_equal(plane, other[number])
    for plane, same in zip(drawings(3, 48, 1, first=4), first[4:], strict=True):
        assert np.array_equal(plane, same)


@pytest.mark.parametrize("patch", [240, 241, 300])
def test_every_patch_fits_and_every_scale_divides(patch: int) -> None:
    (height, width) = drawings(1, patch, 0)[0].shape
    assert height == width >= patch
    assert [height % divisor for divisor in (2, 3, 4, 8)] == [0, 0, 0, 0]


def test_drawings_have_the_sharp_edges_that_photographs_lack() -> None:
    made = drawings(60, 48, 0)
    photograph = max(_steps(photographs.camera()), _steps(photographs.coins()))
    assert photograph < 0.005
    assert np.mean([_steps(plane) for plane in made]) > 10 * photograph
    extremes = [(plane.min(), plane.max()) for plane in made]
    # about half are drawn in full black and white, of grey or of luma, some of them blurred
    full = np.mean([low <= 16 and high >= 235 for low, high in extremes])
    assert full == pytest.approx(0.5, abs=0.2)
    assert np.mean([len(np.unique(plane)) == 1 for plane in made]) < 0.1


def test_lines_of_text_reach_from_edge_to_edge() -> None:
    for plane in [plane for number, plane in enumerate(drawings(60, 48, 0)) if number % 3 == 0]:
        left, right = (np.std(part) for part in (plane[:, 8:68], plane[:, -60:]))
        assert right > left / 2

"""How much detail a patch has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import convolve

from memnet_cli.training.detail import detail_of, detail_sums

_LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])


@pytest.mark.parametrize(("height", "width"), [(64, 48), (61, 45)])
def test_detail_is_the_energy_of_the_laplacian_of_the_square(height: int, width: int) -> None:
    plane = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    energy = convolve(plane.astype(np.float64), _LAPLACIAN, mode="reflect") ** 2
    sums = detail_sums(plane)
    for top, left in ((0, 0), (8, 16), (16, 0)):
        wanted = energy[top : top + 24, left : left + 24].sum()
        assert detail_of(sums, top, left, 24) == pytest.approx(wanted)
        assert detail_of(sums, top + 1, left + 1, 24) == pytest.approx(wanted)
    whole = detail_of(sums, height - 24, width - 24, 24)
    assert 0 < whole <= energy.sum()


@pytest.mark.parametrize("length", [16, 17, 18, 19])
def test_every_place_of_the_smallest_patch_has_a_cell(length: int) -> None:
    sums = detail_sums(np.random.default_rng(0).integers(0, 256, (length, 16)).astype(np.uint8))
    assert all(detail_of(sums, top, 12, 4) > 0 for top in range(length - 3))


def test_a_flat_picture_has_no_detail() -> None:
    assert detail_of(detail_sums(np.full((32, 32), 7, np.uint8)), 5, 5, 16) == 0.0

"""Bands of rows cover a plane once, and see one row more on either side."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from memnet_cli.models.bands import one_band, plan_bands, with_neighbours


@pytest.mark.parametrize("height", [1, 2, 5, 6, 7, 12, 13, 100])
@pytest.mark.parametrize("pixels", [1, 60, 700, 10**6])
def test_bands_cover_every_row_once(height: int, pixels: int) -> None:
    planned = plan_bands(2, height, 10, pixels)
    rows = [row for band in planned for row in range(height)[band.rows]]
    assert rows == list(range(height))
    assert (len(planned) == 1) == planned[0].is_plane
    largest = max(band.rows.stop - band.rows.start for band in planned)
    assert len(planned) == 1 or 2 * 10 * (largest - 6) < pixels


@pytest.mark.parametrize("pixels", [1, 60, 10**6])
def test_a_convolution_in_bands_is_that_of_the_plane(pixels: int) -> None:
    maps, weight = torch.rand(2, 3, 19, 5), torch.rand(4, 3, 3, 3)
    expected = F.conv2d(maps, weight, padding=1)
    planned = plan_bands(2, 19, 5, pixels)
    for windows in (
        [band.window(maps[:, :, band.seen]) for band in planned],
        list(with_neighbours([maps[:, :, band.rows] for band in planned])),
    ):
        parts = [
            F.conv2d(window, weight, padding=(band.padding, 1))
            for band, window in zip(planned, windows, strict=True)
        ]
        torch.testing.assert_close(torch.cat(parts, dim=2), expected)


def test_one_band_is_the_plane() -> None:
    (band,) = one_band(7)
    assert band.is_plane
    assert band.padding == 1
    assert range(7)[band.rows] == range(7)[band.seen] == range(7)

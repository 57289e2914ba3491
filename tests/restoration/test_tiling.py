from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from memnet_cli.errors import UsageError
from memnet_cli.restoration.tiling import plan_axis, plan_tiles


@given(
    length=st.integers(1, 500),
    tile=st.integers(1, 200),
    overlap=st.integers(0, 60),
    grid=st.integers(1, 4),
)
def test_kept_parts_cover_the_axis_once_with_context(
    length: int, tile: int, overlap: int, grid: int
) -> None:
    if tile // grid <= 2 * -(-overlap // grid) and tile < length:
        with pytest.raises(UsageError, match="at least") as refused:
            plan_axis(length, tile, overlap, grid)
        enough = int(re.findall(r"at least (\d+)", str(refused.value))[0])
        assert tile < enough
        plan_axis(length, enough, overlap, grid)
        return
    spans = plan_axis(length, tile, overlap, grid)
    kept = [i for span in spans for i in range(span.keep_start, span.keep_stop)]
    assert kept == list(range(length))
    whole = tile // grid * grid if tile < length else length
    assert {span.stop - span.start for span in spans[:-1]} <= {whole}
    assert whole - grid < spans[-1].stop - spans[-1].start <= whole
    for span in spans:
        assert span.start % grid == 0
        assert 0 <= span.start <= span.keep_start < span.keep_stop <= span.stop <= length
        assert span.start == 0 or span.keep_start - span.start >= overlap
        assert span.stop == length or span.stop - span.keep_stop >= overlap


def test_no_more_tiles_than_needed() -> None:
    assert len(plan_axis(1000, 1000, 32)) == 1
    assert len(plan_axis(1001, 1000, 32)) == 2
    assert len(plan_axis(1936, 1000, 32)) == 2


def test_stitched_filter_equals_whole(rng: np.random.Generator) -> None:
    # a 7x7 filter sees 3 pixels: tiles with an overlap of 3 must give the whole picture's result
    plane = rng.random((61, 83))
    whole = uniform_filter(plane, 7, mode="constant")
    stitched = np.full_like(plane, np.nan)
    for tile in plan_tiles(61, 83, 24, 3):
        stitched[tile.kept] = uniform_filter(plane[tile.window], 7, mode="constant")[
            tile.kept_in_window
        ]
    np.testing.assert_allclose(stitched, whole, atol=1e-12)

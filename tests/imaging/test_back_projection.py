"""Against imresize, dense linear algebra, and what a projection onto a convex set must do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from memnet_cli.imaging import back_projection
from memnet_cli.imaging.back_projection import back_projected
from memnet_cli.imaging.resize import bicubic_matrix, imresize

Plane = NDArray[np.float32]


def planes(shape: tuple[int, int], scale: int, seed: int = 0) -> tuple[Plane, Plane]:
    """Return a random plane and a random small one, both float32."""
    rng = np.random.default_rng(seed)
    large = shape[0] * scale, shape[1] * scale
    return rng.random(large, np.float32), rng.random(shape, np.float32)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3), (5, 4), (24, 31)])
def test_the_result_shrinks_to_the_small_picture(shape: tuple[int, int], scale: int) -> None:
    restored, small = planes(shape, scale)
    result = back_projected(restored, small, small)
    assert result.dtype == np.float32
    np.testing.assert_allclose(imresize(result, shape=shape), small, atol=2e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_the_nearest_such_picture(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    restored, small = planes((9, 12), scale)
    down, across = (bicubic_matrix(n * scale, n, 1 / scale) for n in small.shape)
    error = down @ restored.astype(np.float64) @ across.T - small
    nearest = restored - np.linalg.pinv(down) @ error @ np.linalg.pinv(across).T
    for pixels in (1, 1 << 20):
        monkeypatch.setattr(back_projection, "_BLOCK_PIXELS", pixels)
        np.testing.assert_allclose(back_projected(restored, small, small), nearest, atol=2e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_never_farther_from_a_picture_that_shrinks_to_the_small_one(scale: int) -> None:
    restored, clean = planes((20, 16), scale)[0], planes((20, 16), scale, seed=1)[0]
    small = imresize(clean, shape=(20, 16)).astype(np.float32)
    result = back_projected(restored, small, small)
    assert np.square(result - clean).mean() < np.square(restored - clean).mean()


def test_what_the_rounding_of_the_small_picture_explains_stays() -> None:
    restored, _ = planes((12, 10), 3)
    shrunk = imresize(restored, shape=(12, 10)).astype(np.float32)
    rounded = (np.rint(shrunk * 255) / 255).astype(np.float32)
    half = np.float32(0.501 / 255)
    np.testing.assert_array_equal(
        back_projected(restored, rounded - half, rounded + half), restored
    )
    brighter = (rounded + 0.1).astype(np.float32)
    result = back_projected(restored, brighter - half, brighter + half)
    off = np.abs(imresize(result, shape=(12, 10)) - brighter)
    np.testing.assert_allclose(off.max(), half, atol=2e-5)


def test_what_was_cut_off_is_known_from_one_side() -> None:
    restored, small = planes((8, 8), 2)
    unknown = np.full_like(small, np.inf)
    np.testing.assert_array_equal(back_projected(restored, -unknown, unknown), restored)
    dark, bright = restored * np.float32(0.5), restored + np.float32(1)
    np.testing.assert_array_equal(back_projected(bright, small, unknown), bright)
    raised = imresize(back_projected(dark - np.float32(1), small, unknown), shape=(8, 8))
    np.testing.assert_allclose(raised, small, atol=2e-5)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.imaging.resize import bicubic_matrix, imresize


@pytest.mark.parametrize("scale", [1 / 4, 1 / 3, 1 / 2, 2, 3, 4])
def test_interior_equals_pillow(photograph: NDArray[np.uint8], scale: float) -> None:
    # Pillow has the same kernel (a = -0.5, antialiased) and differs at the borders only
    grey = photograph[:240, :252, 0].astype(np.float32)
    ours = imresize(grey, scale=scale)
    size = (ours.shape[1], ours.shape[0])
    theirs = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))
    edge = int(np.ceil(4 * max(scale, 1)))
    inner = (slice(edge, -edge), slice(edge, -edge))
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=2e-3)


@pytest.mark.parametrize(
    ("shape", "scale", "expected"), [((9, 10), 1 / 3, (3, 4)), ((7, 5), 2, (14, 10))]
)
def test_size_is_rounded_up_as_in_matlab(
    shape: tuple[int, int], scale: float, expected: tuple[int, int]
) -> None:
    assert imresize(np.zeros(shape), scale=scale).shape == expected


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    new_height=st.integers(1, 40),
    new_width=st.integers(1, 40),
)
def test_constant_stays_constant(height: int, width: int, new_height: int, new_width: int) -> None:
    resized = imresize(np.full((height, width), 0.7), shape=(new_height, new_width))
    np.testing.assert_allclose(resized, 0.7, atol=1e-12)


def test_ramp_stays_a_ramp_when_enlarged() -> None:
    # the cubic kernel reproduces straight lines: closed form in the interior
    ramp = np.tile(np.arange(20.0), (4, 1))
    resized = imresize(ramp, scale=2)[2]
    expected = (np.arange(40) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(resized[4:-4], expected[4:-4], atol=1e-12)


def test_matrix_is_the_same_resize(rng: np.random.Generator) -> None:
    image = rng.random((24, 30))
    rows, columns = bicubic_matrix(24, 8, 1 / 3), bicubic_matrix(30, 10, 1 / 3)
    np.testing.assert_allclose(rows @ image @ columns.T, imresize(image, scale=1 / 3), atol=1e-12)


def test_channels_are_resized_apart(rng: np.random.Generator) -> None:
    image = rng.random((8, 6, 3))
    together = imresize(image, scale=2)
    for channel in range(3):
        np.testing.assert_allclose(
            together[:, :, channel], imresize(image[:, :, channel], scale=2), atol=1e-12
        )


def test_scale_or_shape() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        imresize(np.zeros((4, 4)))
    for scale in (0.0, -1.0):
        with pytest.raises(ValueError, match="above 0"):
            imresize(np.zeros((4, 4)), scale=scale)
    with pytest.raises(ValueError, match="above 0"):
        imresize(np.zeros((4, 4)), shape=(0, 4))

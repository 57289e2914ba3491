from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2ycbcr

from memnet_cli.imaging.color import (
    luma_uint8,
    opponent_to_rgb,
    rgb_to_opponent,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)


def test_ycbcr_equals_scikit_image(photograph: NDArray[np.uint8]) -> None:
    ours = rgb_to_ycbcr(photograph / 255.0) * 255.0
    np.testing.assert_allclose(ours, rgb2ycbcr(photograph), atol=1e-9)


def test_ycbcr_and_back(rng: np.random.Generator) -> None:
    rgb = rng.random((9, 7, 3))
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-12)


def test_opponent_colours_and_back(rng: np.random.Generator) -> None:
    rgb = rng.random((9, 7, 3))
    opponent = rgb_to_opponent(rgb)
    np.testing.assert_allclose(opponent_to_rgb(opponent), rgb, atol=1e-12)
    np.testing.assert_allclose(opponent[:, :, 0], rgb.mean(axis=2), atol=1e-12)


def test_grey_has_no_colour_differences() -> None:
    grey = np.linspace(0, 1, 256)[:, None, None].repeat(3, axis=2)
    differences = rgb_to_opponent(grey)[:, :, 1:].astype(np.float32)
    np.testing.assert_array_equal(differences, np.float32(0.5))


def test_noise_stays_independent_in_opponent_colours(rng: np.random.Generator) -> None:
    noise = rng.normal(0.0, 0.1, (400, 500, 3))
    converted = rgb_to_opponent(noise).reshape(-1, 3)
    np.testing.assert_allclose(np.cov(converted.T), np.diag([0.01 / 3, 0.01, 0.01]), atol=1e-4)


def test_luma_of_matlab_corner_values() -> None:
    # MATLAB: rgb2ycbcr(uint8([0 0 0; 255 255 255; 255 0 0; 0 255 0; 0 0 255]))(:, 1)
    corners = np.array(
        [[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8
    )
    assert luma_uint8(corners).tolist() == [[16, 235, 81, 145, 41]]


def test_grey_is_its_own_luma(rng: np.random.Generator) -> None:
    grey = rng.integers(0, 256, (5, 6), dtype=np.uint8)
    np.testing.assert_array_equal(luma_uint8(grey), grey)
    np.testing.assert_array_equal(luma_uint8(grey[:, :, None]), grey)

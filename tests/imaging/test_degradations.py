from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.imaging import degradations


def test_noise_has_the_sigma_and_is_neither_clipped_nor_quantised() -> None:
    clean = np.zeros((400, 400))
    noisy = degradations.add_gaussian_noise(clean, 50, np.random.default_rng(1))
    # standard error of a standard deviation from n samples: sigma / sqrt(2 n)
    assert abs(noisy.std() * 255 - 50) < 4 * 50 / np.sqrt(2 * clean.size)
    assert abs(noisy.mean() * 255) < 4 * 50 / np.sqrt(clean.size)
    assert noisy.min() < 0
    assert np.unique(noisy).size == clean.size


def test_noise_is_repeatable() -> None:
    clean = np.full((3, 3), 0.5)
    first, second = (
        degradations.add_gaussian_noise(clean, 30, np.random.default_rng(7)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_jpeg_is_what_a_decoder_sees(photograph: NDArray[np.uint8]) -> None:
    grey = photograph[:64, :72, 1]
    buffer = io.BytesIO()
    Image.fromarray(grey, mode="L").save(buffer, "JPEG", quality=10)
    expected = np.asarray(Image.open(buffer))
    np.testing.assert_array_equal(degradations.jpeg_compress(grey, 10), expected)


def test_bicubic_degrade_loses_only_detail(photograph: NDArray[np.uint8]) -> None:
    clean = photograph[:240, :240, 1] / 255.0
    degraded = degradations.bicubic_degrade(clean, 3)
    assert degraded.shape == clean.shape
    assert abs(degraded.mean() - clean.mean()) < 1e-3
    assert 1e-4 < np.mean((degraded - clean) ** 2) < 1e-2


def test_crop_to_multiple() -> None:
    assert degradations.crop_to_multiple(np.zeros((10, 11, 3)), 4).shape == (8, 8, 3)


def test_a_resaved_jpeg_has_the_blocks_of_both_times(photograph: NDArray[np.uint8]) -> None:
    grey = photograph[:160, :160, 1]
    twice = degradations.jpeg_resaved(grey, 8, 95, 3, 5)
    assert twice.shape == grey.shape
    # steps from row to row and column to column are larger where a block of quality 8 begins
    for axis, offset in ((0, 3), (1, 5)):
        steps = np.abs(np.diff(twice.astype(np.float64), axis=axis)).mean(axis=1 - axis)
        by_place = [steps[(np.arange(len(steps)) + 1 + offset) % 8 == k].mean() for k in range(8)]
        assert np.argmax(by_place) == 0
    # as much is lost as at the worse of the qualities, within a few grey levels
    once = degradations.jpeg_compress(grey, 8)
    losses = [np.mean((image.astype(np.float64) - grey) ** 2) for image in (once, twice)]
    assert 0.8 < losses[1] / losses[0] < 1.25


def test_chroma_is_compressed_as_in_a_picture_in_colour(photograph: NDArray[np.uint8]) -> None:
    plane = np.ascontiguousarray(photograph[40:120, 60:180, 2])
    even = np.full_like(plane, 128)
    for quality in (5, 40, 90):
        buffer = io.BytesIO()
        colour = Image.merge("YCbCr", [Image.fromarray(p) for p in (even, plane, even)])
        colour.save(buffer, "JPEG", quality=quality, subsampling="4:4:4")
        with Image.open(buffer) as file:
            file.draft("YCbCr", None)
            expected = np.asarray(file)[:, :, 1]
        found = degradations.jpeg_compress(plane, quality, chroma=True)
        assert np.array_equal(found, expected)
        assert not np.array_equal(degradations.jpeg_compress(plane, quality), expected)

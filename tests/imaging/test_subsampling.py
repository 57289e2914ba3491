"""Chroma samples told from decoded JPEGs, against those that libjpeg decodes as a grey picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from memnet_cli.imaging.color import rgb_to_ycbcr
from memnet_cli.imaging.images import read_image
from memnet_cli.imaging.picture import Picture
from memnet_cli.imaging.subsampling import at_every_pixel, file_samples

_STEPS = {"4:2:0": (2, 2), "4:2:2": (1, 2), "4:4:4": (1, 1)}


def _samples(height: int, width: int) -> NDArray[np.uint8]:
    """Return chroma that no decoder cuts off in RGB, with noise as its finest detail."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[0:height, 0:width]
    smooth = 20 * np.sin(rows / 3.0) + 15 * np.cos(columns / 4.0)
    samples = 128 + smooth + rng.uniform(-15, 15, (height, width))
    rounded: NDArray[np.uint8] = np.rint(samples).astype(np.uint8)
    return rounded


def _colour(
    samples: NDArray[np.uint8], shape: tuple[int, int], subsampling: str, exif: Image.Exif
) -> tuple[Picture, list[list[int]]]:
    """Return a JPEG of even luma whose Cb and Cr are ``samples``, decoded, and its tables."""
    step = _STEPS[subsampling]
    chroma = np.kron(samples, np.ones(step, np.uint8))[: shape[0], : shape[1]]
    planes = (np.full(shape, 128, np.uint8), chroma, chroma)
    content = io.BytesIO()
    Image.merge("YCbCr", [Image.fromarray(plane) for plane in planes]).save(
        content, "JPEG", quality=80, subsampling=subsampling, exif=exif
    )
    with Image.open(content) as file:
        tables = [list(table) for table in file.quantization.values()]  # type: ignore[attr-defined]
    return read_image(io.BytesIO(content.getvalue())), tables


def _grey(samples: NDArray[np.uint8], table: list[int]) -> NDArray[np.float32]:
    """Return the samples as libjpeg decodes them where they are a picture of their own."""
    content = io.BytesIO()
    Image.fromarray(samples).save(content, "JPEG", qtables=[table])
    return np.asarray(Image.open(content), np.float32)


def _cb(picture: Picture) -> NDArray[np.float32]:
    """Return Cb of a JPEG, 0 to 255."""
    cb = rgb_to_ycbcr(picture.pixels)[:, :, 1] * 255.0
    return ((cb - 128.0) * (255 / 224) + 128.0).astype(np.float32)


@pytest.mark.parametrize("subsampling", _STEPS)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_samples_are_those_that_the_file_holds(subsampling: str, orientation: int) -> None:
    step = _STEPS[subsampling]
    samples = _samples(48, 40)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture, tables = _colour(samples, (48 * step[0], 40 * step[1]), subsampling, exif)
    expected = _grey(samples, tables[1])
    turned = {1: expected, 3: expected[::-1, ::-1], 6: np.rot90(expected, 3)}[orientation]
    found = file_samples(_cb(picture), picture.source.chroma_step)
    difference = found - turned
    # roundings of R, G and B, which are enlarged
    assert np.sqrt(np.square(difference).mean()) < 0.8
    assert np.abs(difference).max() < 4.0
    if step != (1, 1):
        rows, columns = picture.source.chroma_step
        means = _cb(picture).reshape(turned.shape[0], rows, turned.shape[1], columns).mean((1, 3))
        assert np.sqrt(np.square(means - turned).mean()) > 2.0


@pytest.mark.parametrize("shape", [(47, 39), (47, 40), (48, 39)])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2"])
def test_a_sample_may_hang_over_the_edge(subsampling: str, shape: tuple[int, int]) -> None:
    step = _STEPS[subsampling]
    samples = _samples(*(-(-side // every) for side, every in zip(shape, step, strict=True)))
    picture, tables = _colour(samples, shape, subsampling, Image.Exif())
    found = file_samples(_cb(picture), step)
    expected = _grey(samples, tables[1])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 4.0


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 3), (4, 4), (1, 64), (3, 64), (4, 64), (64, 2), (64, 4)]
)
def test_tiny_pictures_have_samples_too(shape: tuple[int, int]) -> None:
    samples = _samples(-(-shape[0] // 2), -(-shape[1] // 2))
    picture, tables = _colour(samples, shape, "4:2:0", Image.Exif())
    found = file_samples(_cb(picture), (2, 2))
    assert found.shape == samples.shape
    # two samples to a row are repeated by libjpeg, to a column they are not
    assert np.abs(found - _grey(samples, tables[1])).max() < 4.0
    assert at_every_pixel(found, (2, 2), shape).shape == shape


def test_what_is_even_stays_even_and_is_enlarged_evenly() -> None:
    even = np.full((21, 34), 0.3, np.float32)
    samples = file_samples(even, (2, 2))
    np.testing.assert_allclose(samples, 0.3, atol=1e-6)
    np.testing.assert_allclose(at_every_pixel(samples, (2, 2), (21, 34)), 0.3, atol=1e-6)

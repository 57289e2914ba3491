from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from memnet_cli.imaging.degradations import jpeg_compress, jpeg_resaved
from memnet_cli.imaging.quantisation import earlier_quality, jpeg_quality, luma_tables

Pixels = NDArray[np.uint8]


def told(pixels: Pixels) -> int | None:
    """Return what is told of 8-bit pixels, (H, W) or (H, W, 3)."""
    values = pixels.astype(np.float32) / 255
    return earlier_quality(values[:, :, None] if pixels.ndim == 2 else values)


def in_colour(pixels: Pixels, quality: int, subsampling: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(buffer) as image:
        return np.asarray(image)


@pytest.mark.parametrize("quality", [1, 5, 24, 25, 49, 50, 51, 75, 99, 100])
def test_the_tables_are_those_of_libjpeg(quality: int) -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        table = image.quantization[0]  # type: ignore[attr-defined]
    assert np.array_equal(luma_tables(np.array([quality]))[0], table)
    assert jpeg_quality(tuple(table)) == quality


@pytest.mark.parametrize("quality", [5, 10, 20, 35, 50, 60, 75])
def test_pixels_tell_the_quality_wherever_the_blocks_begin(
    photograph: Pixels, quality: int
) -> None:
    grey = jpeg_compress(photograph[:200, :220, 1], quality)
    told_of = [told(grey), told(grey[3:, 6:]), told(grey[:-5, 1:])]
    told_of += [told(grey.T), told(grey[::-1, 2:])]
    told_of.append(told(in_colour(photograph[:200, :220], quality, 2)[2:, 7:]))
    assert told_of == pytest.approx([quality] * 6, abs=1)


@pytest.mark.parametrize(("first", "second"), [(10, 50), (20, 90), (40, 95)])
def test_a_picture_that_was_saved_again_tells_the_worse_quality(
    photograph: Pixels, first: int, second: int
) -> None:
    grey = photograph[:240, :256, 1]
    assert told(jpeg_resaved(grey, first, second, 4, 3)) == first
    assert told(jpeg_resaved(grey, first, second, 0, 0)) == first


def test_noise_and_contrast_do_not_hide_it(photograph: Pixels) -> None:
    grey = jpeg_compress(photograph[:240, :256, 1], 15)
    noise = np.random.default_rng(0).normal(0.0, 3.0, grey.shape)
    assert told(np.clip(np.rint(grey + noise), 0, 255).astype(np.uint8)) == 15


def test_a_large_picture_is_told_by_its_middle(photograph: Pixels) -> None:
    large = np.tile(jpeg_compress(photograph[:504, :504, 1], 30), (3, 3))
    assert large.shape > (1024, 1024)
    assert told(large) == 30


def _drawing() -> Pixels:
    page = Image.new("L", (256, 256), 250)
    for top in range(0, 256, 16):
        ImageDraw.Draw(page).text((8, top), "Sphinx of black quartz, judge my vow", fill=20)
        ImageDraw.Draw(page).rectangle((200, top, 207, top + 7), fill=120)
    return np.asarray(page)


def _gradients() -> dict[str, Pixels]:
    x = np.arange(256)
    ramp = np.tile(np.linspace(0, 255, 64), (64, 1))
    sky = np.linspace([90, 140, 220], [180, 210, 250], 200)[:, None].repeat(300, axis=1)
    planes = {
        "rows": np.tile(x[:, None], (1, 128)),
        "columns": np.tile(x, (128, 1)),
        "steep": np.rint(ramp),
        "diagonal": (x[:, None] + x) // 2,
        "sky": np.rint(sky),
        "steps": np.tile(x // 8 * 8, (128, 1)),
        "chequers": (x[:, None] // 8 + x // 8) % 2 * 255,
        "stripes": np.tile((x % 4 < 2) * 255, (128, 1)),
    }
    return {name: plane.astype(np.uint8) for name, plane in planes.items()}


@pytest.mark.parametrize("name", list(_gradients()))
def test_gradients_and_patterns_are_not_taken_for_jpegs(name: str) -> None:
    assert told(_gradients()[name]) is None


@pytest.mark.parametrize("span", [50, 80, 120, 180])
@pytest.mark.parametrize("grain", [0.5, 1.5])
def test_gradients_with_dither_or_grain_are_not_either(span: int, grain: float) -> None:
    """All blocks differ then, and have one coefficient, which is a multiple of some step."""
    ramp = 60 + np.linspace(0, span, 160)[None, :].repeat(160, axis=0)
    rough = np.random.default_rng(0).uniform(-grain, grain, (*ramp.shape, 3))
    dithered = np.rint(np.clip(ramp[:, :, None] + rough, 0, 255)).astype(np.uint8)
    assert told(dithered) is None


def test_what_was_no_jpeg_is_not_taken_for_one(photograph: Pixels) -> None:
    grey = photograph[:256, :256, 1]
    noise = np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8)
    smaller = Image.fromarray(jpeg_compress(grey, 20)).resize((171, 171), Image.Resampling.BICUBIC)
    mosaic = np.kron(grey[::8, ::8], np.ones((8, 8), np.uint8))
    others = (photograph, grey, noise, np.asarray(smaller), mosaic, _drawing())
    assert [told(pixels) for pixels in others] == [None] * 6
    flat = (np.zeros((64, 64), np.uint8), np.full((5, 5), 9, np.uint8), np.zeros((1, 90), np.uint8))
    assert [told(pixels) for pixels in flat] == [None] * 3


def test_a_good_jpeg_is_told_nothing_bad_of(photograph: Pixels) -> None:
    grey = photograph[:256, :256, 1]
    assert [told(jpeg_compress(grey, quality)) for quality in (90, 95, 98, 100)] == [90] + 3 * [
        None
    ]


@pytest.mark.parametrize(("first", "last"), [(82, 95), (86, 95), (82, 98), (86, 98), (90, 98)])
def test_a_good_jpeg_that_was_saved_as_a_better_one_is_told(
    photograph: Pixels, first: int, last: int
) -> None:
    for pixels in (photograph[:256, :256, 1], photograph[:256, :256]):
        found = told(_saved(_saved(pixels, first), last))
        assert found is not None and abs(found - first) <= 1


def _saved(pixels: Pixels, quality: int) -> Pixels:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content))

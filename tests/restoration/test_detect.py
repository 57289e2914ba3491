from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from memnet_cli.imaging.images import Picture, picture_from_array, read_image
from memnet_cli.imaging.quantisation import earlier_quality
from memnet_cli.restoration.detect import asked_for, before_enlarging, diagnose

_TRAINED = {"jpeg": (5, 40), "denoise": (5, 75)}


def saved_as_jpeg(pixels: NDArray[np.uint8], quality: int) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    buffer.seek(0)
    return read_image(buffer)


def test_a_jpeg_beyond_the_training_is_warned_of(photograph: NDArray[np.uint8]) -> None:
    known, beyond = (saved_as_jpeg(photograph[:64, :64], quality) for quality in (30, 95))
    assert asked_for(known, "jpeg", _TRAINED).warning is None
    warning = asked_for(beyond, "jpeg", _TRAINED).warning
    assert str(warning).startswith("quality 95 is outside of 5 to 40")
    assert asked_for(beyond, "jpeg", {"jpeg": (5, 95)}).warning is None
    assert asked_for(beyond, "denoise", _TRAINED).warning is None
    assert asked_for(picture_from_array(photograph[:64, :64]), "jpeg", _TRAINED).warning is None


def test_the_quality_that_weights_are_chosen_for(photograph: NDArray[np.uint8]) -> None:
    part = photograph[:200, :200]
    bad = saved_as_jpeg(part, 20)
    assert asked_for(bad, "jpeg", _TRAINED).quality == 20
    decoded = np.rint(bad.pixels * 255).astype(np.uint8)
    assert asked_for(picture_from_array(decoded), "jpeg", _TRAINED).quality == 20
    assert asked_for(saved_as_jpeg(decoded, 90), "jpeg", _TRAINED).quality == 90
    assert asked_for(picture_from_array(part), "jpeg", _TRAINED).quality == 100
    assert asked_for(bad, "denoise", _TRAINED).quality is None


@pytest.mark.parametrize("quality", [5, 10, 20, 40, 49, 50, 60, 75, 80])
def test_quality_is_read_from_the_tables(photograph: NDArray[np.uint8], quality: int) -> None:
    diagnosis = diagnose(saved_as_jpeg(photograph[:64, :64], quality), _TRAINED)
    assert diagnosis.task == "jpeg"
    assert diagnosis.reason == f"JPEG of quality about {quality}"
    assert (diagnosis.warning is None) == (5 <= quality <= 40)


def test_a_jpeg_that_was_saved_as_something_else_is_known(photograph: NDArray[np.uint8]) -> None:
    bad = saved_as_jpeg(photograph[:200, :200], 10)
    as_png = picture_from_array(np.rint(bad.pixels * 255).astype(np.uint8)[5:, 3:])
    diagnosis = diagnose(as_png, _TRAINED)
    assert diagnosis.task == "jpeg"
    assert diagnosis.reason == "was a JPEG of quality about 10"
    assert diagnosis.quality == 10
    again = saved_as_jpeg(np.rint(bad.pixels * 255).astype(np.uint8)[5:, 3:], 95)
    assert diagnose(again, _TRAINED) == replace(diagnosis, quality=95)
    good = saved_as_jpeg(photograph[:200, :200], 90)
    assert diagnose(picture_from_array(good.pixels), _TRAINED).task is None


def test_slight_blocks_are_removed_where_there_is_no_noise(photograph: NDArray[np.uint8]) -> None:
    part = photograph[:200, :200]
    noisy = np.clip(part + np.random.default_rng(0).normal(0, 30, part.shape), 0, 255)
    assert diagnose(saved_as_jpeg(part, 75), _TRAINED).task == "jpeg"
    assert diagnose(saved_as_jpeg(noisy.astype(np.uint8), 75), _TRAINED).task == "denoise"
    assert diagnose(saved_as_jpeg(noisy.astype(np.uint8), 10), _TRAINED).task == "jpeg"


def test_blocks_are_to_go_before_a_picture_is_enlarged(photograph: NDArray[np.uint8]) -> None:
    part = photograph[:200, :200]
    poor, good = saved_as_jpeg(part, 40), saved_as_jpeg(part, 98)
    assert before_enlarging(poor).deblock
    assert before_enlarging(poor).reason == "JPEG of quality about 40"
    assert before_enlarging(saved_as_jpeg(part, 85)).deblock
    as_array = picture_from_array(poor.pixels)
    again = saved_as_jpeg(np.rint(poor.pixels * 255).astype(np.uint8), 98)
    for saved in (as_array, again):
        assert before_enlarging(saved).reason == "was a JPEG of quality about 40"
        assert before_enlarging(saved).deblock
    for clean in (good, picture_from_array(part), picture_from_array(np.zeros((3, 3), np.uint8))):
        assert not before_enlarging(clean).deblock
        assert before_enlarging(clean).task == "sr"


def test_what_a_jpeg_was_is_told_of_8_bits(photograph: NDArray[np.uint8]) -> None:
    """What is lost in rounding them is no matter."""
    shown = np.rint(saved_as_jpeg(photograph[60:260, 80:300], 92).pixels.clip(0, 1) * 255)
    lost = np.random.default_rng(0).uniform(-0.49, 0.49, shown.shape)
    assert earlier_quality(shown / 255) == earlier_quality((shown + lost) / 255) == 92


@pytest.mark.parametrize("deblocks", [True, False])
def test_noise_that_would_be_enlarged_is_told(
    photograph: NDArray[np.uint8], deblocks: bool
) -> None:
    clean = photograph[60:260, 80:300]
    noise = np.random.default_rng(0).normal(0.0, 15.0, clean.shape)
    noisy = np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)
    diagnosis = before_enlarging(picture_from_array(noisy), deblocks=deblocks)
    assert diagnosis.task == "sr" and not diagnosis.deblock
    assert re.search(r"sigma about 1[3-7], which is enlarged too", diagnosis.warning or "")
    assert before_enlarging(picture_from_array(clean), deblocks=deblocks).warning is None


@pytest.mark.parametrize("sigma", [8, 15, 30])
def test_noise_is_to_be_removed(photograph: NDArray[np.uint8], sigma: int) -> None:
    noise = np.random.default_rng(3).normal(0, sigma, photograph[:256, :256].shape)
    noisy = np.rint(np.clip(photograph[:256, :256] + noise, 0, 255)).astype(np.uint8)
    diagnosis = diagnose(picture_from_array(noisy), _TRAINED)
    assert diagnosis.task == "denoise"
    told = re.fullmatch(r"noise of sigma about (\d+)", diagnosis.reason)
    assert told and int(told[1]) == pytest.approx(sigma, rel=0.12)


def test_a_sharpened_photograph_is_not_noisy() -> None:
    photograph = Image.fromarray(skimage.data.coffee())
    sharpened = np.asarray(photograph.filter(ImageFilter.UnsharpMask(2, 150, 3)))
    assert diagnose(picture_from_array(sharpened), _TRAINED).task is None


def _page(paper: int, ink: int) -> NDArray[np.uint8]:
    page = Image.new("L", (200, 200), paper)
    for top in range(0, 200, 12):
        ImageDraw.Draw(page).text((2, top), "Sphinx of black quartz, judge my vow" * 2, fill=ink)
    return np.asarray(page)


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (230, 40)])
def test_a_page_of_text_is_not_noisy(paper: int, ink: int) -> None:
    page = _page(paper, ink)
    assert diagnose(picture_from_array(page), _TRAINED).task is None
    noise = np.random.default_rng(0).normal(0, 25, page.shape)
    noisy = np.rint(np.clip(page + noise, 0, 255)).astype(np.uint8)
    assert diagnose(picture_from_array(noisy), _TRAINED).task == "denoise"


def test_clean_picture_is_left_alone(photograph: NDArray[np.uint8]) -> None:
    diagnosis = diagnose(picture_from_array(photograph), _TRAINED)
    assert diagnosis.task is None
    assert "left as it is" in diagnosis.reason


def test_good_jpeg_is_left_alone(photograph: NDArray[np.uint8]) -> None:
    assert diagnose(saved_as_jpeg(photograph, 95), _TRAINED).task is None


def test_chequers_and_random_pixels_are_not_noise() -> None:
    rng = np.random.default_rng(2)
    chequers = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (32, 32))
    random = rng.choice(np.array([0, 255], np.uint8), (64, 64, 3))
    for pixels in (chequers, random):
        found = diagnose(picture_from_array(pixels), _TRAINED)
        assert found.task is None and "more than a picture holds" in found.reason


@pytest.mark.parametrize("period", [3, 5, 8])
def test_dots_of_a_screen_are_not_noise(photograph: NDArray[np.uint8], period: int) -> None:
    rows, columns = np.mgrid[:160, :160] * np.pi / period
    screen = (np.sin(rows + columns) * np.sin(rows - columns) + 1) / 2
    dots = (photograph[:160, :160].mean(axis=2) / 255 > screen).astype(np.uint8) * 255
    inks = np.array([(20, 30, 60), (250, 245, 230)], np.uint8)
    compressed = saved_as_jpeg(dots, 95)
    with_logo = np.repeat(dots[:, :, None], 3, axis=2)
    with_logo[:20, :20] = photograph[:20, :20]
    printed = [picture_from_array(a) for a in (dots, inks[dots // 255], with_logo)]
    for picture in (*printed, compressed):
        assert diagnose(picture, _TRAINED).task is None
        assert before_enlarging(picture).warning is None


def test_noise_on_a_large_page_is_noise(photograph: NDArray[np.uint8]) -> None:
    rough = photograph[100:190, 100:190] + np.random.default_rng(0).normal(0, 25, (90, 90, 3))
    page = np.full((900, 900, 4), 255, np.uint8)
    page[300:390, 300:390, :3] = np.rint(np.clip(rough, 0, 255))
    assert diagnose(picture_from_array(page[:, :, :3].copy()), _TRAINED).task == "denoise"
    page[:, :, 3] = 0
    page[300:390, 300:390, 3] = 255
    assert diagnose(picture_from_array(page), _TRAINED).task == "denoise"


def test_transparent_dots_are_not_noise(photograph: NDArray[np.uint8]) -> None:
    dots = np.asarray(Image.fromarray(photograph[:200, :200]).convert("1")).astype(np.uint8) * 255
    pixels = np.full((200, 200, 3), (200, 60, 40), np.uint8)
    assert diagnose(picture_from_array(np.dstack([pixels, dots])), _TRAINED).task is None


@pytest.mark.parametrize("modules", [21, 29, 57])
def test_a_bar_code_was_no_jpeg(modules: int) -> None:
    code = np.random.default_rng(modules).integers(0, 2, (modules, modules))
    pixels = np.pad(code, 4).repeat(4, 0).repeat(4, 1)
    assert diagnose(picture_from_array((pixels * 255).astype(np.uint8)), _TRAINED).task is None


def test_what_alpha_hides_is_not_judged(photograph: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    alpha = np.zeros((128, 128, 1), np.uint8)
    alpha[:, :90] = 255
    pixels = photograph[60:188, 80:208].copy()
    pixels[:, 90:] = rng.integers(0, 256, (128, 38, 3))
    icon = np.full((128, 128, 3), (30, 90, 160), np.uint8)
    icon[:, 90:] = pixels[:, 90:]
    for seen in (pixels, icon):
        picture = picture_from_array(np.concatenate([seen, alpha], axis=2))
        assert diagnose(picture, _TRAINED).task is None
        assert before_enlarging(picture).warning is None
    rough = np.rint(np.clip(pixels + rng.normal(0, 25, pixels.shape), 0, 255)).astype(np.uint8)
    noisy = picture_from_array(np.concatenate([rough, alpha], axis=2))
    assert diagnose(noisy, _TRAINED).task == "denoise"


def test_strong_noise_is_still_noise(photograph: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(2).normal(0, 75, photograph[:128, :128].shape)
    noisy = np.rint(np.clip(photograph[:128, :128] + noise, 0, 255)).astype(np.uint8)
    assert diagnose(picture_from_array(noisy), _TRAINED).task == "denoise"


def test_tiny_picture_has_no_estimate() -> None:
    assert diagnose(picture_from_array(np.zeros((3, 3), np.uint8)), _TRAINED).task is None

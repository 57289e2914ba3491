from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from skimage.restoration import estimate_sigma

from memnet_cli.imaging.degradations import add_gaussian_noise
from memnet_cli.imaging.noise_level import noise_sigma


def noisy(pixels: NDArray[np.uint8], sigma: float, seed: int = 3) -> NDArray[np.float64]:
    """Return 8-bit pixels with noise on the scale 0 to 1, rounded and cut off as a file is."""
    rough = add_gaussian_noise(pixels / 255, sigma, np.random.default_rng(seed))
    return np.rint(np.clip(np.atleast_3d(rough), 0, 1) * 255) / 255


def text(paper: int, ink: int) -> NDArray[np.uint8]:
    page = Image.new("L", (200, 200), paper)
    for top in range(0, 200, 12):
        ImageDraw.Draw(page).text((2, top), "Sphinx of black quartz, judge my vow" * 2, fill=ink)
    return np.asarray(page)[:, :, None]


@pytest.mark.parametrize("sigma", [8, 15, 30, 50])
def test_noise_is_estimated(photograph: NDArray[np.uint8], sigma: int) -> None:
    clean = photograph[:256, :256] / 255
    uncut = add_gaussian_noise(clean, sigma, np.random.default_rng(3))
    assert noise_sigma(uncut) == pytest.approx(sigma, rel=0.12)


@pytest.mark.parametrize("sigma", [5, 20, 60])
def test_pure_noise_has_the_level_that_it_was_made_with(sigma: int) -> None:
    noise = np.random.default_rng(0).normal(0.5, sigma / 255, (200, 300, 3))
    assert noise_sigma(noise.astype(np.float32)) == pytest.approx(sigma, rel=0.02)


def test_texture_is_not_noise_where_something_is_smooth() -> None:
    """Strokes of fur, sharpened or not, below a sky."""
    rng = np.random.default_rng(0)
    fur = Image.fromarray(rng.integers(20, 236, (320, 320), dtype=np.uint8))
    fur = fur.filter(ImageFilter.GaussianBlur(0.7))
    fur.paste(Image.linear_gradient("L").resize((320, 130)))
    for scene in (fur, fur.filter(ImageFilter.UnsharpMask(2, 150, 3))):
        pixels = np.asarray(scene)[:, :, None]
        # the usual estimate takes the strokes for noise
        assert 255 * estimate_sigma(pixels[130:, :, 0] / 255) > 10
        assert noise_sigma(pixels / 255) < 6
        assert noise_sigma(noisy(pixels, 12)) == pytest.approx(12, rel=0.15)


def test_a_smooth_bar_does_not_hide_noise(photograph: NDArray[np.uint8]) -> None:
    """That of a window's title, without noise, above a noisy photograph."""
    bar = np.linspace(40, 90, 300).round()[None, :, None] / 255
    rough = noisy(photograph[:300, :300], 25)
    whole = np.concatenate([np.broadcast_to(bar, (36, 300, rough.shape[2])), rough])
    assert noise_sigma(whole) > 0.7 * noise_sigma(rough)


def test_noise_that_grows_with_light_is_not_told_by_the_dark_alone(
    photograph: NDArray[np.uint8],
) -> None:
    clean = photograph[:300, :300].astype(np.float64)
    sigma = 0.8 * np.sqrt(clean) + 1.5
    shot = clean + np.random.default_rng(0).normal(0, 1, clean.shape) * sigma
    root = np.sqrt(np.square(sigma).mean())
    told = noise_sigma(np.rint(np.clip(shot, 0, 255)) / 255)
    assert told == pytest.approx(root, rel=0.25) and told > 6


def test_a_frame_does_not_hide_noise() -> None:
    noise = np.random.default_rng(0).normal(0.5, 20 / 255, (256, 256, 1))
    noise[:80] = noise[-80:] = 0.0
    assert noise_sigma(noise) == pytest.approx(20, rel=0.05)


def test_what_is_cut_off_at_white_hides_no_noise() -> None:
    """Half of the noise on a white sky is lost; the ground has all of it."""
    scene = np.full((300, 300, 1), 255, np.uint8)
    scene[45:] = 120
    assert noise_sigma(noisy(scene, 8)) > 6.5


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (230, 40)])
def test_a_page_of_text_is_not_noise(paper: int, ink: int) -> None:
    page = text(paper, ink)
    # the usual estimate takes the strokes for noise
    assert estimate_sigma(page[:, :, 0].astype(float)) > 10
    assert noise_sigma(page / 255) < 6


def test_noise_on_a_page_of_text_is_seen() -> None:
    page = noisy(text(230, 40), 25, seed=0)
    assert noise_sigma(page) == pytest.approx(25, rel=0.3)
    assert noise_sigma(page) < 255 * estimate_sigma(page[:, :, 0])


def test_it_does_not_hang_on_the_scale_of_the_picture() -> None:
    """As many blocks as are looked at, of a large picture, tell what a part of it tells."""
    noise = np.random.default_rng(0).normal(0.5, 10 / 255, (1500, 2000, 1))
    assert noise_sigma(noise) == pytest.approx(noise_sigma(noise[:300, :300]), rel=0.05)


@pytest.mark.parametrize("shape", [(3, 3, 3), (15, 300, 1), (0, 20, 3)])
def test_a_small_picture_has_no_estimate(shape: tuple[int, int, int]) -> None:
    assert noise_sigma(np.zeros(shape)) == 0.0
    assert noise_sigma(np.random.default_rng(0).random(shape)) == 0.0


@pytest.mark.parametrize("side", [24, 32, 48])
def test_a_thumbnail_has_too_few_blocks_for_classes(
    photograph: NDArray[np.uint8], side: int
) -> None:
    """Of one that is smooth in a corner, as many are, that corner tells."""
    small = np.random.default_rng(0).integers(60, 200, (side, side, 1)).astype(np.uint8)
    third = side // 2 + 2
    small[:third, :third] = np.linspace(60, 200, third).astype(np.uint8)[:, None, None]
    assert noise_sigma(small / 255) < 6
    assert noise_sigma(noisy(photograph[:side, :side], 20)) > 10


@pytest.mark.parametrize("side", [16, 17, 24])
def test_flat_pictures_have_none(side: int) -> None:
    assert noise_sigma(np.full((side, side, 3), 0.4)) == 0.0

"""Before and after, in one picture that shows what the two show apart."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from memnet_cli.imaging.images import picture_from_array, read_image
from memnet_cli.imaging.picture import Source
from memnet_cli.restoration.side_by_side import side_by_side, write_side_by_side

_WIDE_GAMUT = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_both_halves_have_the_colours_of_the_profile(
    photograph: NDArray[np.uint8], tmp_path: Path
) -> None:
    source = Source("PNG", None, _WIDE_GAMUT)
    small = replace(picture_from_array(photograph[:30, :40]), source=source)
    large = replace(picture_from_array(photograph[:60, :80]), source=source)
    assert write_side_by_side(tmp_path / "both.png", small, large, overwrite=False) == ()
    with Image.open(tmp_path / "both.png") as both:
        assert both.info["icc_profile"] == _WIDE_GAMUT
        shown = np.asarray(both)
    np.testing.assert_array_equal(shown[:, -80:], photograph[:60, :80])
    assert shown.shape[1] > 160


def test_what_is_transparent_is_white(photograph: NDArray[np.uint8]) -> None:
    alpha = np.full((20, 24, 1), 255, np.uint8)
    alpha[:5], alpha[5:10] = 0, 128
    picture = picture_from_array(np.concatenate([photograph[:20, :24], alpha], axis=2))
    both = side_by_side(picture, picture)
    assert both.alpha is None
    on_white = Image.new("RGBA", (24, 20), "white")
    on_white.alpha_composite(Image.fromarray(np.concatenate([photograph[:20, :24], alpha], axis=2)))
    expected = np.asarray(on_white.convert("RGB")) / 255
    for half in (both.pixels[:, :24], both.pixels[:, -24:]):
        np.testing.assert_allclose(half, expected, atol=1 / 255)


def test_a_jpeg_is_shown_as_viewers_show_it() -> None:
    """Red beyond all of it, which a file may hold, is not blurred into its neighbours."""
    ycbcr = np.full((8, 8, 3), (100, 90, 240), np.uint8)
    ycbcr[:, 4:] = (100, 128, 128)
    file = io.BytesIO()
    Image.fromarray(ycbcr, "YCbCr").save(file, "JPEG", quality=100, subsampling=0)
    degraded = read_image(file)
    assert degraded.pixels.max() > 1 or degraded.pixels.min() < 0
    large = picture_from_array(np.zeros((16, 16, 3), np.uint8))
    shown = picture_from_array(np.asarray(Image.open(file).convert("RGB")))
    left = side_by_side(degraded, large).pixels[:, :16]
    np.testing.assert_allclose(left, side_by_side(shown, large).pixels[:, :16], atol=1.5 / 255)

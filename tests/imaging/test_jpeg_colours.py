"""Against the equations of JFIF written out, Pillow's own conversion, and Pillow's decoder."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memnet_cli.imaging.images import picture_from_pil, picture_to_array, read_image
from memnet_cli.imaging.jpeg_colours import rgb_of_file
from memnet_cli.imaging.picture import as_shown, picture_from_array


def jpeg_of(ycbcr: np.ndarray, subsampling: str = "4:4:4", quality: int = 100) -> io.BytesIO:
    """Compress (H, W, 3) uint8 Y, Cb and Cr as they are."""
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(ycbcr), "YCbCr")
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file


def patchwork(side: int = 48) -> np.ndarray:
    """Squares of 8x8 of random Y, Cb and Cr, most of which stand for no colour of 8 bits."""
    squares = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    return squares.repeat(8, 0).repeat(8, 1)


def test_every_pair_of_chroma_is_what_jfif_says() -> None:
    ycbcr = np.empty((256, 256, 3), np.uint8)
    ycbcr[:, :, 0] = 100
    ycbcr[:, :, 1], ycbcr[:, :, 2] = np.mgrid[:256, :256]
    rgb = rgb_of_file(ycbcr).astype(np.float64) * 255.0
    cb, cr = np.mgrid[:256, :256] - 128.0
    written_out = [
        100 + 1.402 * cr,
        100 - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587,
        100 + 1.772 * cb,
    ]
    np.testing.assert_allclose(rgb, np.stack(written_out, 2), atol=2e-4)
    cut_off = np.rint(np.clip(rgb, 0, 255))
    pillow = np.asarray(Image.fromarray(ycbcr, "YCbCr").convert("RGB"), np.float64)
    assert np.abs(cut_off - pillow).max() <= 1.0


def test_grey_of_three_components_stays_exactly_grey() -> None:
    ycbcr = np.full((1, 256, 3), 128, np.uint8)
    ycbcr[0, :, 0] = np.arange(256)
    rgb = rgb_of_file(ycbcr)
    assert (rgb == (np.arange(256, dtype=np.float32) / 255)[None, :, None]).all()


def test_colours_beyond_red_green_and_blue_are_read_as_the_file_holds_them() -> None:
    ycbcr = np.full((16, 16, 3), [20, 220, 60], np.uint8)
    pixels = read_image(jpeg_of(ycbcr)).pixels[8, 8] * 255.0
    np.testing.assert_allclose(pixels, [20 - 95.336, 20 - 31.66 + 48.561, 20 + 163.024], atol=3.0)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_shown_in_8_bits_they_are_what_pillow_decodes(subsampling: str) -> None:
    file = jpeg_of(patchwork(), subsampling, quality=75)
    picture = read_image(file)
    assert picture.pixels.min() < 0.0
    assert picture.pixels.max() > 1.0
    ours = picture_to_array(picture, np.uint8).astype(int)
    pillow = np.asarray(Image.open(file), int)
    assert np.abs(ours - pillow).max() <= 1
    assert (ours != pillow).mean() < 2e-3


def test_turned_pictures_are_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image = Image.fromarray(patchwork()[:32], "YCbCr")
    image.save(file, "JPEG", quality=90, exif=exif)
    upright = np.rot90(np.asarray(Image.open(file), int), -1)
    assert np.abs(picture_to_array(read_image(file), np.uint8).astype(int) - upright).max() <= 1


def test_an_open_image_gives_the_same_and_is_left_alone() -> None:
    file = jpeg_of(patchwork())
    image = Image.open(file)
    place = file.tell()
    np.testing.assert_array_equal(picture_from_pil(image).pixels, read_image(file).pixels)
    assert image.fp is None  # loaded, as by any other use
    file.seek(place)
    assert (image.mode, image.size) == ("RGB", (48, 48))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(file)))


def test_what_was_changed_in_an_open_image_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image = Image.fromarray(patchwork()[:32], "YCbCr")
    image.save(file, "JPEG", exif=exif, icc_profile=b"profile")
    opened = Image.open(file)
    opened.getexif()[0x0112] = 1
    opened.info.pop("icc_profile")
    picture = picture_from_pil(opened)
    assert (picture.height, picture.width) == (32, 48)
    assert picture.source.icc_profile is None


def test_the_first_picture_of_several_is_read_alike(tmp_path: Path) -> None:
    first, second = (Image.fromarray(patchwork(side), "YCbCr").convert("RGB") for side in (48, 96))
    path = tmp_path / "two.mpo"
    first.save(path, "MPO", save_all=True, append_images=[second])
    image = Image.open(path)
    assert image.format == "MPO"
    np.testing.assert_array_equal(picture_from_pil(image).pixels, read_image(path).pixels)
    image = Image.open(path)
    image.seek(1)
    shown = np.asarray(image.copy())
    image = Image.open(path)
    image.seek(1)
    assert np.abs(picture_to_array(picture_from_pil(image), np.uint8) - shown.astype(int)).max() < 2


def test_a_loaded_image_gives_its_own_pixels() -> None:
    image = Image.open(jpeg_of(patchwork()))
    shown = np.asarray(image)
    np.testing.assert_array_equal(picture_from_pil(image).pixels, np.float32(shown) / 255)


def test_a_jpeg_of_red_green_and_blue_is_read_as_it_is() -> None:
    file = io.BytesIO()
    Image.fromarray(patchwork()).save(file, "JPEG", quality=90, keep_rgb=True)
    shown = np.asarray(Image.open(file))
    np.testing.assert_array_equal(picture_to_array(read_image(file), np.uint8), shown)


def test_a_jpeg_that_says_it_is_red_green_and_blue_is_read_so() -> None:
    """By Adobe's marker alone; the components are numbered as those of Y, Cb and Cr are."""
    file = io.BytesIO()
    Image.fromarray(patchwork(), "RGB").save(file, "JPEG", quality=90, subsampling=0)
    content = file.getvalue()
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
    start = 4 + int.from_bytes(content[4:6], "big")  # JFIF's own would win
    content = content[:2] + adobe + content[start:]
    shown = np.asarray(Image.open(io.BytesIO(content)))
    as_ycbcr = np.asarray(Image.open(file))
    assert np.abs(shown.astype(int) - as_ycbcr).max() > 50
    picture = read_image(io.BytesIO(content))
    np.testing.assert_array_equal(picture_to_array(picture, np.uint8), shown)


def test_the_file_of_an_open_image_may_be_read_elsewhere_before() -> None:
    """Pillow's caller may have moved in it; where it was is where it is left."""
    file = jpeg_of(patchwork())
    image = Image.open(file)
    file.seek(7)
    expected = read_image(jpeg_of(patchwork())).pixels
    np.testing.assert_array_equal(picture_from_pil(image).pixels, expected)


def test_as_shown_cuts_off_a_jpeg_alone() -> None:
    jpeg = as_shown(read_image(jpeg_of(patchwork())))
    assert jpeg.pixels.min() >= 0.0
    assert jpeg.pixels.max() <= 1.0
    noisy = picture_from_array(np.array([[-0.25, 1.25]]))
    assert as_shown(noisy) is noisy

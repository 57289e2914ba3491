"""Pixels an inch, as files of each kind say them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from memnet_cli.imaging.encoding import encode_image
from memnet_cli.imaging.images import picture_size, read_image
from memnet_cli.imaging.resolution import dpi_of_tiff


def tags(across: object, down: object, unit: int | None = 2) -> Image.Exif:
    """Return the tags of a TIFF with such a resolution."""
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = across, down
    if unit is not None:
        exif[ExifTags.Base.ResolutionUnit] = unit
    return exif


def test_units_of_tiff() -> None:
    assert dpi_of_tiff(tags(300, 150), 1) == (300, 150)
    assert dpi_of_tiff(tags(300, 150, unit=None), 1) == (300, 150)
    assert dpi_of_tiff(tags(100, 50, unit=3), 1) == pytest.approx((254, 127))
    assert dpi_of_tiff(tags(4, 3, unit=1), 1) is None  # a shape of pixels
    assert dpi_of_tiff(Image.Exif(), 1) is None


@pytest.mark.parametrize("number", [0, 0.001, 60_000, 1e9, float("inf"), "x"])
def test_numbers_without_sense(number: object) -> None:
    assert dpi_of_tiff(tags(number, 72), 1) is None
    assert dpi_of_tiff(tags(72, number), 1) is None


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_that_says_nothing_has_none(kind: type[np.generic], channels: int) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((4, 6, channels), kind).squeeze())
    content = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        for name in ("XResolution", "YResolution", "ResolutionUnit"):
            tag = tiff.pages[0].tags[name]
            content[tag.offset : tag.offset + 2] = (65000).to_bytes(2, "little")
    picture = read_image(io.BytesIO(content))
    assert picture.source.dpi is None
    for format in ("png", "tiff"):
        written = encode_image(picture, format)
        assert read_image(io.BytesIO(written)).source.dpi is None


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("mode", ["RGB", "L", "I;16", "F"])
@pytest.mark.parametrize("format", ["png", "jpeg", "tiff"])
def test_a_tiff_is_turned_with_its_resolution(orientation: int, mode: str, format: str) -> None:
    file = io.BytesIO()
    shape = (30, 40, 3) if mode == "RGB" else (30, 40)
    kind = {"RGB": np.uint8, "L": np.uint8, "I;16": np.uint16, "F": np.float32}[mode]
    image = Image.fromarray(np.zeros(shape, kind))
    image.save(file, "TIFF", dpi=(204, 98), tiffinfo={ExifTags.Base.Orientation: orientation})
    picture = read_image(file)
    expected = (98, 204) if orientation >= 5 else (204, 98)
    assert (picture.width, picture.height) == ((30, 40) if orientation >= 5 else (40, 30))
    assert picture.source.dpi == pytest.approx(expected)
    written = Image.open(io.BytesIO(encode_image(picture, format)))
    assert written.info["dpi"] == pytest.approx(expected, abs=0.1)
    told = written.getexif()
    assert (told[ExifTags.Base.XResolution], told[ExifTags.Base.YResolution]) == expected


def test_an_orientation_that_turns_nothing_turns_no_resolution() -> None:
    file = io.BytesIO()
    image = Image.new("RGB", (40, 30))
    image.save(file, "TIFF", dpi=(204, 98), tiffinfo={ExifTags.Base.Orientation: 9})
    picture = read_image(file)
    assert (picture.width, picture.source.dpi) == (40, (204, 98))


def test_the_orientation_of_xmp_turns_the_resolution_of_a_tiff_too() -> None:
    file = io.BytesIO()
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    image = Image.new("RGB", (40, 30))
    image.save(file, "TIFF", dpi=(204, 98), tiffinfo={700: packet})
    picture = read_image(file)
    assert (picture.width, picture.source.dpi) == (30, (98, 204))


def test_a_deep_plane_is_turned_by_xmp_and_its_header_says_so() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    shape = np.zeros((3, 30, 40), np.uint16)
    deep, simple = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(
        deep, shape, photometric="rgb", planarconfig="separate",
        extratags=[(700, "B", len(packet), packet, True)],
    )  # fmt: skip
    Image.new("RGB", (40, 30)).save(simple, "TIFF", tiffinfo={700: packet})
    for file in (deep, simple):
        file.seek(0)
        size = picture_size(file)
        file.seek(0)
        picture = read_image(file)
        assert (picture.width, picture.height) == (size.width, size.height) == (30, 40)


@pytest.mark.parametrize("kind", ["s", "H"])
def test_xmp_of_another_type_loses_nothing_else(kind: str) -> None:
    """Programs have written it as text, and a damaged file as anything."""
    packet = '<x tiff:Orientation="6"/>'
    value = packet if kind == "s" else [1, 2, 3]
    file = io.BytesIO()
    tifffile.imwrite(
        file, np.zeros((3, 30, 40), np.uint16), photometric="rgb", planarconfig="separate",
        resolution=(204, 98), resolutionunit=2, extratags=[(700, kind, len(value), value, True)],
    )  # fmt: skip
    picture = read_image(file)
    turned = kind == "s"
    assert picture.width == (30 if turned else 40)
    assert picture.source.dpi == ((98, 204) if turned else (204, 98))


def test_a_resolution_without_sense_in_exif_gives_way_in_a_tiff() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 0.0
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", dpi=(300, 300), exif=exif)
    written = Image.open(io.BytesIO(encode_image(read_image(file), "tiff")))
    assert written.info["dpi"] == (300, 300)


@pytest.mark.parametrize("side", [ExifTags.Base.XResolution, ExifTags.Base.YResolution])
def test_half_a_resolution_is_completed_in_a_tiff(side: int) -> None:
    """Where TIFF needs both, and readers take 1 for the other."""
    exif = Image.Exif()
    exif[side] = 300
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", exif=exif)
    written = Image.open(io.BytesIO(encode_image(read_image(file), "tiff")))
    assert written.info["dpi"] == (300, 300)


def test_a_bmp_that_knows_none_has_that_of_a_screen() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    written = Image.open(io.BytesIO(encode_image(read_image(file), "bmp")))
    assert written.info["dpi"] == pytest.approx((96, 96), abs=0.1)

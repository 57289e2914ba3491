"""What is in the files that are written."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import png
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from memnet_cli.errors import ImageError, UsageError
from memnet_cli.imaging.images import (
    Picture,
    Source,
    encode_image,
    picture_from_array,
    picture_from_pil,
    picture_to_array,
    read_image,
    read_provenance,
    write_image,
)
from tests.imaging.test_exif_types import types_in

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_KEEPING = [("png", 8), ("png", 16), ("tiff", 8), ("tiff", 16), ("jpeg", 8), ("webp", 8)]
_RECORD = {
    "Software": "memnet 0.1.0",
    "memnet:task": "sr",
    "memnet:weights": "sr-paper sha256:0123456789abcdef",
    "memnet:options": "scale=3 précision=fp32",
}


def _exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Artist] = "Josef Sudek, Kolín".encode()
    exif[ExifTags.Base.Copyright] = "\xa9 1932".encode("latin-1")
    exif[ExifTags.Base.Software] = "Camera 1.0"
    exif[ExifTags.Base.ImageDescription] = "a description"
    exif[ExifTags.Base.XResolution] = 300.0
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2017:08:07 12:00:00"
    details[ExifTags.Base.ExposureTime] = 0.125
    details[ExifTags.Base.LensMake] = "Görlitz".encode()
    details[ExifTags.Base.MakerNote] = b"secret \0\1\2 notes"
    details[ExifTags.Base.UserComment] = b"ASCII\0\0\0a comment"
    details[ExifTags.Base.ExifImageWidth] = 9999
    details[ExifTags.Base.ExifImageHeight] = 8888
    position = exif.get_ifd(ExifTags.IFD.GPSInfo)
    position[ExifTags.GPS.GPSLatitudeRef] = "N"
    position[ExifTags.GPS.GPSLatitude] = (49.0, 30.0, 15.0)
    return exif.tobytes()


@pytest.fixture
def photo(photograph: NDArray[np.uint8]) -> Picture:
    """A piece of a photograph with all that a file can say about it."""
    picture = picture_from_array(photograph[40:100, 180:270])
    return replace(picture, source=Source("JPEG", _exif(), _SRGB))


def _open(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.mark.parametrize(("format", "depth"), _KEEPING)
@pytest.mark.parametrize("provenance", [None, _RECORD])
def test_exif_and_profile_are_kept(
    photo: Picture, format: str, depth: int, provenance: dict[str, str] | None
) -> None:
    picture = replace(photo, bit_depth=depth)
    image = _open(encode_image(picture, format, provenance=provenance))
    assert image.info["icc_profile"] == _SRGB
    exif = image.getexif()
    before = Image.Exif()
    before.load(_exif())
    for tag in before:
        if tag not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            assert exif[tag] == before[tag]
    details = dict(exif.get_ifd(ExifTags.IFD.Exif))
    assert details.pop(ExifTags.Base.ExifImageWidth) == picture.width
    assert details.pop(ExifTags.Base.ExifImageHeight) == picture.height
    expected = dict(before.get_ifd(ExifTags.IFD.Exif))
    assert {tag: expected[tag] for tag in details} == details
    assert len(expected) == len(details) + 2
    assert exif.get_ifd(ExifTags.IFD.GPSInfo) == before.get_ifd(ExifTags.IFD.GPSInfo)


@pytest.mark.parametrize(("format", "depth"), _KEEPING)
def test_they_survive_a_second_reading_and_writing(photo: Picture, format: str, depth: int) -> None:
    once = read_image(io.BytesIO(encode_image(replace(photo, bit_depth=depth), format)))
    assert once.source.icc_profile == _SRGB
    twice = read_image(io.BytesIO(encode_image(once, format)))
    assert twice.source.exif == once.source.exif
    assert twice.bit_depth == depth


_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"
 tiff:ImageWidth='%d' exif:PixelYDimension="%d" xmp:Rating="5" dc:rights="© Zoë">
<exif:PixelXDimension>%d</exif:PixelXDimension><tiff:ImageLength>%d</tiff:ImageLength>
</rdf:Description></x:xmpmeta>"""


@pytest.mark.parametrize("origin", ["JPEG", "WEBP", "PNG", "TIFF"])
@pytest.mark.parametrize(("format", "depth"), _KEEPING)
def test_xmp_is_kept_and_tells_of_the_output(format: str, depth: int, origin: str) -> None:
    packet = (_XMP % (6, 40, 30, 40, 30)).encode()
    file = io.BytesIO()
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet.decode())
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[700] = 1
    tags[700] = packet
    ways: dict[str, dict[str, Any]] = {"PNG": {"pnginfo": text}, "TIFF": {"tiffinfo": tags}}
    carried = ways.get(origin, {"xmp": packet})
    Image.new("RGB", (40, 30), (200, 90, 30)).save(file, origin, **carried)
    picture = read_image(file)
    pixels = np.zeros((60, 80, 3), np.float32)
    larger = Picture(pixels, None, depth, picture.source)
    content = encode_image(larger, format)
    expected = (_XMP % (1, 80, 60, 80, 60)).encode()
    if origin == "TIFF":  # which Pillow turns, and leaves the orientation out
        expected = expected.replace(b'tiff:Orientation="1"', b"")
    kept = _open(content).info["xmp"]
    assert (kept.encode() if isinstance(kept, str) else kept) == expected
    assert read_image(io.BytesIO(content)).source.xmp == expected


def test_xmp_that_is_too_long_for_a_jpeg_is_left_out() -> None:
    source = Source(xmp=b"x" * 70_000)
    picture = Picture(np.zeros((4, 5, 3), np.float32), source=source)
    assert "xmp" not in _open(encode_image(picture, "jpeg")).info
    assert _open(encode_image(picture, "webp")).info["xmp"] == source.xmp


@pytest.mark.parametrize(("format", "depth"), _KEEPING)
def test_nothing_is_added_unasked(format: str, depth: int) -> None:
    picture = Picture(np.zeros((4, 5, 3), np.float32), None, depth)
    content = encode_image(picture, format)
    image = _open(content)
    assert "icc_profile" not in image.info
    assert not image.info.get("exif")
    assert "xmp" not in image.info
    assert not getattr(image, "text", {})
    assert read_provenance(io.BytesIO(content)) == {}
    assert b"memnet" not in content


@pytest.mark.parametrize(("format", "depth"), _KEEPING)
@pytest.mark.parametrize("has_exif", [False, True])
def test_provenance_is_recorded(
    photo: Picture, tmp_path: Path, format: str, depth: int, has_exif: bool
) -> None:
    picture = replace(photo, bit_depth=depth)
    if not has_exif:
        picture = replace(picture, source=Source())
    path = tmp_path / "a"
    write_image(picture, path, format=format, provenance=_RECORD)
    assert read_provenance(path) == _RECORD
    image = _open(path.read_bytes())
    if format == "png":
        assert image.text == _RECORD  # type: ignore[attr-defined]
    else:
        shown = image.getexif()[ExifTags.Base.Software]
        assert shown == ("Camera 1.0" if has_exif else "memnet 0.1.0")
    # a second run replaces the record of the first
    again = {**_RECORD, "memnet:task": "denoise"}
    write_image(read_image(path), path, format=format, provenance=again)
    assert read_provenance(path) == again


def test_pictures_of_others_have_no_provenance(photo: Picture, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (3, 3)).save(path)
    assert read_provenance(path) == {}
    path.write_bytes(b"no picture at all")
    with pytest.raises(ImageError, match="is not a picture"):
        read_provenance(path)


@pytest.mark.parametrize("name", ["\u0444", "app", "memnet:\u0444", "memnet:" + "x" * 73, ""])
def test_what_other_programs_record_is_no_provenance(photo: Picture, name: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ProcessingSoftware] = json.dumps({name: 1, "Software": "other"})
    picture = replace(photo, source=Source(exif=exif.tobytes()))
    content = encode_image(picture, "jpeg")
    assert read_provenance(io.BytesIO(content)) == {}
    kept = _open(content).getexif()[ExifTags.Base.ProcessingSoftware]
    assert name in json.loads(str(kept))


@pytest.mark.parametrize("record", ["[" * 30_000, "[1]", "7", '{"memnet:task": "sr"'])
def test_a_damaged_record_is_none(photo: Picture, record: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ProcessingSoftware] = record
    content = encode_image(replace(photo, source=Source(exif=exif.tobytes())), "jpeg")
    assert read_provenance(io.BytesIO(content)) == {}
    assert read_image(io.BytesIO(content)).source.record == ()


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_an_older_record_is_not_carried_over_unasked(photo: Picture, format: str) -> None:
    restored = read_image(io.BytesIO(encode_image(photo, "jpeg", provenance=_RECORD)))
    assert dict(restored.source.record) == _RECORD
    content = encode_image(restored, format)
    assert read_provenance(io.BytesIO(content)) == {}


def test_png_chunks_are_as_another_reader_wants_them(photo: Picture) -> None:
    content = encode_image(replace(photo, bit_depth=16), "png", provenance=_RECORD)
    names = [name for name, _ in png.Reader(bytes=content).chunks()]
    assert names[0] == b"IHDR"
    assert names[-1] == b"IEND"
    # the profile stands before the pixels, and those are in one piece
    assert names.index(b"iCCP") < names.index(b"IDAT")
    assert names.count(b"eXIf") == 1
    assert names.count(b"iTXt") == len(_RECORD)


@pytest.mark.parametrize("quality", [10, 50, 89, 90, 95, 100])
@pytest.mark.parametrize("grey", [False, True])
def test_jpeg_is_what_libjpeg_makes_at_that_quality(
    photo: Picture, quality: int, grey: bool
) -> None:
    picture = replace(photo, pixels=photo.pixels[:, :, :1]) if grey else photo
    samples = picture_to_array(picture, np.uint8)
    file = io.BytesIO()
    subsampling = 0 if quality >= 90 else 2
    Image.fromarray(samples[:, :, 0] if grey else samples).save(
        file, "JPEG", quality=quality, subsampling=subsampling
    )
    ours = _open(encode_image(picture, "jpeg", quality=quality))
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(Image.open(file)))
    assert ours.mode == ("L" if grey else "RGB")


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_quality_trades_size_for_likeness(photo: Picture, format: str) -> None:
    contents = [encode_image(photo, format, quality=quality) for quality in (10, 50, 95)]
    assert len(contents[0]) < len(contents[1]) < len(contents[2])
    errors = [
        np.square(read_image(io.BytesIO(content)).pixels - photo.pixels).mean()
        for content in contents
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 2e-3


@pytest.mark.parametrize("format", ["jpeg", "bmp"])
def test_without_alpha_a_picture_is_shown_on_white(format: str) -> None:
    pixels = np.full((16, 48, 3), 0.25, np.float32)
    alpha = np.tile(np.repeat(np.array([0, 0.5, 1], np.float32), 16), (16, 1))
    picture = Picture(pixels, alpha, 16)
    back = read_image(io.BytesIO(encode_image(picture, format, quality=100)))
    assert back.alpha is None
    assert back.bit_depth == 8
    shown = picture_to_array(back, np.uint8)[8, [8, 24, 40]].astype(int)
    # 255 (1 - alpha) + 63.75 alpha
    assert np.abs(shown - np.array([[255], [159], [64]])).max() <= 1


def test_webp_keeps_alpha_and_has_no_grey(rng: np.random.Generator) -> None:
    picture = picture_from_array(rng.integers(0, 256, (20, 30, 2), dtype=np.uint8))
    back = read_image(io.BytesIO(encode_image(picture, "webp", quality=100)))
    assert not back.is_grey
    assert picture.alpha is not None
    assert back.alpha is not None
    np.testing.assert_allclose(back.alpha, picture.alpha, atol=1e-6)


@pytest.mark.parametrize(("format", "depth"), [("png", 16), ("tiff", 16), ("webp", 8), ("jpeg", 8)])
def test_a_profile_for_other_channels_is_left_out(format: str, depth: int) -> None:
    grey = Picture(np.zeros((9, 9, 1), np.float32), None, depth, Source(icc_profile=_SRGB))
    kept = _open(encode_image(grey, format)).info.get("icc_profile")
    # WebP stores grey as RGB
    assert kept == (_SRGB if format == "webp" else None)


@given(value=st.floats(-0.5, 1.5, width=32), depth=st.sampled_from([8, 16]))
def test_values_are_clipped_and_rounded_once(value: float, depth: int) -> None:
    picture = Picture(np.full((1, 1, 1), value, np.float32), None, depth)
    back = read_image(io.BytesIO(encode_image(picture, "png")))
    white = 2**depth - 1
    exact = min(max(value, 0.0), 1.0) * white
    stored = float(picture_to_array(back, np.uint16 if depth == 16 else np.uint8)[0, 0, 0])
    # float32 carries 24 bits: a half may fall to either side, nothing else may
    assert abs(stored - exact) <= 0.5 + exact * 2**-23


def test_16_bits_are_rounded_to_8_not_cut(photo: Picture) -> None:
    picture = Picture(np.full((8, 8, 3), 40_000 / 65_535, np.float32), None, 16)
    for format in ("bmp", "jpeg"):
        samples = picture_to_array(read_image(io.BytesIO(encode_image(picture, format))), np.uint8)
        # 40000 / 65535 * 255 = 155.64
        assert (samples == 156).all()


def test_exif_too_long_for_jpeg_gives_way_to_the_record(photo: Picture) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    picture = replace(photo, source=Source(exif=exif.tobytes()))
    content = encode_image(picture, "jpeg", provenance=_RECORD)
    assert read_provenance(io.BytesIO(content)) == _RECORD
    assert ExifTags.Base.ImageDescription not in _open(content).getexif()
    for format in ("png", "webp", "tiff"):
        kept = _open(encode_image(picture, format)).getexif()
        assert kept[ExifTags.Base.ImageDescription] == "x" * 70_000


def test_a_record_that_is_too_long_for_jpeg_is_left_out(photo: Picture) -> None:
    record = {**_RECORD, "memnet:options": "x" * 70_000}
    for source in (Source(), photo.source):
        content = encode_image(replace(photo, source=source), "jpeg", provenance=record)
        assert read_provenance(io.BytesIO(content)) == {}
        assert bool(_open(content).getexif()) == bool(source.exif)


def test_the_record_gives_way_to_exif_that_fits_without_it(photo: Picture) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 65_400
    picture = replace(photo, source=Source(exif=exif.tobytes()))
    content = encode_image(picture, "jpeg", provenance=_RECORD)
    assert _open(content).getexif()[ExifTags.Base.ImageDescription] == "x" * 65_400
    assert read_provenance(io.BytesIO(content)) == {}


def test_the_storage_of_a_tiff_is_not_carried_into_exif(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((40, 30, 3), np.uint8), photometric="rgb", tile=(16, 16), compression="zlib"
    )
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["Software"].overwrite("scanner")
    exif = _open(encode_image(read_image(path), "jpeg")).getexif()
    assert exif[ExifTags.Base.Software] == "scanner"
    assert not {254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 322, 323, 324, 325} & set(exif)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
@pytest.mark.parametrize("kept", ["png", "jpeg"])
@pytest.mark.parametrize(
    "options",
    [
        {"tile": (16, 16), "compression": "zlib", "photometric": "rgb", "shape": (40, 30, 3)},
        {"photometric": "rgb", "extrasamples": ["unassalpha"], "shape": (40, 30, 4)},
        {"dtype": np.float32, "shape": (40, 30)},
    ],
)
def test_exif_that_was_a_tiffs_directory_does_no_harm(
    options: dict[str, Any], kept: str, format: str
) -> None:
    """Saving an opened TIFF with ``exif=image.getexif()`` copies how that stored its pixels."""
    scanned = io.BytesIO()
    tags = {"description": "a scan", "metadata": None}
    settings = {key: value for key, value in options.items() if key not in {"shape", "dtype"}}
    samples = np.zeros(options["shape"], options.get("dtype", np.uint8))
    tifffile.imwrite(scanned, samples, **settings, **tags)
    copied = io.BytesIO()
    image = Image.new("RGB", (30, 40), (200, 30, 90))
    image.save(copied, kept, exif=_open(scanned.getvalue()).getexif(), quality=100)
    picture = read_image(copied)
    content = encode_image(picture, format, quality=100, provenance=_RECORD)
    assert np.abs(read_image(io.BytesIO(content)).pixels - picture.pixels).max() < 0.03
    shown = np.asarray(_open(content).convert("RGB")) / 255.0
    assert np.abs(shown - picture.pixels).max() < 0.03
    assert _open(content).getexif()[ExifTags.Base.ImageDescription] == "a scan"
    assert read_provenance(io.BytesIO(content)) == _RECORD
    if format == "tiff":
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(content)) / 255.0, shown)


def test_a_thumbnail_is_left_behind() -> None:
    thumbnail = io.BytesIO()
    Image.new("RGB", (8, 8), "blue").save(thumbnail, "JPEG")
    data = thumbnail.getvalue()
    # TIFF 6.0: a directory is a count, entries of (tag, type, count, value), the next one's address
    first = struct.pack("<H HHI4s I", 1, 0x010F, 2, 4, b"Mak\0", 26)
    second = struct.pack("<H HHII HHII I", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(data), 0)
    block = b"Exif\0\0II*\0\x08\0\0\0" + first + second + data
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, "JPEG", exif=block)
    assert _open(file.getvalue()).getexif().get_ifd(ExifTags.IFD.IFD1)
    content = encode_image(read_image(file), "jpeg")
    exif = _open(content).getexif()
    assert exif[ExifTags.Base.Make] == "Mak"
    assert exif.get_ifd(ExifTags.IFD.IFD1) == {}
    assert data not in content


@pytest.mark.parametrize(("format", "shape"), [("webp", (1, 16_384)), ("jpeg", (66_000, 1))])
def test_what_a_format_cannot_hold_is_told(format: str, shape: tuple[int, int]) -> None:
    picture = picture_from_array(np.zeros(shape, np.uint8))
    with pytest.raises(ImageError, match=rf"{shape[1]}x{shape[0]} pixels .* {format} .*TIFF\.$"):
        encode_image(picture, format)


@pytest.mark.parametrize(("format", "longest"), [("jpeg", 65500), ("webp", 16383)])
def test_the_longest_side_of_a_format_is_known(
    format: str, longest: int, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encode_image(picture_from_array(np.zeros((2, longest), np.uint8)), format)
    assert _open(whole).size == (longest, 2)
    with pytest.raises(ImageError, match=f"{longest + 1}x2 pixels cannot .* is {longest}"):
        encode_image(picture_from_array(np.zeros((2, longest + 1), np.uint8)), format)
    assert capfd.readouterr().err == ""  # libjpeg says it by itself


def test_wrong_formats_and_qualities_are_wrong_usage(photo: Picture) -> None:
    with pytest.raises(UsageError, match=r"'tif': expected one of bmp, jpeg.*Did you mean 'tiff'"):
        encode_image(photo, "tif")
    for quality in (0, 101, -5):
        with pytest.raises(UsageError, match=f"quality {quality} is out of range"):
            encode_image(photo, "jpeg", quality=quality)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_exif_has_the_types_of_the_standard_and_all_its_directories(
    photo: Picture, format: str
) -> None:
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.UserComment] = b"ASCII\0\0\0a comment"
    details[ExifTags.Base.BrightnessValue] = TiffImagePlugin.IFDRational(3, 2)
    details[ExifTags.IFD.Interop] = {1: "R98", 2: b"0100"}
    file = io.BytesIO()
    Image.fromarray(picture_to_array(photo, np.uint8)).save(file, "JPEG", exif=exif)
    content = encode_image(read_image(file), format)
    written = Image.open(io.BytesIO(content))
    assert written.getexif().get_ifd(ExifTags.IFD.Interop) == {1: "R98", 2: b"0100"}
    block = content if format == "tiff" else written.info["exif"]
    assert types_in(block, ExifTags.IFD.Exif) == {
        ExifTags.Base.UserComment: 7,
        ExifTags.Base.BrightnessValue: 10,
        ExifTags.IFD.Interop: 4,
    }


@pytest.mark.parametrize(("order", "start"), [("<", b"II"), (">", b"MM")])
def test_notes_of_a_maker_are_in_the_byte_order_of_the_block(
    photo: Picture, order: str, start: bytes
) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Make] = "Maker"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"\0\1\0\2"
    file = io.BytesIO()
    Image.fromarray(picture_to_array(photo, np.uint8)).save(file, "JPEG", exif=exif)
    written = _open(encode_image(read_image(file), "jpeg"))
    assert written.info["exif"].removeprefix(b"Exif\0\0").startswith(start)


def test_the_size_of_the_file_before_is_left_behind(photo: Picture) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageWidth], exif[ExifTags.Base.ImageLength] = 9999, 8888
    exif[ExifTags.Base.Make] = "Maker"
    picture = replace(photo, source=Source("JPEG", exif.tobytes(), None))
    for format in ("png", "jpeg", "webp"):
        kept = _open(encode_image(picture, format)).getexif()
        assert dict(kept) == {ExifTags.Base.Make: "Maker"}


@pytest.mark.parametrize("source", ["jpeg", "png", "bmp", "tiff"])
@pytest.mark.parametrize("format", ["jpeg", "png", "bmp", "tiff"])
@pytest.mark.parametrize("deep", [False, True])
def test_the_resolution_is_kept(photo: Picture, source: str, format: str, deep: bool) -> None:
    file = io.BytesIO()
    Image.fromarray(picture_to_array(photo, np.uint8)).save(file, source, dpi=(300, 600))
    picture = read_image(file)
    assert picture.source.dpi == pytest.approx((300, 600), abs=0.1)
    written = _open(encode_image(replace(picture, bit_depth=16 if deep else 8), format))
    assert written.info["dpi"] == pytest.approx((300, 600), abs=0.1)


def test_the_resolution_is_turned_with_the_picture(photo: Picture) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    image = Image.fromarray(picture_to_array(photo, np.uint8))
    image.save(file, "JPEG", dpi=(300, 600), exif=exif)
    picture = read_image(file)
    assert picture.source.dpi == pytest.approx((600, 300))
    for format in ("png", "jpeg", "tiff"):
        written = _open(encode_image(picture, format))
        assert written.info["dpi"] == pytest.approx((600, 300), abs=0.1)


def test_the_resolution_in_exif_is_turned_too(photo: Picture) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = 300, 150
    exif[ExifTags.Base.ResolutionUnit] = 2
    file = io.BytesIO()
    Image.fromarray(picture_to_array(photo, np.uint8)).save(file, "JPEG", exif=exif)
    for format in ("png", "jpeg", "tiff", "webp"):
        tags = _open(encode_image(read_image(file), format)).getexif()
        assert (tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution]) == (150, 300)


def test_the_resolution_of_a_deep_tiff_is_kept(photo: Picture) -> None:
    file = io.BytesIO()
    samples = picture_to_array(photo, np.uint16)
    tifffile.imwrite(
        file,
        samples,
        photometric="rgb",
        planarconfig="contig",
        resolution=(118.11, 236.22),
        resolutionunit="CENTIMETER",
    )
    picture = read_image(file)
    assert picture.source.dpi == pytest.approx((300, 600), abs=0.1)
    floats = io.BytesIO()
    tifffile.imwrite(
        floats,
        samples.astype(np.float32) / 65535,
        photometric="rgb",
        resolution=(300, 600),
        resolutionunit="INCH",
    )
    assert read_image(floats).source.dpi == pytest.approx((300, 600), abs=0.1)


@pytest.mark.parametrize("dpi", [(0, 72), (float("nan"), 72), ("x", 1), 72, None])
def test_a_resolution_without_sense_is_none(dpi: object) -> None:
    image = Image.new("L", (2, 2))
    image.info["dpi"] = dpi
    assert picture_from_pil(image).source.dpi is None


@pytest.mark.parametrize("deep", [False, True])
def test_what_the_samples_of_a_png_stand_for_is_kept(photo: Picture, deep: bool) -> None:
    chunks = PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 100_000))
    adobe = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    primaries = b"".join(struct.pack(">I", round(x * 100_000)) for x in adobe)
    chunks.add(b"cHRM", primaries)
    chunks.add(b"sRGB", b"\1")
    file = io.BytesIO()
    Image.fromarray(picture_to_array(photo, np.uint8)).save(file, "PNG", pnginfo=chunks)
    picture = replace(read_image(file), bit_depth=16 if deep else 8)
    written = _open(encode_image(picture, "png"))
    assert (written.info["gamma"], written.info["srgb"]) == (1.0, 1)
    assert written.info["chromaticity"] == pytest.approx(adobe)
    assert "gamma" not in _open(encode_image(picture, "tiff")).info


@pytest.mark.parametrize("deep", [False, True])
def test_coding_independent_code_points_of_a_png_are_kept(photo: Picture, deep: bool) -> None:
    """Chunk cICP: primaries, transfer, matrix and range of ITU-T H.273; here BT.2020 with PQ."""
    chunks = PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 45455))
    chunks.add(b"cICP", bytes([9, 16, 0, 1]))
    file = io.BytesIO()
    Image.fromarray(picture_to_array(photo, np.uint8)).save(file, "PNG", pnginfo=chunks)
    picture = replace(read_image(file), bit_depth=16 if deep else 8)
    written = encode_image(picture, "png")
    start = written.index(b"cICP")
    assert start < written.index(b"IDAT")
    assert written[start - 4 : start + 8] == bytes([0, 0, 0, 4]) + b"cICP" + bytes([9, 16, 0, 1])
    assert read_image(io.BytesIO(written)).source.png_colours == picture.source.png_colours

"""Against the table of the EXIF standard, read back by Pillow's reader of TIFF directories."""

import io
from typing import Any

import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from memnet_cli.imaging.exif_types import with_standard_types
from memnet_cli.imaging.metadata import carried_exif, exif_to_write

EXIF, GPS = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo


def block(endian: str) -> bytes:
    """Return a block such as a camera's, as Pillow writes it."""
    exif = Image.Exif()
    exif.endian = endian
    exif[ExifTags.Base.Model] = "camera"
    inner = exif.get_ifd(EXIF)
    inner[ExifTags.Base.MakerNote] = b"note" * 20
    inner[ExifTags.Base.SceneType] = b"\1"
    inner[ExifTags.Base.ExposureBiasValue] = TiffImagePlugin.IFDRational(0, 3)
    inner[ExifTags.Base.FNumber] = TiffImagePlugin.IFDRational(28, 10)
    inner[ExifTags.Base.DateTimeOriginal] = "2009:07:14 18:30:00"
    exif.get_ifd(GPS)[ExifTags.GPS.GPSProcessingMethod] = b"ASCII\0\0\0GPS"
    return exif.tobytes()


def types_in(content: bytes, tag: int) -> dict[int, int]:
    """Return the types of the tags of the directory that ``tag`` points to."""
    file = io.BytesIO(content.removeprefix(b"Exif\0\0"))
    head = file.read(8)
    first = TiffImagePlugin.ImageFileDirectory_v2(head)
    file.seek(first.next)
    first.load(file)
    inner = TiffImagePlugin.ImageFileDirectory_v2(head, group=tag)
    file.seek(first[tag])
    inner.load(file)
    return dict(inner.tagtype)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_types_are_those_of_the_standard(endian: str) -> None:
    before = block(endian)
    after = with_standard_types(before)
    assert len(after) == len(before)
    types: dict[Any, int] = types_in(after, EXIF)
    assert types[ExifTags.Base.MakerNote] == types[ExifTags.Base.SceneType] == 7
    assert types[ExifTags.Base.ExposureBiasValue] == 10
    assert types[ExifTags.Base.FNumber] == 5
    assert types[ExifTags.Base.DateTimeOriginal] == 2
    assert types_in(after, GPS)[ExifTags.GPS.GPSProcessingMethod] == 7
    assert with_standard_types(after) == after


def test_what_newer_standards_have_added() -> None:
    exif = Image.Exif()
    inner = exif.get_ifd(EXIF)
    for tag in (0x9400, 0x9402, 0x9403, 0x9405):
        inner[tag] = TiffImagePlugin.IFDRational(1, 3)
    inner[0xA462] = bytes(8)
    types = types_in(with_standard_types(exif.tobytes()), EXIF)
    # EXIF 2.32: temperature, depth and elevation may be negative, pressure and acceleration not
    assert types == {0x9400: 10, 0x9402: 10, 0x9403: 5, 0x9405: 10, 0xA462: 7}


def test_a_tag_of_another_type_keeps_it() -> None:
    exif = Image.Exif()
    exif.get_ifd(EXIF)[ExifTags.Base.MakerNote] = "text"
    assert types_in(with_standard_types(exif.tobytes()), EXIF) == {ExifTags.Base.MakerNote: 2}


def test_what_is_no_pointer_is_not_followed() -> None:
    """Two numbers, or a SHORT, in the place of one."""
    head = b"II*\0\x08\0\0\0\x01\0" + int(EXIF).to_bytes(2, "little")
    inner = b"\x01\0\x7c\x92\x01\0\x04\0\0\0abcd\0\0\0\0"  # a MakerNote of BYTE
    for kind, count in ((4, 2), (3, 1)):
        entry = kind.to_bytes(2, "little") + count.to_bytes(4, "little") + b"\x1a\0\0\0"
        content = head + entry + bytes(4) + inner
        assert with_standard_types(content) == content
    entry = b"\x04\0\x01\0\0\0\x1a\0\0\0"
    content = head + entry + bytes(4) + inner
    assert with_standard_types(content) != content


@pytest.mark.parametrize("endian", ["<", ">"])
def test_values_stay(endian: str) -> None:
    one, other = Image.Exif(), Image.Exif()
    one.load(block(endian))
    other.load(with_standard_types(block(endian)))
    assert dict(one) == dict(other)
    for tag in (EXIF, GPS):
        assert dict(one.get_ifd(tag)) == dict(other.get_ifd(tag))


def test_a_block_without_directories_stays() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "camera"
    content = exif.tobytes()
    assert with_standard_types(content) == content
    bare = content.removeprefix(b"Exif\0\0")
    assert with_standard_types(bare) == bare


@pytest.mark.parametrize("pointer", [int(EXIF), int(GPS), int(ExifTags.IFD.Interop)])
@pytest.mark.parametrize("place", [0, 8, 123_456, 2**32 - 1])
@pytest.mark.parametrize("inside", [True, False])
def test_pointers_that_lead_astray_do_no_harm(pointer: int, place: int, inside: bool) -> None:
    """Into themselves, behind the end, in directories that have none."""
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "camera"
    directory = exif.get_ifd(EXIF) if inside else exif
    directory[ExifTags.Base.LensModel] = "lens"
    directory[pointer if inside or pointer not in (EXIF, GPS) else 0x014A] = place
    content = exif.tobytes()
    assert len(with_standard_types(content)) == len(content)
    carried = carried_exif(exif, 1)
    assert carried is not None
    written = exif_to_write(carried, (8, 8), None)
    assert written is not None
    kept = Image.Exif()
    kept.load(written)
    assert kept[ExifTags.Base.Model] == "camera"

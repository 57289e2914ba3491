"""Files that are opened, and those that are whole but not read."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
import pytest
import tifffile
from PIL import Image

from memnet_cli.errors import ImageError
from memnet_cli.imaging.images import picture_size, picture_to_array, read_image

#: Number, type, count, value, and whether of the first page alone.
_DNG_VERSION = (50706, 1, 4, (1, 4, 0, 0), True)
_PREVIEW = np.full((29, 40, 3), 90, np.uint8)


def tiff(*, raw: bool, tags: Sequence[tuple[int, int, int, object, bool]]) -> io.BytesIO:
    """Return a TIFF whose first page is a preview, of a larger page below it if ``raw``."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(_PREVIEW, photometric="rgb", subfiletype=int(raw), subifds=int(raw),
                     extratags=tags)  # fmt: skip
        if raw:
            writer.write(np.zeros((87, 121), np.uint16), photometric="minisblack")
    file.seek(0)
    return file


def _cr2() -> io.BytesIO:
    """Return the preview of a CR2, whose header is 8 bytes longer than that of a TIFF."""
    file = io.BytesIO()
    Image.fromarray(_PREVIEW).save(file, "TIFF")
    content = file.getvalue()
    first = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[first : first + 2], "little")
    directory = content[first : first + 2 + 12 * count] + bytes(4)
    head = b"II*\0" + len(content).to_bytes(4, "little") + b"CR\2\0" + content[12:]
    return io.BytesIO(head + directory)


def test_a_preview_of_raw_data_is_no_picture() -> None:
    for file in (
        tiff(raw=True, tags=[]),
        tiff(raw=True, tags=[_DNG_VERSION]),
        _cr2(),
    ):
        for read in (read_image, picture_size):
            with pytest.raises(ImageError, match=r"a camera's raw data, .* develop it first"):
                read(file)
    # a program that developed it may have left the version there
    for tags in ([], [_DNG_VERSION]):
        assert read_image(tiff(raw=False, tags=tags)).width == 40


def test_pixels_that_begin_like_a_cr2_are_a_picture() -> None:
    pixels = np.full((4, 6), 90, np.uint8)
    pixels[0, :3] = 67, 82, 2
    strip = pixels.tobytes()
    entries = [
        (256, 3, 6), (257, 3, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8),
        (277, 3, 1), (278, 3, 4), (279, 4, len(strip)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, n) for tag, kind, n in entries)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(strip))
    picture = read_image(io.BytesIO(head + strip + directory + bytes(4)))
    assert np.array_equal(picture_to_array(picture, np.uint8)[..., 0], pixels)


def test_a_page_with_smaller_versions_of_itself_is_one() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(np.full((64, 80, 3), 90, np.uint8), photometric="rgb", subifds=1)
        writer.write(np.full((32, 40, 3), 90, np.uint8), photometric="rgb", subfiletype=1)
    file.seek(0)
    assert read_image(file).width == 80


def test_a_jpeg_of_12_bits_is_whole_and_not_read() -> None:
    file = io.BytesIO()
    Image.fromarray(_PREVIEW).save(file, "JPEG")
    content = bytearray(file.getvalue())
    content[content.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError, match=r"is a JPEG of 12-bit layers, .* expected 8 bits of grey"):
        read_image(io.BytesIO(content))

"""What the samples of a PNG stand for."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from memnet_cli.imaging.png_colours import are_common, png_colours_of

#: Of ITU-R BT.2020, as the chunk cHRM has them: white, red, green, blue.
_WIDE = (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
_SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@pytest.mark.parametrize(
    ("chunks", "profile", "common"),
    [
        ([], False, True),
        ([("gAMA", struct.pack(">I", 45455)), ("cHRM", struct.pack(">8I", *_SRGB))], False, True),
        ([("gAMA", struct.pack(">I", 100_000))], False, False),
        ([("cHRM", struct.pack(">8I", *_WIDE))], False, False),
        ([("cHRM", struct.pack(">8I", *_WIDE))], True, True),
        ([("sRGB", b"\0"), ("gAMA", struct.pack(">I", 100_000))], False, True),
        ([("cICP", bytes([1, 13, 0, 1])), ("gAMA", struct.pack(">I", 100_000))], False, True),
        ([("cICP", bytes([9, 16, 0, 1]))], True, False),
        ([("cICP", bytes([1, 13, 0, 0]))], False, False),
        ([("cICP", bytes([12, 13, 0, 1])), ("sRGB", b"\0")], False, False),
    ],
)
def test_which_chunks_change_what_is_seen(
    chunks: list[tuple[str, bytes]], profile: bool, common: bool
) -> None:
    info = PngInfo()
    for name, content in chunks:
        info.add(name.encode(), content)
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=info)
    with Image.open(file) as image:
        assert are_common(png_colours_of(image, file), profile) is common


@pytest.mark.parametrize("cut", [34, 37, 41, 44])
def test_a_chunk_that_is_cut_off_or_longer_is_none(cut: int) -> None:
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    with Image.open(file) as image:
        whole = file.getvalue()
        with_chunk = whole[:33] + struct.pack(">I", 4) + b"cICP" + bytes([9, 16, 0, 1]) + bytes(4)
        assert png_colours_of(image, io.BytesIO(with_chunk)) == ((b"cICP", bytes([9, 16, 0, 1])),)
        assert png_colours_of(image, io.BytesIO(with_chunk[:cut])) == ()
        longer = with_chunk.replace(struct.pack(">I", 4), struct.pack(">I", 5))
        assert png_colours_of(image, io.BytesIO(longer)) == ()

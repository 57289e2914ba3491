"""What people wrote about a picture, read back by Pillow's own readers."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from memnet_cli.imaging.captions import Captions, captions_of
from memnet_cli.imaging.images import Picture, encode_image, picture_from_array, read_image

_TITLE, _KEYWORD = (2, 5), (2, 25)
_IPTC = b"\x1c\x02\x05\0\5Title\x1c\x02\x19\0\3cat"


def _written(picture: Picture, format: str) -> Image.Image:
    image = Image.open(io.BytesIO(encode_image(picture, format)))
    image.load()
    return image


def _again(picture: Picture, format: str) -> Picture:
    return read_image(io.BytesIO(encode_image(picture, format)))


@pytest.fixture
def picture(rng: np.random.Generator) -> Picture:
    """Return a picture as of a JPEG with IPTC and a comment."""
    made = picture_from_array(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8))
    captions = Captions(_IPTC, "gr\u00fcn \u2713".encode())
    return replace(made, source=replace(made.source, captions=captions))


def test_iptc_is_read_by_others(picture: Picture) -> None:
    for format in ("jpeg", "tiff"):
        image = Image.open(io.BytesIO(encode_image(picture, format)))
        assert IptcImagePlugin.getiptcinfo(image) == {_TITLE: b"Title", _KEYWORD: b"cat"}
    deep = encode_image(replace(picture, bit_depth=16), "tiff")
    assert tifffile.TiffFile(io.BytesIO(deep)).pages[0].tags[33723].value == _IPTC


@pytest.mark.parametrize("first", ["jpeg", "tiff", "png"])
@pytest.mark.parametrize("second", ["jpeg", "tiff", "png"])
def test_iptc_goes_from_format_to_format(picture: Picture, first: str, second: str) -> None:
    assert _again(_again(picture, first), second).source.captions.iptc == _IPTC
    assert _again(replace(picture, bit_depth=16), first).source.captions.iptc == _IPTC


@pytest.mark.parametrize("order", ["<", ">"])
def test_iptc_of_a_tiff_that_calls_it_integers(tmp_path: Path, order: str) -> None:
    padded = _IPTC + bytes(-len(_IPTC) % 4)
    numbers = struct.unpack(f"{order}{len(padded) // 4}L", padded)
    tag = (33723, 4, len(numbers), numbers, True)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), byteorder=order, extratags=[tag])
    assert read_image(path).source.captions.iptc == padded
    tifffile.imwrite(path, np.zeros((8, 8, 3), np.uint16), byteorder=order, extratags=[tag])
    assert read_image(path).source.captions.iptc == padded


@pytest.mark.parametrize("wrapped", [False, True])
def test_iptc_of_a_png_of_other_programs(wrapped: bool) -> None:
    block = _IPTC
    if wrapped:
        other = b"8BIM\x04\x25\x03abc\0\0\0\x03xyz\0"  # a resource with a name, of odd length
        sized = b"8BIM\x04\x04\0\0" + struct.pack(">L", len(_IPTC)) + _IPTC
        block = other + sized
    info = PngInfo()
    info.add_text("Raw profile type iptc", f"\niptc\n{len(block):8}\n{block.hex()}\n", zip=True)
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG", pnginfo=info)
    captions = read_image(file).source.captions
    assert (captions.iptc, captions.texts) == (_IPTC, ())


@pytest.mark.parametrize(
    "text", ["", "\niptc\n 4\nzz", "\niptc\n 4\n3842494d", "\niptc\n 9\n3842494d0404000000000fff1c"]
)
def test_damaged_blocks_of_digits_are_left_out(text: str) -> None:
    info = PngInfo()
    info.add_text("Raw profile type 8bim", text)
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG", pnginfo=info)
    captions = read_image(file).source.captions
    assert captions == Captions()


def test_comments_and_texts_are_kept(picture: Picture) -> None:
    assert _written(picture, "jpeg").info["comment"].decode() == "gr\u00fcn \u2713"
    image = _written(picture, "png")
    assert image.text["Comment"] == "gr\u00fcn \u2713"  # type: ignore[attr-defined]
    assert _written(_again(picture, "png"), "jpeg").info["comment"].decode() == "gr\u00fcn \u2713"
    old = replace(picture, source=replace(picture.source, captions=Captions(None, b"caf\xe9")))
    assert _written(old, "png").text["Comment"] == "caf\u00e9"  # type: ignore[attr-defined]
    info = PngInfo()
    info.add_text("Author", "Zo\u00eb")
    info.add_itxt("Title", "\u732b", lang="ja", tkey="\u984c")
    info.add_text("parameters", "x" * 5000)
    info.add_text("Thumb::Image::Width", "20")
    info.add_text("exif:ProcessingSoftware", '{"memnet:task": "sr"}')
    info.add_text("K" * 80, "more letters than a keyword may have")
    info.add_text(" ", "nothing but a space")
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info)
    for deep in (8, 16):
        png = _written(replace(read_image(file), bit_depth=deep), "png")
        texts = png.text  # type: ignore[attr-defined]
        assert dict(texts) == {"Author": "Zo\u00eb", "Title": "\u732b", "parameters": "x" * 5000}
        assert (texts["Title"].lang, texts["Title"].tkey) == ("ja", "\u984c")


@pytest.mark.parametrize("length", [1 << 20, (1 << 20) + 1, 2_000_000])
@pytest.mark.parametrize("depth", [8, 16])
def test_long_texts_can_be_read_again(picture: Picture, length: int, depth: int) -> None:
    info = PngInfo()
    info.add_text("plain", "x" * length)
    info.add_itxt("wide", "\u732b" * (length // 3), lang="ja")
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info)
    image = _written(replace(read_image(file), bit_depth=depth), "png")
    texts = image.text  # type: ignore[attr-defined]
    assert [len(texts[key]) for key in ("plain", "wide")] == [length, length // 3]
    records = Captions(b"\x1c" + bytes(length // 2))
    large = replace(picture, bit_depth=depth, source=replace(picture.source, captions=records))
    assert _again(large, "png").source.captions == records


def test_own_records_are_not_texts(picture: Picture) -> None:
    record = {"memnet:task": "sr", "Software": "memnet 0"}
    first = read_image(io.BytesIO(encode_image(picture, "png", provenance=record)))
    bare = Image.open(io.BytesIO(encode_image(first, "png")))
    assert set(bare.text) == {"Comment", "Raw profile type iptc"}  # type: ignore[attr-defined]
    newer = Image.open(io.BytesIO(encode_image(first, "png", provenance={"memnet:task": "jpeg"})))
    assert newer.text["memnet:task"] == "jpeg"  # type: ignore[attr-defined]


def test_what_does_not_fit_or_makes_no_sense_is_left_out(picture: Picture) -> None:
    long = Captions(b"\x1c" + bytes(66_000), b"c" * 66_000)
    large = replace(picture, source=replace(picture.source, captions=long))
    image = _written(large, "jpeg")
    assert "photoshop" not in image.info and not image.info.get("comment")
    assert _again(large, "tiff").source.captions.iptc == long.iptc
    odd = Image.new("L", (4, 4))
    odd.format = "JPEG"
    odd.info.update(photoshop={0x0404: {"not": "bytes"}}, comment=3)
    assert captions_of(odd, Image.Exif()) == Captions()

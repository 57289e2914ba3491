"""16 bits and floating point come in and go out without passing through 8 bits."""

from __future__ import annotations

import io
import logging
import zlib
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import png
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.errors import ImageError
from memnet_cli.imaging.images import (
    PictureSize,
    encode_image,
    picture_from_array,
    picture_size,
    picture_to_array,
    read_image,
)

_ALPHA = {2: ["unassalpha"], 4: ["unassalpha"]}


@pytest.fixture
def deep(photograph: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint16]:
    """A photograph of 16 bits with alpha, (300, 41, 4): more rows than are written at once."""
    colours = photograph[:300, 100:141].astype(np.uint16) * 257
    alpha = rng.integers(0, 65536, (300, 41, 1), dtype=np.uint16)
    return np.concatenate([colours ^ rng.integers(0, 256, colours.shape, np.uint16), alpha], axis=2)


def _channels(deep: NDArray[np.uint16], channels: int) -> NDArray[np.uint16]:
    return deep if channels == 4 else np.ascontiguousarray(deep[:, :, 4 - channels :])


def _read(content: bytes) -> NDArray[np.generic]:
    picture = read_image(io.BytesIO(content))
    assert picture.bit_depth == 16
    samples = picture_to_array(picture, np.uint16)
    size = picture_size(io.BytesIO(content))
    assert size == PictureSize(samples.shape[1], samples.shape[0], samples.shape[2], 16)
    return samples


def test_a_16_bit_value_is_scaled_not_cut() -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((2, 3), 40_000, np.uint16)).save(file, "PNG")
    picture = read_image(file)
    np.testing.assert_allclose(picture.pixels, 40_000 / 65_535, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_by_another_writer(deep: NDArray[np.uint16], channels: int, interlaced: bool) -> None:
    array = _channels(deep[:40], channels)
    file = io.BytesIO()
    png.Writer(
        41, 40, greyscale=channels < 3, alpha=channels in _ALPHA, bitdepth=16, interlace=interlaced
    ).write_array(file, array.ravel().tolist())
    np.testing.assert_array_equal(_read(file.getvalue()), array)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_is_read_by_another_reader(deep: NDArray[np.uint16], channels: int) -> None:
    array = _channels(deep, channels)
    content = encode_image(picture_from_array(array), "png")
    width, height, rows, about = png.Reader(bytes=content).asDirect()
    assert (width, height) == (41, 300)
    assert (about["bitdepth"], about["planes"]) == (16, channels)
    np.testing.assert_array_equal(np.stack([list(row) for row in rows]), array.reshape(300, -1))
    np.testing.assert_array_equal(_read(content), array)
    # and by Pillow: every checksum holds, and its upper 8 bits are ours
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
    if channels > 2:
        np.testing.assert_array_equal(imageio.imread(content), array >> 8)


@pytest.mark.parametrize("colours", [1, 3])
def test_a_transparent_colour_of_a_png_is_compared_at_16_bits(
    rng: np.random.Generator, colours: int
) -> None:
    # the lower bits alone tell the transparent colour from its neighbours
    array = (30_000 + rng.integers(0, 2, (20, 30, colours))).astype(np.uint16)
    key = tuple(int(value) for value in array[3, 4])
    file = io.BytesIO()
    png.Writer(
        30, 20, greyscale=colours == 1, bitdepth=16, transparent=key if colours > 1 else key[0]
    ).write_array(file, array.ravel().tolist())
    samples = _read(file.getvalue())
    np.testing.assert_array_equal(samples[:, :, :colours], array)
    np.testing.assert_array_equal(samples[:, :, colours] == 0, (array == key).all(axis=2))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "options",
    [
        {"byteorder": order, "compression": compression, "tile": tile, "bigtiff": big}
        for order in "<>"
        for compression in (None, "zlib")
        for tile in (None, (16, 32))
        for big in (False, True)
    ],
    ids=str,
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_by_another_writer(
    deep: NDArray[np.uint16], channels: int, options: dict[str, Any], planar: str
) -> None:
    array = _channels(deep[:50], channels)
    stored = array[:, :, 0] if channels == 1 else array
    if planar == "separate" and channels > 1:
        stored = np.ascontiguousarray(np.moveaxis(array, 2, 0))
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        stored,
        photometric="rgb" if channels > 2 else "minisblack",
        predictor=options["compression"] is not None,
        planarconfig=planar if channels > 1 else None,
        extrasamples=_ALPHA.get(channels),
        **options,
    )
    np.testing.assert_array_equal(_read(file.getvalue()), array)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_floating_point_grey_of_either_byte_order(order: Any, compression: Any) -> None:
    values = np.linspace(0.0, 1.0, 600, dtype=np.float32).reshape(20, 30)
    file = io.BytesIO()
    tifffile.imwrite(file, values, byteorder=order, compression=compression)
    np.testing.assert_array_equal(read_image(file).pixels[:, :, 0], values)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_grey_tiff_by_pillow(deep: NDArray[np.uint16], compression: str) -> None:
    file = io.BytesIO()
    Image.fromarray(deep[:, :, 0]).save(file, "TIFF", compression=compression)
    np.testing.assert_array_equal(_read(file.getvalue())[:, :, 0], deep[:, :, 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tiff_is_read_by_other_readers(
    deep: NDArray[np.uint16], channels: int, dtype: type[np.unsignedinteger]
) -> None:
    array = _channels(deep, channels).astype(dtype)
    content = encode_image(picture_from_array(array), "tiff")
    squeezed = array[:, :, 0] if channels == 1 else array
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(content)), squeezed)
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        assert len(tiff.pages) == 1
        assert not tiff.pages[0].extrasamples or int(tiff.pages[0].extrasamples[0]) == 2
    if dtype == np.uint8 or channels == 1:
        with Image.open(io.BytesIO(content)) as image:
            np.testing.assert_array_equal(np.asarray(image), squeezed)


def test_premultiplied_alpha_is_divided_out(deep: NDArray[np.uint16]) -> None:
    alpha = deep[:, :, 3:].astype(np.float64) / 65535
    stored = np.concatenate([np.rint(deep[:, :, :3] * alpha), deep[:, :, 3:]], axis=2)
    for planar in ("contig", "separate"):
        array = stored if planar == "contig" else np.moveaxis(stored, 2, 0)
        file = io.BytesIO()
        tifffile.imwrite(
            file,
            np.ascontiguousarray(array, dtype=np.uint16),
            photometric="rgb",
            planarconfig=planar,
            extrasamples=["assocalpha"],
        )
        samples = _read(file.getvalue())
        np.testing.assert_array_equal(samples[:, :, 3], deep[:, :, 3])
        difference = np.abs(samples[:, :, :3].astype(float) - deep[:, :, :3])
        assert (difference * alpha).max() <= 1


def test_extra_samples_of_no_stated_meaning_are_left_out(deep: NDArray[np.uint16]) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, deep, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(_read(file.getvalue()), deep[:, :, :3])


def test_white_may_be_zero(deep: NDArray[np.uint16]) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, deep[:, :, 0], photometric="miniswhite")
    np.testing.assert_array_equal(_read(file.getvalue())[:, :, 0], 65535 - deep[:, :, 0])


def _retagged(path: Path, appended: bytes, tags: dict[str, Any]) -> bytes:
    """Append to a TIFF file and overwrite some tags of its first page."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in tags.items():
            tiff.pages[0].tags[name].overwrite(value)
    return path.read_bytes() + appended


def test_12_bits_are_scaled_by_12_bits(tmp_path: Path) -> None:
    # tifffile packs no 12 bits without a codec: two samples in three bytes, by hand
    values = np.arange(0, 4096, 16, dtype=np.uint32).reshape(16, 16)
    pairs = (values[:, 0::2] << 12) | values[:, 1::2]
    octets = np.stack([pairs >> 16, pairs >> 8, pairs], axis=-1).astype(np.uint8).tobytes()
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), photometric="minisblack")
    end = path.stat().st_size
    tags = {"BitsPerSample": 12, "StripOffsets": [end], "StripByteCounts": [len(octets)]}
    picture = read_image(io.BytesIO(_retagged(path, octets, tags)))
    np.testing.assert_allclose(picture.pixels[:, :, 0], values / 4095, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_floating_point_tiffs_are_taken_as_they_are(
    rng: np.random.Generator, dtype: type[np.floating], channels: int
) -> None:
    array = rng.random((9, 8, channels)).astype(dtype)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        array[:, :, 0] if channels == 1 else array,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=_ALPHA.get(channels),
    )
    picture = read_image(file)
    assert picture.bit_depth == 16
    np.testing.assert_array_equal(picture_to_array(picture, np.float32), array.astype(np.float32))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((4, 4, 3), 200, np.float32), "between 200 and 200: expected"),
        (np.full((4, 4), 200, np.float32), "between 200 and 200: expected"),
        (np.full((4, 4, 3), np.nan, np.float32), "not finite"),
        (np.zeros((4, 4), np.int8), "unknown range"),
        (np.zeros((4, 4, 3), np.int8), "3 samples of type int8"),
        (np.zeros((4, 4), np.int16), "unknown range"),
        (np.zeros((4, 4), np.uint32), "unknown range"),
        (np.zeros((4, 4, 3), np.uint32), "3 samples of type uint32"),
        (np.zeros((4, 4), np.complex64), "complex64"),
    ],
)
def test_samples_of_unknown_range_are_refused(array: NDArray[np.generic], words: str) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="rgb" if array.ndim == 3 else "minisblack")
    with pytest.raises(ImageError, match=f"^The picture from the stream .*{words}.*\\.$"):
        read_image(file)


def test_colours_of_12_bits_are_refused_as_what_they_are() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((4, 6, 3), np.uint16), photometric="rgb")
    content = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        place = tiff.pages[0].tags["BitsPerSample"].valueoffset
    content[place : place + 6] = b"\x0c\0" * 3
    with pytest.raises(ImageError, match="a TIFF of 3 samples of 12 bits for each pixel"):
        read_image(io.BytesIO(content))


def test_what_another_library_says_of_a_good_file_is_not_shown() -> None:
    """Its description leads nowhere, which is no matter for its pixels."""
    file = io.BytesIO()
    samples = np.zeros((4, 6, 3), np.float32)
    tifffile.imwrite(file, samples, photometric="rgb", description="a long description")
    content = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        place = tiff.pages[0].tags["ImageDescription"].offset
    content[place + 8 : place + 12] = (2**31 - 1).to_bytes(4, "little")
    shown = io.StringIO()
    screen = logging.StreamHandler(shown)
    logging.getLogger().addHandler(screen)
    assert read_image(io.BytesIO(content)).width == 6
    logging.getLogger().removeHandler(screen)
    assert shown.getvalue() == ""


def test_orientation_of_deep_tiffs(deep: NDArray[np.uint16]) -> None:
    for planar in ("contig", "separate"):
        stored = deep[:40, :, :3] if planar == "contig" else np.moveaxis(deep[:40, :, :3], 2, 0)
        for orientation, turns in [(1, 0), (3, 2), (6, -1), (8, 1)]:
            file = io.BytesIO()
            tifffile.imwrite(
                file,
                np.ascontiguousarray(stored),
                photometric="rgb",
                planarconfig=planar,
                extratags=[(274, 3, 1, orientation, True)],
            )
            expected = np.rot90(deep[:40, :, :3], turns)
            np.testing.assert_array_equal(_read(file.getvalue()), expected)


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    """A TIFF of three deflated planes of 16 bits, which tifffile reads for us."""
    path = tmp_path / "planes.tif"
    tifffile.imwrite(
        path,
        np.zeros((3, 16, 16), np.uint16),
        photometric="rgb",
        planarconfig="separate",
        compression="zlib",
    )
    return path


def test_strips_that_inflate_beyond_their_size_are_refused(planes: Path) -> None:
    bomb = zlib.compress(bytes(1 << 24), 9)
    end = planes.stat().st_size
    tags = {"StripOffsets": [end] * 3, "StripByteCounts": [len(bomb)] * 3}
    with pytest.raises(ImageError, match="inflate beyond their size"):
        read_image(io.BytesIO(_retagged(planes, bomb, tags)))


def test_a_compression_that_is_not_there_is_named(planes: Path) -> None:
    with pytest.raises(ImageError, match=r"with LZW compression, .* save it uncompressed"):
        read_image(io.BytesIO(_retagged(planes, b"", {"Compression": 5})))


@pytest.mark.parametrize("white", [255, 1000, 4095, 65535])
def test_pgm_of_any_white(rng: np.random.Generator, white: int) -> None:
    # netpbm: samples above 255 take two bytes, the upper one first
    values = rng.integers(0, white + 1, (6, 9))
    data = values.astype(">u2" if white > 255 else np.uint8).tobytes()
    picture = read_image(io.BytesIO(f"P5\n9 6\n{white}\n".encode() + data))
    assert picture.bit_depth == (16 if white > 255 else 8)
    np.testing.assert_allclose(picture.pixels[:, :, 0], values / white, atol=0.5 / 65535 + 1e-6)

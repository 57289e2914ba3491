"""What becomes of each kind of 8-bit file."""

from __future__ import annotations

import io
import itertools
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import png
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from memnet_cli.errors import ImageError
from memnet_cli.imaging.images import (
    Picture,
    PictureSize,
    encode_image,
    picture_from_array,
    picture_from_pil,
    picture_size,
    picture_to_array,
    read_image,
)


@pytest.fixture
def patch(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A piece of a photograph, (36, 50, 3), of which no two neighbours are equal."""
    return np.ascontiguousarray(photograph[100:136, 200:250])


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _read(content: bytes) -> Picture:
    return read_image(io.BytesIO(content))


def _samples(content: bytes) -> NDArray[np.generic]:
    return picture_to_array(_read(content), np.uint8)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "GIF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_stays_grey_and_rgb_stays_rgb(
    patch: NDArray[np.uint8], format: str, mode: str
) -> None:
    # few enough colours for the palette of GIF; equal channels do not make RGB grey
    grey = Image.fromarray(patch).convert("L").point(lambda value: value // 2 * 2)
    image = grey.convert(mode)
    content = _saved(image, format, **({"lossless": True} if format == "WEBP" else {}))
    picture = _read(content)
    assert picture.source.format == format
    assert picture.bit_depth == 8
    # these two hold no grey of their own
    assert picture.is_grey == (mode == "L" and format not in {"WEBP", "GIF"})
    samples = picture_to_array(picture, np.uint8)
    for channel in range(samples.shape[2]):
        np.testing.assert_array_equal(samples[:, :, channel], np.asarray(grey))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
def test_grey_png_of_few_bits(
    rng: np.random.Generator, bits: int, interlaced: bool, transparent: bool
) -> None:
    values = rng.integers(0, 2**bits, (13, 17))
    key = int(values[3, 4])
    file = io.BytesIO()
    png.Writer(
        17,
        13,
        greyscale=True,
        bitdepth=bits,
        interlace=interlaced,
        transparent=key if transparent else None,
    ).write_array(file, values.ravel().tolist())
    picture = _read(file.getvalue())
    np.testing.assert_allclose(picture.pixels[:, :, 0], values / (2**bits - 1), atol=1e-6)
    if transparent:
        assert picture.alpha is not None
        np.testing.assert_array_equal(picture.alpha, values != key)
    else:
        assert picture.alpha is None
    assert picture_size(file) == PictureSize(17, 13, 1 + transparent, 8)


def test_a_palette_becomes_rgb_and_its_transparency_alpha(rng: np.random.Generator) -> None:
    palette = rng.integers(0, 256, (11, 4))
    indices = rng.integers(0, 11, (13, 17))
    for colours in (3, 4):
        file = io.BytesIO()
        png.Writer(
            17, 13, palette=[tuple(map(int, entry[:colours])) for entry in palette], bitdepth=4
        ).write_array(file, indices.ravel().tolist())
        np.testing.assert_array_equal(_samples(file.getvalue()), palette[indices][:, :, :colours])
        assert picture_size(file) == PictureSize(17, 13, colours, 8)


def test_a_transparent_gif(patch: NDArray[np.uint8]) -> None:
    image = Image.fromarray(patch).quantize(16)
    picture = _read(_saved(image, "GIF", transparency=3))
    assert picture.alpha is not None
    indices = np.asarray(image)
    np.testing.assert_array_equal(picture.alpha, indices != 3)
    np.testing.assert_array_equal(
        picture_to_array(picture, np.uint8)[indices != 3][:, :3],
        np.asarray(image.convert("RGB"))[indices != 3],
    )


@pytest.mark.parametrize(
    ("compression", "mode"),
    [
        *itertools.product(["raw", "tiff_lzw", "packbits"], ["L", "LA", "RGB", "RGBA", "P"]),
        # Pillow before 13 does not read YCbCr uncompressed
        *itertools.product(["tiff_lzw", "packbits"], ["YCbCr"]),
        *itertools.product(["raw", "group4"], ["1"]),
        *itertools.product(["jpeg"], ["L", "RGB"]),
    ],
)
def test_tiffs_of_8_bits(patch: NDArray[np.uint8], compression: str, mode: str) -> None:
    image = Image.fromarray(patch).convert(mode)
    expected = np.atleast_3d(
        np.asarray(image.convert({"1": "L", "P": "RGB", "YCbCr": "RGB"}.get(mode, mode)))
    )
    samples = _samples(_saved(image, "TIFF", compression=compression))
    assert samples.shape == expected.shape
    # libtiff rounds YCbCr in its own way
    tolerance = 40 if compression == "jpeg" else int(mode == "YCbCr")
    assert np.abs(samples.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiffs_by_another_writer(
    rng: np.random.Generator, planar: str, compression: str | None, tile: tuple[int, int] | None
) -> None:
    array = rng.integers(0, 256, (36, 50, 4), dtype=np.uint8)
    stored = array if planar == "contig" else np.moveaxis(array, 2, 0)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.ascontiguousarray(stored),
        photometric="rgb",
        planarconfig=planar,
        extrasamples=["unassalpha"],
        compression=compression,
        tile=tile,
    )
    np.testing.assert_array_equal(_samples(file.getvalue()), array)
    assert picture_size(file) == PictureSize(50, 36, 4, 8)


def test_black_and_white_turned_round(rng: np.random.Generator) -> None:
    array = rng.integers(0, 256, (9, 8), dtype=np.uint8)
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="miniswhite")
    np.testing.assert_array_equal(_samples(file.getvalue())[:, :, 0], 255 - array)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_read(patch: NDArray[np.uint8], format: str) -> None:
    frames = [Image.fromarray(patch).quantize(64).convert("RGB")]
    frames += [ImageOps.invert(frames[0]), ImageOps.mirror(frames[0])]
    options = {"lossless": True} if format == "WEBP" else {}
    content = _saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
    picture = _read(content)
    assert picture.source.frames == 3
    samples = picture_to_array(picture, np.uint8)
    np.testing.assert_array_equal(samples[:, :, :3], np.asarray(frames[0]))
    assert picture.alpha is None or picture.alpha.min() == 1
    assert _read(encode_image(picture, "png")).source.frames == 1


def _linear_srgb(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """XYZ under D50 to sRGB, 0 to 255: the inverse of the matrix in the sRGB ICC profile."""
    matrix = np.array(
        [
            [0.4360747, 0.3850649, 0.1430804],
            [0.2225045, 0.7168786, 0.0606169],
            [0.0139322, 0.0971045, 0.7141733],
        ]
    )
    linear = np.clip(xyz @ np.linalg.inv(matrix).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _lab_to_srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE 15, then sRGB; Lab under D50, as in ICC profiles."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    t = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return _linear_srgb(t * np.array([0.9642, 1.0, 0.8249]))


def test_a_lab_tiff_becomes_srgb() -> None:
    # L in 0 to 255 for 0 to 100; a and b signed
    lab = np.array([[[255, 0, 0], [0, 0, 0], [128, 0, 0], [140, 40, -30], [170, -25, 20]]])
    image = Image.frombytes("LAB", (5, 1), (lab % 256).astype(np.uint8).tobytes())
    samples = _samples(_saved(image, "TIFF")).astype(float)
    expected = _lab_to_srgb(lab * np.array([100 / 255, 1, 1]))
    assert np.abs(samples - expected).max() <= 2


def _cmyk_profile(corners: NDArray[np.float64]) -> bytes:
    """Return an ICC (version 2) printer profile whose ink corners have these Lab colours.

    corners: (2, 2, 2, 2, 3), by cyan, magenta, yellow, black; between them it is linear.
    """
    curve = bytes(range(256))
    table = np.stack(
        [corners[..., 0] * 2.55, corners[..., 1] + 128, corners[..., 2] + 128], axis=-1
    )
    identity = struct.pack(">9i", *(65536 * (k % 4 == 0) for k in range(9)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + curve * 4
    lut += np.rint(table).astype(np.uint8).tobytes() + curve * 3
    text = b"text\0\0\0\0none\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"A2B0": lut, b"cprt": text, b"desc": description, b"wtpt": white}
    directory, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        directory += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytes(4) + b"none" + bytes.fromhex("02400000") + b"prtrCMYKLab " + bytes(12)
    header += b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    header = header.ljust(128, b"\0")
    whole = header + directory + body
    return struct.pack(">I", len(whole)) + whole[4:]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_through_its_own_profile(format: str) -> None:
    corners = np.zeros((2, 2, 2, 2, 3))
    corners[0, 0, 0, 0] = (100, 0, 0)
    # inks that are nothing like cyan and magenta, so that no guess gets them right
    corners[1, 0, 0, 0] = (60, 30, 40)
    corners[0, 1, 0, 0] = (45, -20, 10)
    profile = _cmyk_profile(corners)
    inks = np.zeros((8, 24, 4), np.uint8)
    inks[:, 8:16, 0] = 255
    inks[:, 16:, 1] = 255
    options = {"quality": 100} if format == "JPEG" else {}
    image = Image.frombytes("CMYK", (24, 8), inks.tobytes())
    picture = _read(_saved(image, format, icc_profile=profile, **options))
    assert picture.pixels.shape == (8, 24, 3)
    assert picture.source.icc_profile is None
    expected = _lab_to_srgb(
        np.array([corners[0, 0, 0, 0], corners[1, 0, 0, 0], corners[0, 1, 0, 0]])
    )
    samples = np.float64(255) * picture.pixels[4, [4, 12, 20]]
    assert np.abs(samples - expected).max() <= 2
    # a damaged profile is as good as none
    plain = _samples(_saved(image, format, icc_profile=profile[:200], **options))[4, [4, 12, 20]]
    assert np.abs(plain.astype(int) - [[255, 255, 255], [0, 255, 255], [255, 0, 255]]).max() <= 2


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_is_applied_to_the_pixels(
    patch: NDArray[np.uint8], format: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    # libtiff refuses to write what is no orientation; Pillow alone does not mind
    compression = "tiff_lzw" if 1 <= orientation <= 8 else "raw"
    content = _saved(
        Image.fromarray(patch), format, exif=exif.tobytes(), lossless=True, compression=compression
    )
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(_samples(content), expected)
    size = picture_size(io.BytesIO(content))
    assert (size.height, size.width) == expected.shape[:2]
    # written again it is upright, and nothing asks for another turn
    for output in ("png", "tiff"):
        np.testing.assert_array_equal(_samples(encode_image(_read(content), output)), expected)


# ITU-T T.81, table K.1, in the natural order of the 8x8 block
_LUMA_50 = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 "
    "14 17 22 29 51 87 80 62 18 22 37 56 68 109 103 77 "
    "24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 "
    "72 92 95 98 112 100 103 99"
)


def test_jpeg_tables_come_in_natural_order_luma_first(patch: NDArray[np.uint8]) -> None:
    picture = _read(_saved(Image.fromarray(patch), "JPEG", quality=50))
    tables = picture.source.jpeg_tables
    assert tables is not None
    assert tables[0] == tuple(map(int, _LUMA_50.split()))
    # K.2 begins 17 18 24 47 and is 99 from its middle on
    assert tables[1][:4] == (17, 18, 24, 47)
    assert set(tables[1][32:]) == {99}
    assert len(tables) == 2
    grey = _read(_saved(Image.fromarray(patch).convert("L"), "JPEG", quality=50))
    assert grey.source.jpeg_tables == tables[:1]
    assert grey.is_grey


def test_jpeg_tables_are_ordered_by_component_not_by_number(patch: NDArray[np.uint8]) -> None:
    content = bytearray(_saved(Image.fromarray(patch), "JPEG", quality=50))
    # exchange the numbers of the two tables, where they are defined and where components name them
    for marker in [k for k in range(len(content) - 1) if content[k : k + 2] == b"\xff\xdb"]:
        content[marker + 4] ^= 1
    frame = content.index(b"\xff\xc0")
    for component in range(3):
        content[frame + 12 + 3 * component] ^= 1
    swapped, plain = (
        _read(bytes(c)) for c in (content, _saved(Image.fromarray(patch), "JPEG", quality=50))
    )
    np.testing.assert_array_equal(swapped.pixels, plain.pixels)
    assert swapped.source.jpeg_tables == plain.source.jpeg_tables


def test_other_files_have_no_jpeg_tables(patch: NDArray[np.uint8]) -> None:
    assert _read(_saved(Image.fromarray(patch), "PNG")).source.jpeg_tables is None


@pytest.mark.parametrize(
    ("subsampling", "orientation", "step"),
    [
        ("4:4:4", 1, (1, 1)),
        ("4:2:2", 1, (1, 2)),
        ("4:2:0", 1, (2, 2)),
        ("4:2:2", 6, (2, 1)),  # lies on its side
        ("4:2:2", 3, (1, 2)),
        ("4:2:0", 8, (2, 2)),
    ],
)
def test_the_chroma_step_of_a_jpeg_is_that_of_the_upright_picture(
    subsampling: str, orientation: int, step: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = Image.new("RGB", (24, 16), "red")
    picture = _read(_saved(image, "JPEG", subsampling=subsampling, exif=exif))
    assert picture.source.chroma_step == step


def test_a_flipped_side_of_odd_length_counts_as_not_subsampled() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 2  # left to right
    image = Image.new("RGB", (23, 15), "red")
    mirrored = _read(_saved(image, "JPEG", subsampling="4:2:0", exif=exif))
    assert mirrored.source.chroma_step == (2, 1)
    assert _read(_saved(image, "JPEG", subsampling="4:2:0")).source.chroma_step == (2, 2)


def test_the_blocks_of_chroma_lie_in_samples_of_their_own() -> None:
    image = Image.new("RGB", (46, 30), "red")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3  # upside down: the cut blocks come first
    for subsampling, (top, left) in {"4:4:4": (6, 6), "4:2:2": (6, 7), "4:2:0": (7, 7)}.items():
        source = _read(_saved(image, "JPEG", subsampling=subsampling, exif=exif)).source
        assert source.jpeg_tables is not None and source.chroma_blocks is not None
        for blocks in source.chroma_blocks:
            assert (blocks.top, blocks.left) == (top, left)
            assert blocks.table == source.jpeg_tables[1]
    # of a side that is flipped and cuts a sample, nothing is told
    odd = image.resize((45, 30))
    assert _read(_saved(odd, "JPEG", subsampling="4:2:0", exif=exif)).source.chroma_blocks is None
    assert _read(_saved(odd, "JPEG", subsampling="4:2:0")).source.chroma_blocks is not None


@pytest.mark.parametrize("quality", [10, 50, 95])
@pytest.mark.parametrize("way", ["loaded", "thumbnail", "draft", "turned"])
def test_a_jpeg_that_was_changed_in_place_is_pixels_alone(
    photograph: NDArray[np.uint8], way: str, quality: int
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    clean = Image.fromarray(photograph[100:333, 100:435])
    content = _saved(clean, "JPEG", quality=quality, subsampling="4:2:2", exif=exif)
    fresh = picture_from_pil(Image.open(io.BytesIO(content))).source
    assert fresh == _read(content).source
    assert fresh.jpeg_tables and fresh.luma_blocks and fresh.chroma_step == (2, 1)
    image = Image.open(io.BytesIO(content))
    ways: dict[str, Callable[[], object]] = {
        "loaded": image.load,
        "thumbnail": lambda: image.thumbnail((200, 200)),
        "draft": lambda: image.draft("RGB", (100, 100)),
        "turned": lambda: ImageOps.exif_transpose(image, in_place=True),
    }
    ways[way]()
    picture = picture_from_pil(image)
    if way == "loaded":
        assert picture.source == fresh
        return
    assert picture.source.jpeg_tables is None
    assert picture.source.luma_blocks is None and picture.source.chroma_blocks is None
    assert picture.source.chroma_step == (1, 1)


def test_what_has_no_chroma_of_its_own_has_no_chroma_step(patch: NDArray[np.uint8]) -> None:
    image = Image.fromarray(patch)
    for content in (
        _saved(image, "PNG"),
        _saved(image.convert("L"), "JPEG"),
        _saved(image.convert("CMYK"), "JPEG"),
        _saved(image, "JPEG", keep_rgb=True),
    ):
        assert _read(content).source.chroma_step == (1, 1)
        assert _read(content).source.chroma_blocks is None


def test_a_jpeg_with_pictures_behind_it_is_a_jpeg(patch: NDArray[np.uint8]) -> None:
    image = Image.fromarray(patch)
    picture = _read(_saved(image, "MPO", save_all=True, append_images=[ImageOps.invert(image)]))
    assert picture.source.format == "JPEG"
    assert picture.source.frames == 2
    assert picture.source.jpeg_tables is not None
    assert np.abs(picture.pixels - patch / 255.0).mean() < 0.05


def test_damaged_exif_is_no_reason_to_refuse_a_picture(patch: NDArray[np.uint8]) -> None:
    content = _saved(Image.fromarray(patch), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7frubbish")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = _read(content)
    assert picture.width == 50
    assert picture.source.exif is None


def test_a_tag_of_a_wrong_type_costs_no_other(patch: NDArray[np.uint8]) -> None:
    """A resolution in letters, as some cameras write it, beside model, date and copyright."""
    values = {0x110: b"EOS 5D\0", 0x11A: b"72.00\0", 0x132: b"2009:07:14 18:30:00\0"}
    place, entries, behind = 8 + 2 + 12 * len(values) + 4, b"", b""
    for tag, value in values.items():
        entries += struct.pack("<HHLL", tag, 2, len(value), place + len(behind))
        behind += value + b"\0" * (len(value) % 2)
    directory = struct.pack("<H", len(values)) + entries + struct.pack("<L", 0) + behind
    block = b"Exif\0\0II*\0" + struct.pack("<L", 8) + directory
    carried = _read(_saved(Image.fromarray(patch), "JPEG", exif=block)).source.exif
    assert carried is not None
    tags = Image.Exif()
    tags.load(carried)
    assert dict(tags) == {0x110: "EOS 5D", 0x132: "2009:07:14 18:30:00"}


def test_the_suffix_does_not_matter(tmp_path: Path, patch: NDArray[np.uint8]) -> None:
    path = tmp_path / "really a jpeg.png"
    path.write_bytes(_saved(Image.fromarray(patch), "JPEG"))
    assert read_image(path).source.format == "JPEG"


def test_formats_that_are_not_on_the_list_are_refused(patch: NDArray[np.uint8]) -> None:
    for format in ("ICO", "TGA", "PCX", "SGI", "JPEG2000", "AVIF", "PDF", "EPS"):
        try:
            content = _saved(Image.fromarray(patch), format)
        except (KeyError, OSError):
            continue
        with pytest.raises(ImageError, match="is not a picture that can be read"):
            _read(content)


def test_profiles_that_describe_the_pixels_are_kept(patch: NDArray[np.uint8]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        picture = _read(_saved(Image.fromarray(patch), format, icc_profile=profile))
        assert picture.source.icc_profile == profile
    assert picture_from_array(patch).source.icc_profile is None

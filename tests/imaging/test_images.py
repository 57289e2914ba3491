"""What every reader and writer has in common: names, failures, arrays, atomic writing."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.errors import ImageError, UsageError
from memnet_cli.imaging.images import (
    DEFAULT_MAX_PIXELS,
    OUTPUT_FORMATS,
    PICTURE_SUFFIXES,
    Picture,
    encode_image,
    is_picture_name,
    picture_from_array,
    picture_from_pil,
    picture_size,
    picture_to_array,
    picture_to_pil,
    read_image,
    write_image,
)


@pytest.mark.parametrize(
    "name", ["a.png", "b.JPG", "c.d.jpeg", "e.TIFF", "f.webp", "g.pgm", "h.gif"]
)
def test_pictures_are_known_by_their_suffix(name: str) -> None:
    assert is_picture_name(Path("folder") / name)


@pytest.mark.parametrize(
    "name", [".a.png", "._a.png", "Thumbs.db", ".DS_Store", "a.txt", "png", "a.png.part", "a.eps"]
)
def test_other_files_are_not(name: str) -> None:
    assert not is_picture_name(Path(name))


def test_whatever_is_written_is_taken_for_a_picture() -> None:
    assert set(OUTPUT_FORMATS) <= PICTURE_SUFFIXES


def _png_that_claims(width: int, height: int) -> bytes:
    """Return a whole PNG header with a few bytes of pixels behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"no picture at all, but longer than any signature", "is not a picture"),
        (b"\x89P", "is not a picture"),
        (_EPS, "is not a picture"),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "is not a picture"),
        (b"\x89PNG\r\n\x1a\n" + b"rubbish" * 9, "is damaged"),
        (_png_that_claims(30, 30), "is damaged"),
        (_png_that_claims(16_000, 16_000), "claims 16000x16000 pixels"),
        (_png_that_claims(0, 5), "is damaged"),
    ],
    ids=["empty", "text", "two bytes", "EPS", "PDF", "header", "pixels", "bomb", "no width"],
)
def test_what_is_no_picture_is_told_in_one_sentence_with_its_name(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert words in message
    assert message.endswith(".")
    assert "\n" not in message


def test_missing_unreadable_and_folder(tmp_path: Path) -> None:
    for path, words in [(tmp_path / "none.png", "does not exist"), (tmp_path, "is a folder")]:
        with pytest.raises(ImageError, match=words):
            read_image(path)
    locked = tmp_path / "locked.png"
    locked.write_bytes(_png_that_claims(1, 1))
    locked.chmod(0)
    if os.access(locked, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ImageError, match=r"locked\.png may not be read"):
        read_image(locked)


def test_an_unreadable_file_even_where_the_user_may_read_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(ImageError, match="may not be read"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_file_cut_short_is_refused(
    photograph: NDArray[np.uint8], tmp_path: Path, format: str, share: float
) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(photograph[:64, :64]).save(path, format)
    whole = path.read_bytes()
    read_image(path)
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageError, match=r"cut\.png is damaged or cut short"):
        read_image(path)


@given(data=st.data())
def test_no_damage_raises_anything_but_an_image_error(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["png", "jpeg", "tiff", "webp", "bmp"]))
    depth = data.draw(st.sampled_from([np.uint8, np.uint16]))
    content = bytearray(encode_image(picture_from_array(np.full((9, 8, 4), 77, depth)), format))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (read_image, picture_size):
            with contextlib.suppress(ImageError):
                read(io.BytesIO(bytes(content)), max_pixels=10_000)


def test_the_limit_is_our_own_and_warns_about_nothing(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    # beyond both of Pillow's limits, 89 and 179 megapixels, yet within ours
    path.write_bytes(_png_that_claims(15_000, 15_000))
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert picture_size(path).width == 15_000
    assert before == Image.MAX_IMAGE_PIXELS
    assert DEFAULT_MAX_PIXELS > 15_000**2
    with pytest.raises(ImageError, match="more than the 250 megapixels"):
        path.write_bytes(_png_that_claims(15_900, 15_900))
        picture_size(path)


def test_the_limit_counts_pixels_exactly() -> None:
    content = encode_image(picture_from_array(np.zeros((6, 7), np.uint8)), "png")
    assert read_image(io.BytesIO(content), max_pixels=42).width == 7
    with pytest.raises(ImageError, match="claims 7x6 pixels"):
        read_image(io.BytesIO(content), max_pixels=41)


def test_streams_that_cannot_seek_are_read_too(photograph: NDArray[np.uint8]) -> None:
    content = encode_image(picture_from_array(photograph[:40, :30]), "png")
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as sink:
        sink.write(content)
    with os.fdopen(reader, "rb") as source:
        picture = read_image(source)
    np.testing.assert_array_equal(picture_to_array(picture, np.uint8), photograph[:40, :30])


def test_threads_do_not_disturb_each_other(photograph: NDArray[np.uint8]) -> None:
    pieces = [photograph[k : k + 50, k : k + 60] for k in range(0, 240, 10)]
    deep = [piece.astype(np.uint16) * 257 for piece in pieces]
    files = [encode_image(picture_from_array(piece), "png") for piece in deep]
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(lambda content: read_image(io.BytesIO(content)), files))
    for picture, piece in zip(pictures, deep, strict=True):
        np.testing.assert_array_equal(picture_to_array(picture, np.uint16), piece)


_SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9).map(
    lambda shape: (*shape[:2], (shape[2] - 1) % 4 + 1)
)


@given(
    array=st.one_of(hnp.arrays(np.uint8, _SHAPES), hnp.arrays(np.uint16, _SHAPES)),
    format=st.sampled_from(["png", "tiff"]),
)
def test_integers_come_back_exactly_through_memory_and_files(
    array: NDArray[np.unsignedinteger], format: str
) -> None:
    picture = picture_from_array(array)
    np.testing.assert_array_equal(picture_to_array(picture, array.dtype), array)
    again = read_image(io.BytesIO(encode_image(picture, format)))
    assert again.bit_depth == array.dtype.itemsize * 8
    np.testing.assert_array_equal(picture_to_array(again, array.dtype), array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_value_survives_the_way_to_float_and_back(dtype: type[np.unsignedinteger]) -> None:
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)[None]
    picture = picture_from_array(values)
    np.testing.assert_allclose(
        picture.pixels[0, :, 0], values[0] / np.float64(np.iinfo(dtype).max), rtol=1e-6
    )
    np.testing.assert_array_equal(picture_to_array(picture, dtype)[:, :, 0], values)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_taken_as_they_are(dtype: type[np.floating], rng: np.random.Generator) -> None:
    noisy = (rng.random((5, 6, 3)) * 1.6 - 0.3).astype(dtype)
    picture = picture_from_array(noisy)
    assert picture.bit_depth == 8
    np.testing.assert_array_equal(picture.pixels, noisy.astype(np.float32))
    np.testing.assert_array_equal(picture_to_array(picture, dtype), picture.pixels.astype(dtype))
    clipped = np.rint(np.clip(noisy.astype(np.float64), 0, 1) * 255)
    assert np.abs(picture_to_array(picture, np.uint8) - clipped).max() <= 0


def test_the_channels_of_an_array(rng: np.random.Generator) -> None:
    for channels, colours, has_alpha in [(1, 1, False), (2, 1, True), (3, 3, False), (4, 3, True)]:
        array = rng.random((3, 4, channels), dtype=np.float32)
        picture = picture_from_array(array)
        assert picture.pixels.shape == (3, 4, colours)
        assert picture.pixels.dtype == np.float32
        assert (picture.alpha is not None) == has_alpha
        assert picture.is_grey == (colours == 1)
        if picture.alpha is not None:
            np.testing.assert_array_equal(picture.alpha, array[:, :, -1])
    assert picture_from_array(array[:, :, 0]).pixels.shape == (3, 4, 1)
    equal = np.repeat(array[:, :, :1], 3, axis=2)
    assert not picture_from_array(equal).is_grey


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(5, np.uint8), "shape"),
        (np.zeros((2, 2, 5), np.uint8), "shape"),
        (np.zeros((0, 2), np.uint8), "shape"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.zeros((2, 2), np.uint32), "uint32"),
        (np.full((2, 2), 255.0), "divide"),
        (np.full((2, 2), np.nan), "not finite"),
        (np.full((2, 2), np.inf), "not finite"),
        (np.zeros((2, 2), complex), "complex128"),
    ],
)
def test_arrays_that_are_no_picture(array: NDArray[np.generic], words: str) -> None:
    with pytest.raises(ImageError, match=f"^The array .*{words}.*\\.$"):
        picture_from_array(array)


def test_arrays_of_an_unknown_type_are_not_given() -> None:
    picture = picture_from_array(np.zeros((2, 2), np.uint8))
    with pytest.raises(ImageError, match="int32"):
        picture_to_array(picture, np.int32)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_pillow_images_of_every_mode(photograph: NDArray[np.uint8], mode: str) -> None:
    colour = Image.fromarray(photograph[:20, :30])
    if mode == "I;16":
        image = Image.fromarray(photograph[:20, :30, 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(photograph[:20, :30, 0].astype(np.float32) / 255)
    else:
        image = colour.convert(mode)
    picture = picture_from_pil(image)
    grey = mode in {"1", "L", "LA", "I;16", "F"}
    assert picture.is_grey == grey
    assert (picture.alpha is not None) == mode.endswith("A")
    assert picture.bit_depth == (16 if mode in {"I;16", "F"} else 8)
    back = picture_to_pil(picture)
    if back.mode == mode:
        assert back.tobytes() == image.tobytes()
    expected = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "F": "I;16"}.get(mode, mode)
    assert back.mode == expected


def test_a_pillow_image_is_made_upright_and_not_changed(photograph: NDArray[np.uint8]) -> None:
    image = Image.fromarray(photograph[:20, :30])
    image.getexif()[274] = 6
    picture = picture_from_pil(image)
    np.testing.assert_array_equal(
        picture_to_array(picture, np.uint8), np.rot90(photograph[:20, :30], -1)
    )
    assert image.getexif()[274] == 6
    assert image.size == (30, 20)
    assert picture_to_pil(picture).getexif()[274] == 1


def test_32_bit_integers_have_no_known_range() -> None:
    with pytest.raises(ImageError, match=r"^The image holds 32-bit integers.*\.$"):
        picture_from_pil(Image.new("I", (3, 3)))


def test_writing_tells_its_size_and_takes_the_format_from_the_name(
    tmp_path: Path, photograph: NDArray[np.uint8]
) -> None:
    picture = picture_from_array(photograph[:20, :30])
    for suffix, format in OUTPUT_FORMATS.items():
        path = tmp_path / f"a{suffix.upper()}"
        assert write_image(picture, path) == path.stat().st_size
        with Image.open(path) as image:
            assert (image.format or "").lower() == format
    assert write_image(picture, tmp_path / "b.xyz", format="png") > 0
    with pytest.raises(UsageError, match=r"b\.xyz does not tell its format"):
        write_image(picture, tmp_path / "b.xyz")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = tmp_path / "a.png"
    old, new = (picture_from_array(np.full((4, 5), value, np.uint8)) for value in (1, 2))
    write_image(old, path)

    def fail(*_: object) -> NoReturn:
        raise failure

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(type(failure)):
        write_image(new, path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(read_image(path).pixels, old.pixels)


def test_what_is_not_finite_is_not_written() -> None:
    picture = Picture(np.full((2, 2, 1), np.nan, np.float32))
    with pytest.raises(ImageError, match="not finite"):
        encode_image(picture, "png")


def test_a_large_photograph_is_read_in_little_more_memory_than_it_needs(
    tmp_path: Path, photograph: NDArray[np.uint8]
) -> None:
    path = tmp_path / "large.jpg"
    Image.fromarray(np.tile(photograph, (6, 8, 1))).save(path, quality=80)
    megabytes = 4 * 3 * 3072 * 4096 / 1e6
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from memnet_cli.imaging.images import encode_image, read_image\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3\n"
        "start = peak(); picture = read_image(Path(sys.argv[1])); encode_image(picture, 'jpeg')\n"
        "print(peak() - start, 'torch' in sys.modules, 'tifffile' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    used, torch, tifffile = done.stdout.split()
    assert float(used) < 2 * megabytes
    assert (torch, tifffile) == ("False", "False")

"""Samples of more than 8 bits: 16-bit PNG and TIFF, floating-point TIFF.

Pillow reads grey of 16 bits as it is, but cuts colour to its upper 8 bits. It does so while it
unpacks decoded rows, by a "raw mode" that names the byte order, so a second pass with the other
byte order gives the lower 8 bits: both together are exact, for every filter, interlacing and
compression that Pillow decodes. Layouts that Pillow does not know are read by tifffile.
"""

from __future__ import annotations

import logging
import sys
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    TiffImageFile,
)

from memnet_cli.errors import ImageError

# values of the TIFF tags PhotometricInterpretation, PlanarConfiguration, SampleFormat,
# ExtraSamples, Compression
_WHITE_IS_ZERO = 0
_BLACK_IS_ZERO = 1
_RGB = 2
_SEPARATE_PLANES = 2
_SIGNED = 2
_UNSPECIFIED = 0
_PREMULTIPLIED = 1
_UNCOMPRESSED = 1
_COMPRESSIONS = frozenset({_UNCOMPRESSED, 8, 32946})
_MOST_SAMPLES = 8
# what tifffile says about damaged files is told as an error, and need not be logged beside
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False
# numbers of tags, the value of NewSubfileType for a smaller version of another page, and what CR2
# has between the header and the first directory of a TIFF
_NEW_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION, _REDUCED, _CR2 = 254, 330, 50706, 1, b"CR\2\0"
_COLOUR_LAYOUTS = frozenset({"RGB", "RGBA", "RGBa", "RGBX", "LA"})


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageError, as a clause without subject, for no pixels or more than ``max_pixels``."""
    if width < 1 or height < 1:
        raise ImageError(f"has no pixels ({width}x{height}): expected a picture")
    if width * height > max_pixels:
        raise ImageError(
            f"claims {width}x{height} pixels, more than the {max_pixels / 1e6:g} megapixels "
            "that are read: cut it into parts"
        )


def check_unsigned(image: ImageFile.ImageFile) -> None:
    """Raise ImageError, as a clause without subject, for 8 bits with a sign, unknown to Pillow."""
    if not isinstance(image, TiffImageFile) or image.mode != "L":
        return
    if _SIGNED in image.tag_v2.get(SAMPLEFORMAT, (1,)):
        raise ImageError(_unknown_range("8 bits with a sign"))


def check_developed(image: ImageFile.ImageFile, start: bytes) -> None:
    """Raise ImageError, as a clause without subject, for a preview before a camera's raw data.

    ``start`` is that of the file, in which CR2 says what it is.
    """
    if not isinstance(image, TiffImageFile):
        return
    tags = image.tag_v2
    reduced = tags.get(_NEW_SUBFILE_TYPE, 0) == _REDUCED
    preview = reduced and (_SUB_IFDS in tags or _DNG_VERSION in tags)
    if preview or start[8:12] == _CR2:
        raise ImageError(
            "holds a camera's raw data, of which only a preview can be read: develop it first, "
            "and give the TIFF or JPEG of that"
        )


def _unknown_range(what: str) -> str:
    return (
        f"holds integer samples of unknown range ({what}): "
        "expected 8 or 16 bits unsigned, or floating point in [0, 1]"
    )


def raw_mode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name for how the file's rows are laid out, such as "RGB;16B"."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) else args or "")


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether an opened, not yet loaded file has grey or RGB samples of more than 8 bits."""
    layout, _, order = raw_mode(image).partition(";")
    deep_colour = layout in _COLOUR_LAYOUTS and order.startswith("16")
    return deep_colour or image.mode == "F" or image.mode.startswith("I")


def has_deep_planes(image: ImageFile.ImageFile) -> bool:
    """Whether a file is a TIFF of separate 16-bit planes, which Pillow takes for 8-bit ones."""
    if not isinstance(image, TiffImageFile):
        return False
    separate = image.tag_v2.get(PLANAR_CONFIGURATION) == _SEPARATE_PLANES
    return separate and max(image.tag_v2.get(BITSPERSAMPLE, (1,))) > 8


def deep_samples(image: ImageFile.ImageFile, file: BinaryIO) -> NDArray[np.float32]:
    """Load a deep image; returns (H, W, C) float32 with white at 1, C as in picture_from_array.

    ``image`` was opened from ``file``, which is read a second time for colour.

    Raises:
        ImageError: for integer samples of unknown range.
    """
    raw = raw_mode(image)
    if image.mode == "F":
        if raw == "F;32BF" and image.tile[0].codec_name == "libtiff":
            _unpack_as(image, "F;32NF")  # libtiff has put the bytes in the machine's order
        values = np.asarray(image)[:, :, None].astype(np.float32)
    elif image.mode.startswith("I"):
        values = _grey(image, raw)
    else:
        values = _colour(image, file, raw)
    if _white_is_zero(image):
        values = np.float32(1) - values
    return _with_transparent_colour(values, image.info.get("transparency"))


def _white_is_zero(image: ImageFile.ImageFile) -> bool:
    if not isinstance(image, TiffImageFile):
        return False
    return bool(image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO)


def _grey(image: ImageFile.ImageFile, raw: str) -> NDArray[np.float32]:
    white = 65535
    if image.mode == "I" and image.format != "PPM":
        raise ImageError(_unknown_range(raw))
    if isinstance(image, TiffImageFile):
        # 12 bits come in the lower part of 16
        white = (1 << int(image.tag_v2.get(BITSPERSAMPLE, (16,))[0])) - 1
    return np.asarray(image)[:, :, None].astype(np.float32) / np.float32(white)


def _colour(image: ImageFile.ImageFile, file: BinaryIO, raw: str) -> NDArray[np.float32]:
    layout, _, order = raw.partition(";")
    if layout == "LA":
        # no second byte order is known for it, but its four bytes can be taken as they are
        _unpack_as(image, "RGBA")
        octets = np.asarray(image)
        high, low = octets[:, :, 0::2], octets[:, :, 1::2]
    else:
        layout = "RGBA" if layout == "RGBa" else layout
        other = type(image)(file_at_start(file))
        big = order == "16B" or (order == "16N" and sys.byteorder == "big")
        _unpack_as(image, f"{layout};{'16B' if big else '16L'}")
        _unpack_as(other, f"{layout};{'16L' if big else '16B'}")
        high, low = np.asarray(image), np.asarray(other)
    values = high.astype(np.float32)
    values *= 256
    values += low
    values /= 65535
    return _unpremultiplied(values) if raw.startswith("RGBa") else values


def file_at_start(file: BinaryIO) -> BinaryIO:
    """Return ``file``, wound back."""
    file.seek(0)
    return file


def _unpack_as(image: ImageFile.ImageFile, raw: str) -> None:
    image.tile = [
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
        for tile in image.tile
    ]


def _unpremultiplied(values: NDArray[np.float32]) -> NDArray[np.float32]:
    alpha = values[:, :, -1:]
    # colours brighter than their alpha allows do occur in files, and are clipped
    np.divide(values[:, :, :-1], alpha, out=values[:, :, :-1], where=alpha > 0)
    return np.clip(values, 0.0, 1.0, out=values)


def _with_transparent_colour(values: NDArray[np.float32], colour: Any) -> NDArray[np.float32]:
    """Add an alpha channel that is 0 where the 16-bit samples equal ``colour``."""
    if colour is None or values.shape[2] not in (1, 3):
        return values
    key = np.atleast_1d(np.asarray(colour, dtype=np.float32)) / np.float32(65535)
    opaque = (values != key).any(axis=2, keepdims=True)
    return np.concatenate([values, opaque.astype(np.float32)], axis=2)


def is_tiff(file: BinaryIO) -> bool:
    """Whether a file begins as a TIFF or BigTIFF."""
    return file_at_start(file).read(4) in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


@dataclass(frozen=True)
class TiffPage:
    """The first page of a TIFF whose sample layout Pillow does not read.

    Attributes:
        width: in pixels, as stored.
        height: in pixels, as stored.
        channels: alpha included.
        pages: how many the file has.
        samples: (H, W, channels) float32 with white at 1; None if only the header was read.
    """

    width: int
    height: int
    channels: int
    pages: int
    samples: NDArray[np.float32] | None


def read_tiff_page(file: BinaryIO, max_pixels: int, *, header_only: bool = False) -> TiffPage:
    """Read the first page of a TIFF through tifffile.

    Raises:
        ImageError: for other than grey or RGB, with or without alpha, of 8 or 16 bits or floating
            point, for a compression that is not there, and for more than ``max_pixels``.
    """
    import tifffile

    with tifffile.TiffFile(file_at_start(file)) as tiff:
        page = tiff.pages[0]
        width, height = int(page.imagewidth), int(page.imagelength)
        check_size(width, height, max_pixels)
        _check_layout(page)
        has_alpha = bool(page.extrasamples) and int(page.extrasamples[0]) != _UNSPECIFIED
        channels = (3 if page.photometric == _RGB else 1) + has_alpha
        samples = None if header_only else _page_samples(page, channels)
        return TiffPage(width, height, channels, len(tiff.pages), samples)


def _check_layout(page: Any) -> None:
    kind = page.dtype.kind if page.dtype is not None else ""
    known = kind == "f" or (kind == "u" and page.bitspersample in {8, 16})
    if (
        not known
        or page.axes not in {"YX", "YXS", "SYX"}
        or page.photometric not in {_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB}
        or page.samplesperpixel > _MOST_SAMPLES
    ):
        raise ImageError(
            f"is a TIFF of {page.samplesperpixel} samples of {_kind_of(page)} for each pixel "
            f"({getattr(page.photometric, 'name', page.photometric)}): expected grey or RGB, with "
            "or without alpha, of 8 or 16 bits or floating point"
        )
    if page.compression not in _COMPRESSIONS:
        raise ImageError(
            f"is a TIFF with {getattr(page.compression, 'name', page.compression)} compression, "
            "which is not read for this layout: save it uncompressed, with deflate, or as PNG"
        )


def _kind_of(page: Any) -> str:
    whole = page.dtype is not None and page.dtype.itemsize * 8 == page.bitspersample
    return f"type {page.dtype}" if whole else f"{page.bitspersample} bits"


def _check_inflation(page: Any) -> None:
    """Refuse strips that inflate to more than they should hold, before tifffile inflates them."""
    expected = int(np.prod(page.chunks)) * page.dtype.itemsize
    file = page.parent.filehandle
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        inflate = zlib.decompressobj()
        inflate.decompress(file.read(size), expected)
        if inflate.unconsumed_tail and inflate.decompress(inflate.unconsumed_tail, 1):
            raise ImageError("is a TIFF with strips that inflate beyond their size: do not open it")


def _page_samples(page: Any, channels: int) -> NDArray[np.float32]:
    if page.compression != _UNCOMPRESSED:
        _check_inflation(page)
    array = page.asarray()
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, 2)
    array = np.atleast_3d(array)[:, :, :channels]
    white = 1 if array.dtype.kind == "f" else (1 << page.bitspersample) - 1
    values = np.ascontiguousarray(array, dtype=np.float32)
    values /= np.float32(white)
    if page.photometric == _WHITE_IS_ZERO:
        values[:, :, 0] = 1 - values[:, :, 0]
    if page.extrasamples and int(page.extrasamples[0]) == _PREMULTIPLIED:
        values = _unpremultiplied(values)
    return values

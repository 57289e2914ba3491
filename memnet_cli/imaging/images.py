"""Reading and writing pictures: the only place that knows of files' sample types, EXIF and ICC.

Everything that other modules need is named here; what becomes of each kind of file is decided in
``decoding`` and ``encoding``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image

from memnet_cli.errors import ImageError, UsageError, did_you_mean
from memnet_cli.files import write_atomically
from memnet_cli.imaging.decoding import decode, decode_opened, header, recorded_provenance
from memnet_cli.imaging.encoding import OUTPUT_FORMATS, check_sides, encode_image, to_pil
from memnet_cli.imaging.picture import (
    Picture,
    PictureSize,
    Source,
    picture_from_array,
    picture_to_array,
)

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "OUTPUT_FORMATS",
    "PICTURE_SUFFIXES",
    "Picture",
    "PictureSize",
    "Source",
    "check_sides",
    "encode_image",
    "file_content",
    "is_picture_name",
    "picture_from_array",
    "picture_from_pil",
    "picture_size",
    "picture_to_array",
    "picture_to_pil",
    "read_image",
    "read_provenance",
    "write_image",
]

#: Larger pictures are refused before they are decoded; in memory this is 3 GB.
DEFAULT_MAX_PIXELS = 250_000_000
#: Suffixes of files that are taken for pictures, in lower case.
PICTURE_SUFFIXES = frozenset(
    {
        *OUTPUT_FORMATS,
        ".jpe",
        ".jfif",
        ".apng",
        ".gif",
        ".dib",
        ".pnm",
        ".pbm",
        ".pgm",
        ".ppm",
    }
)

_T = TypeVar("_T")


def is_picture_name(path: Path) -> bool:
    """Whether a file is a picture by its name; hidden files and macOS's ``._*`` are not.

    >>> is_picture_name(Path("a.JPG")), is_picture_name(Path("._a.jpg"))
    (True, False)
    >>> is_picture_name(Path("Thumbs.db"))
    False
    """
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def read_image(
    source: Path | BinaryIO, *, max_pixels: int = DEFAULT_MAX_PIXELS, name: str | None = None
) -> Picture:
    """Read the first frame of a picture file whole, upright.

    Args:
        source: the file, or its content.
        max_pixels: of larger pictures nothing is decoded.
        name: what to call the picture in messages, instead of the path.

    Raises:
        ImageError: for a file that is missing, unreadable, empty, not a picture, damaged, cut
            short, larger than ``max_pixels``, or of samples without a known range.
    """
    return _from_file(source, lambda file: decode(file, max_pixels), name)


def file_content(source: Path) -> bytes:
    """Read a file, or what comes through a pipe, whole.

    Raises:
        ImageError: for what is missing, unreadable or empty, as ``read_image``.
    """
    return _from_file(source, _whole)


def _whole(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def picture_size(source: Path | BinaryIO, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> PictureSize:
    """Read only what a file says about the size of its picture, upright.

    Raises:
        ImageError: as ``read_image``, but for damage behind the header.
    """
    return _from_file(source, lambda file: header(file, max_pixels))


def read_provenance(source: Path | BinaryIO) -> dict[str, str]:
    """Read how a picture was made, as ``write_image`` recorded it; empty if it was not.

    Raises:
        ImageError: as ``read_image``.
    """
    return _from_file(source, lambda file: recorded_provenance(file, DEFAULT_MAX_PIXELS))


def _from_file(
    source: Path | BinaryIO, read: Callable[[BinaryIO], _T], name: str | None = None
) -> _T:
    """Open a file, read from it, and tell every failure in one sentence that names it."""
    if name is None:
        name = str(source) if isinstance(source, Path) else "The picture from the stream"
    try:
        if not isinstance(source, Path):
            return _read_from(source, read)
        with closing(source.open("rb")) as file:
            return _read_from(file, read)
    except ImageError as error:
        raise ImageError(f"{name} {error}.") from None
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist: give a file that is there.") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder: expected a picture.") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read: change its permissions.") from None
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise ImageError(f"{name} cannot be opened: {error.strerror}.") from None
        # on damaged files decoders raise nearly anything: OSError, SyntaxError, struct.error, ...
        raise ImageError(
            f"{name} is damaged or cut short ({str(error).rstrip('.') or type(error).__name__}): "
            "get a whole copy of it."
        ) from None


def _read_from(file: BinaryIO, read: Callable[[BinaryIO], _T]) -> _T:
    if not file.seekable():
        file = io.BytesIO(file.read())
    file.seek(0)
    if not file.read(1):
        raise ImageError("is empty (0 bytes): expected a picture")
    return read(file)


def write_image(
    picture: Picture,
    path: Path,
    *,
    format: str | None = None,
    quality: int = 95,
    provenance: Mapping[str, str] | None = None,
) -> int:
    """Write a picture so that ``path`` shows the old file or the whole new one.

    Args:
        picture: as for ``encode_image``, as are ``quality`` and ``provenance``.
        path: the file; its folder exists.
        format: by default that of the suffix of ``path``.

    Returns:
        The number of bytes written.

    Raises:
        UsageError: for an unknown format or quality.
        ImageError: for a picture that the format cannot hold.
        OSError: if the folder cannot be written or the disk is full.
    """
    if format is None:
        format = OUTPUT_FORMATS.get(path.suffix.lower())
    if format is None:
        known = sorted(OUTPUT_FORMATS)
        raise UsageError(
            f"{path} does not tell its format: expected a name that ends with one of "
            f"{', '.join(known)}." + did_you_mean(path.suffix, known)
        )
    data = encode_image(picture, format, quality=quality, provenance=provenance)
    write_atomically(path, data)
    return len(data)


def picture_from_pil(image: Image.Image) -> Picture:
    """Make a picture of a Pillow image of any mode, upright.

    Pillow holds no more than 8 bits of colour: read files of 16 bits with ``read_image``. What a
    JPEG's file says is left out where the image was changed in place (``thumbnail``, ``draft``).

    Raises:
        ImageError: for mode "I", whose range is unknown, and for a file behind ``image`` that
            turns out to be damaged.
    """
    try:
        return decode_opened(image)
    except ImageError as error:
        raise ImageError(f"The image {error}.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"The image cannot be decoded: {error}.") from None


def picture_to_pil(picture: Picture) -> Image.Image:
    """Return a Pillow image of mode L, LA, RGB or RGBA, or I;16 for grey of 16 bits.

    Colour of 16 bits is rounded to 8, since Pillow has no mode for it. ICC profile, EXIF, XMP and
    resolution are in ``info``.
    """
    deep = picture.bit_depth > 8 and picture.is_grey and picture.alpha is None
    image = to_pil(picture_to_array(picture, np.uint16 if deep else np.uint8))
    if picture.source.icc_profile is not None:
        image.info["icc_profile"] = picture.source.icc_profile
    if picture.source.exif is not None:
        image.info["exif"] = picture.source.exif
    if picture.source.xmp is not None:
        image.info["xmp"] = picture.source.xmp
    if picture.source.dpi is not None:
        image.info["dpi"] = picture.source.dpi
    return image

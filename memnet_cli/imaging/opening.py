"""Opening picture files: which formats there are, and which of their files are not read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

# importing the plugins registers them, so that only these seven are ever tried
from PIL import (  # noqa: F401
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from memnet_cli.errors import ImageError
from memnet_cli.imaging.deep_samples import (
    check_developed,
    check_size,
    check_unsigned,
    file_at_start,
)

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")


def open_picture(file: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    """Open one of FORMATS by its first bytes without decoding it.

    Pillow's own ``Image.open`` warns and raises about large pictures by limits that are global to
    the process, so its plugins are used directly and ``max_pixels`` is checked here.

    Raises:
        ImageError: for anything else and for more than ``max_pixels``, as a clause without subject.
        Exception: nearly any, from Pillow, for a damaged header.
    """
    start = file_at_start(file).read(16)
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(start) is True:
            if start.startswith(b"MM\0+"):
                raise SyntaxError("Pillow takes a big-endian BigTIFF for a common TIFF")
            image = _opened(factory, file)
            check_size(*image.size, max_pixels)
            check_unsigned(image)
            check_developed(image, start)
            return image
    raise ImageError(
        "is not a picture that can be read: expected PNG, JPEG, BMP, TIFF, WebP, GIF or PPM"
    )


def _opened(
    factory: Callable[[BinaryIO, str], ImageFile.ImageFile], file: BinaryIO
) -> ImageFile.ImageFile:
    try:
        return factory(file_at_start(file), "")
    except SyntaxError as error:
        # of JPEGs that are whole: 12 bits, 2 or 5 colours
        what = re.fullmatch(r"cannot handle (.*)", str(error))
        if what is None:
            raise
        raise ImageError(
            f"is a JPEG of {what[1]}, which are not read: expected 8 bits of grey, RGB or CMYK"
        ) from None

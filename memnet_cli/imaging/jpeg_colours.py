"""The colours that a JPEG file holds, before a decoder cuts off what is beyond black and white.

Y, Cb and Cr of a saturated colour, once they are compressed, often stand for less than no red, or
more than all of it. Decoders cut that off, and Cb and Cr of the colour that is left are others than
the file's: by tens of grey levels in a coloured text.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.imaging.jpeg_layout import is_ycbcr

#: Rows are converted for as many pixels at a time, which bounds the temporary memory.
_BLOCK_PIXELS = 1 << 20


def ask_for_ycbcr(image: Image.Image) -> bool:
    """Let a JPEG of Y, Cb and Cr that is not loaded yet be decoded to them; say whether it will be.

    It changes the image: it is for those that nobody else uses.
    """
    if image.mode != "RGB" or not is_ycbcr(image):
        return False
    image.draft("YCbCr", None)
    return image.mode == "YCbCr"


def rgb_of_file(ycbcr: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return what Y, Cb and Cr of a JPEG file stand for, by the equations of JFIF 1.02.

    Args:
        ycbcr: (H, W, 3) uint8.

    Returns:
        (H, W, 3) float32 R, G and B, neither cut off nor rounded: black is 0 and white is 1, the
        rest lies between -0.9 and 1.9. Cut off and rounded to 8 bits it is what libjpeg makes of
        the file, but for ties.
    """
    rgb = np.empty(ycbcr.shape, np.float32)
    height = max(1, _BLOCK_PIXELS // ycbcr.shape[1])
    for top in range(0, ycbcr.shape[0], height):
        rows = slice(top, top + height)
        y, cb, cr = np.moveaxis(ycbcr[rows].astype(np.float32), 2, 0)
        cb, cr = cb - 128, cr - 128
        rgb[rows, :, 0] = y + np.float32(1.402) * cr
        rgb[rows, :, 1] = y - np.float32(0.344136) * cb - np.float32(0.714136) * cr
        rgb[rows, :, 2] = y + np.float32(1.772) * cb
        rgb[rows] /= 255
    return rgb


def is_untouched(image: Image.Image) -> bool:
    """Say whether an image is neither loaded nor to be reduced in loading."""
    return bool(getattr(image, "tile", ())) and not getattr(image, "decoderconfig", ())


def file_of(image: Image.Image) -> BinaryIO | None:
    """Return a copy of the file behind a JPEG of Y, Cb and Cr that is not loaded yet, else None."""
    file = getattr(image, "fp", None)
    if image.format != "JPEG" or file is None or not (is_untouched(image) and is_ycbcr(image)):
        return None
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    return io.BytesIO(content)

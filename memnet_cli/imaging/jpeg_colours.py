"""The colours that a JPEG file holds, before a decoder cuts off what is beyond black and white.

Y, Cb and Cr of a saturated colour, once they are compressed, often stand for less than no red, or
more than all of it. Decoders cut that off, and Cb and Cr of the colour that is left are others than
the file's: by tens of grey levels in a coloured text.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from memnet_cli.imaging.jpeg_layout import is_ycbcr

#: R, G and B of Y, Cb and Cr, the last two about zero (JFIF 1.02).
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
#: Rows are converted for as many pixels at a time, which bounds the temporary memory.
_BLOCK_PIXELS = 1 << 20


def is_untouched(image: Image.Image) -> bool:
    """Say whether an image is neither loaded nor to be reduced in loading."""
    return bool(getattr(image, "tile", ())) and not getattr(image, "decoderconfig", ())


def uncut_colours(image: Image.Image, *, own: bool) -> NDArray[np.float32] | None:
    """Load an untouched image and return its colours as :func:`rgb_of_file`, as they lie there.

    Args:
        image: of Pillow.
        own: whether nobody else uses it: it is loaded as YCbCr then, and as it would be otherwise.

    Returns:
        None, and does nothing, for anything but a JPEG of Y, Cb and Cr.

    Raises:
        Exception: nearly any, from Pillow, for a damaged file.
    """
    if image.mode != "RGB" or not (is_untouched(image) and is_ycbcr(image)):
        return None
    if own:
        image.draft("YCbCr", None)
        return rgb_of_file(np.asarray(image)) if image.mode == "YCbCr" else None
    file = getattr(image, "fp", None)
    if file is None or image.tell() != 0:
        return None
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    colours = uncut_colours(JpegImageFile(io.BytesIO(content), ""), own=True)
    image.load()
    return colours


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
        values = ycbcr[rows].astype(np.float32)
        values[:, :, 1:] -= 128
        np.matmul(values, _TO_RGB.T, out=rgb[rows])
    rgb /= 255
    return rgb

"""The three damages that the papers repair, exactly as their protocols make them."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from memnet_cli.imaging.resize import imresize

_Value = TypeVar("_Value", bound=np.generic)


def crop_to_multiple(image: NDArray[_Value], factor: int) -> NDArray[_Value]:
    """Cut (H, W, ...) at the bottom and right so that both sides are multiples of ``factor``."""
    height, width = image.shape[:2]
    return image[: height - height % factor, : width - width % factor]


def downscale(clean: NDArray[np.floating], scale: int) -> NDArray[np.float64]:
    """Shrink (H, W) or (H, W, C) by an integer ``scale`` with MATLAB's bicubic kernel."""
    return imresize(clean, scale=1.0 / scale)


def bicubic_degrade(clean: NDArray[np.floating], scale: int) -> NDArray[np.float64]:
    """Shrink by ``scale`` and enlarge to the same size, with no rounding in between.

    The input of MemNet's super-resolution (papers/memnet.txt, section 5.1): low resolution
    enlarged bicubically before the network. Sides must be multiples of ``scale``.
    """
    height, width = clean.shape[:2]
    return imresize(downscale(clean, scale), shape=(height, width))


def add_gaussian_noise(
    clean: NDArray[np.floating], sigma: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Add white Gaussian noise of standard deviation ``sigma`` / 255 to values in [0, 1].

    The result is neither clipped nor quantised, as in the papers' denoising experiments.
    """
    return clean + rng.normal(0.0, sigma / 255.0, clean.shape)


def jpeg_resaved(
    grey: NDArray[np.uint8],
    first: int,
    quality: int,
    top: int,
    left: int,
    *,
    chroma: bool = False,
) -> NDArray[np.uint8]:
    """Send (H, W) through libjpeg at ``first``, crop it by ``top`` and ``left``, send it again.

    What becomes of a JPEG that is cropped and saved again: the blocks of the first time begin
    ``top`` rows and ``left`` columns, each 0 to 7, before those of the second. The result has the
    size of ``grey``: what is cut off was repeated from the edge. ``chroma`` as for
    :func:`jpeg_compress`.
    """
    larger = np.pad(grey, ((top, 0), (left, 0)), mode="edge")
    once = jpeg_compress(larger, first, chroma=chroma)[top:, left:]
    return jpeg_compress(np.ascontiguousarray(once), quality, chroma=chroma)


def jpeg_compress(
    grey: NDArray[np.uint8], quality: int, *, chroma: bool = False
) -> NDArray[np.uint8]:
    """Send an 8-bit grey picture (H, W) through libjpeg at ``quality`` (1 to 100).

    With ``chroma`` by its table for Cb and Cr, as the samples of these in a colour picture.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(grey)
    if chroma:
        image.save(buffer, format="JPEG", qtables=[list(_chroma_table(quality))])
    else:
        image.save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer, formats=["JPEG"]) as compressed:
        return np.asarray(compressed)


@lru_cache(maxsize=100)
def _chroma_table(quality: int) -> tuple[int, ...]:
    """Return the 64 steps for Cb and Cr, row by row, that libjpeg takes at ``quality``."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="JPEG", quality=quality)
    buffer.seek(0)
    with JpegImageFile(buffer) as colour:
        return tuple(colour.quantization[1])

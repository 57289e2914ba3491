"""A picture in memory, and its way from and to numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from memnet_cli.errors import ImageError
from memnet_cli.imaging.captions import Captions

#: Noise may overshoot [0, 1]; beyond this a float array is on another scale, such as 0 to 255.
_FLOAT_RANGE = (-1.0, 2.0)
#: Rows are converted in blocks of about this many samples, which bounds the temporary memory.
_BLOCK_SAMPLES = 1 << 22


@dataclass(frozen=True)
class JpegBlocks:
    """How a JPEG holds luma or a chroma component, in its upright picture.

    Attributes:
        table: 64 quantisation steps, row by row of the 8x8 block as it lies in the picture.
        top, left: 0 to 7, where the first whole block begins, in samples of the component.
        lying: whether the picture lies on its side in the file.
    """

    table: tuple[int, ...]
    top: int
    left: int
    lying: bool = False


@dataclass(frozen=True)
class Source:
    """What a file said about itself, carried to the output.

    Attributes:
        format: "PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF" or "PPM"; None for arrays.
        exif: the EXIF block from "Exif\\0\\0" on, its orientation 1, without a thumbnail.
        icc_profile: the profile that describes the pixels; None stands for sRGB.
        xmp: the XMP packet, its orientation 1.
        jpeg_tables: the quantisation tables of a JPEG, luma first, each 64 entries in natural
            order (row by row of the 8x8 block, not zigzag).
        luma_blocks: of a JPEG that holds luma for every pixel, grey or YCbCr; None for others.
        chroma_step: rows and columns from one chroma sample of a JPEG to the next, (2, 2) for
            4:2:0; (1, 1) where every pixel has its own.
        chroma_blocks: of a JPEG of YCbCr, those of Cb and Cr, in samples ``chroma_step`` apart;
            None for others.
        frames: how many frames or pages the file holds; the first was read.
        dpi: pixels an inch, across and down, where the file says that.
        png_colours: of a PNG, the chunks (name, content) that say what its samples stand for.
        captions: what people wrote about it beside EXIF and XMP.
        record: how it was made, of a picture that was written here, as (name, value).
    """

    format: str | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    jpeg_tables: tuple[tuple[int, ...], ...] | None = None
    luma_blocks: JpegBlocks | None = None
    chroma_step: tuple[int, int] = (1, 1)
    chroma_blocks: tuple[JpegBlocks, JpegBlocks] | None = None
    frames: int = 1
    dpi: tuple[float, float] | None = None
    png_colours: tuple[tuple[bytes, bytes], ...] = ()
    captions: Captions = field(default_factory=Captions)
    record: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Picture:
    """A picture, upright, in memory.

    Attributes:
        pixels: (H, W, C) float32, nominally in [0, 1]; C = 1 is grey, C = 3 is RGB. Those of a
            JPEG file are what its Y, Cb and Cr stand for, which may lie beyond.
        alpha: (H, W) float32 in [0, 1], 1 where opaque and not premultiplied; None if opaque.
        bit_depth: 8 or 16, of the file's samples and of those to write where the format can.
        source: what the file said about itself.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    bit_depth: int = 8
    source: Source = field(default_factory=Source)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def is_grey(self) -> bool:
        """Whether there is one channel; RGB with equal channels is not grey."""
        return int(self.pixels.shape[2]) == 1


@dataclass(frozen=True)
class PictureSize:
    """What is known of a picture before it is decoded.

    Attributes:
        width: in pixels, upright.
        height: in pixels, upright.
        channels: alpha included.
        bit_depth: 8 or 16.
        jpeg_tables, chroma_step: of a JPEG, as :class:`Source` has them.
    """

    width: int
    height: int
    channels: int
    bit_depth: int
    jpeg_tables: tuple[tuple[int, ...], ...] | None = None
    chroma_step: tuple[int, int] = (1, 1)


def picture_from_array(array: NDArray[np.generic]) -> Picture:
    """Make a picture from an array.

    Args:
        array: (H, W) or (H, W, 1) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB, (H, W, 4) RGB and
            alpha; uint8, uint16, or floating point in [0, 1], where an overshoot as of noise is
            kept; bool is black and white. The bit depth is 16 for uint16 and 8 for all else.

    Raises:
        ImageError: for another shape or type, an empty array, values that are not finite or are
            on another scale.
    """
    try:
        return picture_of_samples(np.asarray(array))
    except ImageError as error:
        raise ImageError(f"The array {error}.") from None


def picture_of_samples(
    samples: NDArray[np.generic], *, bit_depth: int | None = None, source: Source | None = None
) -> Picture:
    """Make a picture from samples as ``picture_from_array`` describes them.

    Raises:
        ImageError: as there, but with a clause that lacks its subject, for the caller to add.
    """
    if samples.ndim == 2:
        samples = samples[:, :, None]
    if samples.ndim != 3 or not 1 <= samples.shape[2] <= 4 or 0 in samples.shape:
        raise ImageError(
            f"is of shape {samples.shape}, which is no picture: expected (height, width) or "
            "(height, width, 1 to 4 channels)"
        )
    values = np.empty(samples.shape, dtype=np.float32)
    np.divide(samples, _white(samples), out=values, casting="unsafe")
    colours = 1 if samples.shape[2] < 3 else 3
    alpha = None
    if colours < samples.shape[2]:
        alpha = np.clip(values[:, :, colours], 0.0, 1.0)
        values = np.ascontiguousarray(values[:, :, :colours])
    depth = bit_depth or (16 if samples.dtype.kind == "u" and samples.dtype.itemsize == 2 else 8)
    return Picture(values, alpha, depth, source or Source())


def _white(samples: NDArray[Any]) -> np.float32:
    """Return the value of white; refuse samples of which it cannot be told."""
    kind = samples.dtype.kind
    if kind == "b":
        return np.float32(1)
    if kind == "u" and samples.dtype.itemsize <= 2:
        return np.float32(np.iinfo(samples.dtype).max)
    if kind != "f":
        raise ImageError(
            f"holds samples of type {samples.dtype}, which has no known range: "
            "expected uint8, uint16, or floating point in [0, 1]"
        )
    lowest, highest = float(samples.min()), float(samples.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ImageError("holds values that are not finite: expected [0, 1]")
    if lowest < _FLOAT_RANGE[0] or highest > _FLOAT_RANGE[1]:
        raise ImageError(
            f"holds floating-point samples between {lowest:g} and {highest:g}: "
            "expected [0, 1], so divide them by the value of white first"
        )
    return np.float32(1)


def as_shown(picture: Picture) -> Picture:
    """Cut off what a JPEG file holds beyond black and white, and round to 8 bits, as viewers do.

    The overshoot of other files, such as noise in a floating-point TIFF, is meant and stays.
    """
    if picture.source.format != "JPEG":
        return picture
    pixels = np.clip(picture.pixels, 0.0, 1.0)
    pixels *= 255
    np.rint(pixels, out=pixels)
    pixels /= 255
    return replace(picture, pixels=pixels)


def on_white(picture: Picture) -> Picture:
    """Return what is seen of a picture on white, without alpha; in [0, 1] if it had any."""
    if picture.alpha is None:
        return picture
    alpha = picture.alpha[:, :, None]
    seen = np.clip(picture.pixels, 0.0, 1.0) * alpha + (1 - alpha)
    return replace(picture, pixels=seen, alpha=None)


def picture_to_array(picture: Picture, dtype: DTypeLike) -> NDArray[np.generic]:
    """Return (H, W, C) samples of ``dtype``; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.

    Integers are clipped to [0, 1], scaled to the type's full range and rounded once, halves to
    even; floating point keeps the values, bool is white from one half on.

    Raises:
        ImageError: for a type that is not uint8, uint16, bool or floating point, and for values
            that are not finite where integers are asked for.
    """
    wanted = np.dtype(dtype)
    if wanted.kind not in "fbu" or (wanted.kind == "u" and wanted.itemsize > 2):
        raise ImageError(
            f"A picture cannot be given as {wanted}: expected uint8, uint16 or floating point."
        )
    channels = picture.pixels.shape[2]
    samples = np.empty(
        (picture.height, picture.width, channels + (picture.alpha is not None)), dtype=wanted
    )
    rows = max(1, _BLOCK_SAMPLES // (picture.width * samples.shape[2]))
    for top in range(0, picture.height, rows):
        block = slice(top, top + rows)
        samples[block, :, :channels] = _converted(picture.pixels[block], wanted)
        if picture.alpha is not None:
            samples[block, :, channels] = _converted(picture.alpha[block], wanted)
    return samples


def _converted(values: NDArray[np.float32], wanted: np.dtype[Any]) -> NDArray[Any]:
    if wanted.kind == "f":
        return values.astype(wanted)
    if not np.isfinite(values).all():
        raise ImageError("The picture holds values that are not finite and cannot be written.")
    if wanted.kind == "b":
        return np.greater_equal(values, 0.5)
    scaled = np.clip(values, 0.0, 1.0)
    scaled *= np.iinfo(wanted).max
    return np.rint(scaled, out=scaled).astype(wanted)

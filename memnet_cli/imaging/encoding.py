"""From a picture to the bytes of a file."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, TiffTags
from PIL.PngImagePlugin import PngInfo

from memnet_cli.errors import ImageError, UsageError, did_you_mean
from memnet_cli.imaging.captions import (
    IPTC_TAG,
    add_texts,
    comment_to_write,
    jpeg_segments,
)
from memnet_cli.imaging.deep_png import DEFLATE_LEVEL, ROWS_AT_ONCE, deep_png
from memnet_cli.imaging.exif_types import with_standard_types
from memnet_cli.imaging.metadata import (
    TAGS_FOR_TIFF,
    XMP_TAG,
    exif_to_write,
    inner_tags,
    profile_to_write,
    tags_of_block,
    text_chunks,
    xmp_to_write,
)
from memnet_cli.imaging.picture import Picture, Source, on_white, picture_to_array
from memnet_cli.imaging.resolution import dpi_of_tiff

#: File name suffix -> format.
OUTPUT_FORMATS = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
}
#: Chroma is kept at full resolution from this JPEG quality on.
_FULL_CHROMA_QUALITY = 90
_LONGEST_JPEG_EXIF = 65533
#: Longest sides that libjpeg and WebP's bitstream can hold.
_LONGEST_SIDES = {"jpeg": 65500, "webp": 16383}
_SUB_DIRECTORIES = frozenset(TiffTags.TAGS_V2_GROUPS)


def encode_image(
    picture: Picture,
    format: str,
    *,
    quality: int = 95,
    provenance: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of a file that shows ``picture``.

    PNG and TIFF keep 16 bits and alpha, WebP alpha. JPEG and BMP, which have none, show the
    picture on white. EXIF, XMP and ICC profile are kept by all but BMP.

    Args:
        picture: clipped to [0, 1] and rounded once to integers.
        format: "png", "jpeg", "webp", "tiff" or "bmp".
        quality: of JPEG and WebP, 1 to 100.
        provenance: how the picture was made, recorded in PNG text chunks, else in EXIF; BMP has
            no place for it.

    Raises:
        UsageError: for an unknown format or quality.
        ImageError: for a picture that the format cannot hold.
    """
    known = sorted(set(OUTPUT_FORMATS.values()))
    if format not in known:
        raise UsageError(
            f"Pictures cannot be written as '{format}': expected one of {', '.join(known)}."
            + did_you_mean(format, known)
        )
    if not 1 <= quality <= 100:
        raise UsageError(f"The quality {quality} is out of range: expected 1 to 100.")
    check_sides(format, picture.width, picture.height)
    if format in {"jpeg", "bmp"}:
        picture = on_white(picture)
    deep = picture.bit_depth > 8 and format in {"png", "tiff"}
    samples = picture_to_array(picture, np.uint16 if deep else np.uint8)
    in_exif = provenance if format != "png" else None
    size = (picture.width, picture.height)
    exif = exif_to_write(picture.source.exif, size, in_exif)
    if format == "jpeg" and exif is not None and len(exif) > _LONGEST_JPEG_EXIF:
        # one JPEG segment holds no more: what the camera wrote comes first, then how it was made
        own = exif_to_write(picture.source.exif, size, None)
        made = exif_to_write(None, size, in_exif)
        short = (block for block in (own, made) if block and len(block) <= _LONGEST_JPEG_EXIF)
        exif = next(short, None)
    xmp = xmp_to_write(picture.source.xmp, size, format)
    grey = picture.is_grey and format != "webp"
    profile = profile_to_write(picture.source.icc_profile, grey=grey)
    if format == "png":
        chunks = text_chunks(provenance or {}, xmp)
        taken = [*(provenance or {}), *(name for name, _ in picture.source.record)]
        add_texts(chunks, picture.source.captions, frozenset(taken))
        for name, data in picture.source.png_colours:
            chunks.add(name, data)
        return (deep_png if deep else _png)(samples, exif, profile, chunks, picture.source.dpi)
    if format == "tiff":
        return _tiff(samples, exif, profile, xmp, picture.source)
    try:
        return _lossy(samples, format, quality, exif, profile, xmp, picture.source)
    except (OSError, ValueError) as error:
        raise ImageError(_cannot_hold(format, picture.width, picture.height, error)) from None


def check_sides(format: str, width: int, height: int) -> None:
    """Raise ImageError for a picture with sides that the format cannot hold."""
    longest = _LONGEST_SIDES.get(format, max(width, height))
    if max(width, height) > longest:
        reason = f"the longest side it can have is {longest}"
        raise ImageError(_cannot_hold(format, width, height, reason))


def _cannot_hold(format: str, width: int, height: int, reason: object) -> str:
    return (
        f"A picture of {width}x{height} pixels cannot be written as {format} ({reason}): "
        "try PNG or TIFF."
    )


def to_pil(samples: NDArray[np.generic]) -> Image.Image:
    """Return (H, W, C) uint8 samples, or one channel of uint16, as a Pillow image."""
    return Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)


def _png(
    samples: NDArray[np.generic],
    exif: bytes | None,
    profile: bytes | None,
    chunks: PngInfo,
    dpi: tuple[float, float] | None,
) -> bytes:
    file = io.BytesIO()
    to_pil(samples).save(
        file,
        "PNG",
        compress_level=DEFLATE_LEVEL,
        pnginfo=chunks,
        icc_profile=profile,
        exif=exif or b"",
        dpi=dpi,
    )
    return file.getvalue()


def _lossy(
    samples: NDArray[np.generic],
    format: str,
    quality: int,
    exif: bytes | None,
    profile: bytes | None,
    xmp: bytes | None,
    source: Source,
) -> bytes:
    file = io.BytesIO()
    image = to_pil(samples)
    if format == "jpeg":
        subsampling = "4:4:4" if quality >= _FULL_CHROMA_QUALITY else "4:2:0"
        image.save(
            file,
            "JPEG",
            quality=quality,
            subsampling=subsampling,
            exif=exif or b"",
            icc_profile=profile,
            xmp=xmp or b"",
            extra=jpeg_segments(source.captions),
            comment=comment_to_write(source.captions),
            dpi=source.dpi or (0, 0),
        )
    elif format == "webp":
        image.save(
            file,
            "WEBP",
            quality=quality,
            exif=exif or b"",
            icc_profile=profile,
            xmp=xmp or b"",
        )
    else:
        image.save(file, "BMP", dpi=source.dpi or (96, 96))
    return file.getvalue()


def _tiff(
    samples: NDArray[np.generic],
    exif: bytes | None,
    profile: bytes | None,
    xmp: bytes | None,
    source: Source,
) -> bytes:
    """Write a TIFF of 8 or 16 bits in strips of deflated differences.

    Pillow has no 16-bit colour, tifffile no EXIF; the directory is Pillow's.
    """
    height, width, channels = samples.shape
    bits = samples.dtype.itemsize * 8
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    strips = []
    for top in range(0, height, ROWS_AT_ONCE):
        block = little[top : top + ROWS_AT_ONCE]
        differences = block.copy()
        differences[:, 1:] -= block[:, :-1]
        strips.append(zlib.compress(differences.tobytes(), DEFLATE_LEVEL))
    directory = _directory(exif, source.dpi)
    sizes = tuple(len(strip) for strip in strips)
    directory[TiffImagePlugin.IMAGEWIDTH] = width
    directory[TiffImagePlugin.IMAGELENGTH] = height
    directory[TiffImagePlugin.BITSPERSAMPLE] = (bits,) * channels
    directory[TiffImagePlugin.COMPRESSION] = 8  # deflate
    directory[TiffImagePlugin.PREDICTOR] = 2  # differences along rows
    directory[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 1 if channels < 3 else 2
    directory[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    directory[TiffImagePlugin.PLANAR_CONFIGURATION] = 1
    directory[TiffImagePlugin.ROWSPERSTRIP] = min(ROWS_AT_ONCE, height)
    # counted from the end of the directory, to which Pillow adds its own length
    offsets = np.cumsum((0, *sizes[:-1]), dtype=np.int64).tolist()
    directory[TiffImagePlugin.STRIPOFFSETS] = tuple(offsets)
    directory[TiffImagePlugin.STRIPBYTECOUNTS] = sizes
    if channels in (2, 4):
        directory[TiffImagePlugin.EXTRASAMPLES] = 2  # alpha, not premultiplied
    if profile is not None:
        directory[TiffImagePlugin.ICCPROFILE] = profile
    if xmp is not None:
        directory.tagtype[XMP_TAG] = TiffTags.BYTE
        directory[XMP_TAG] = xmp
    if source.captions.iptc is not None:
        directory.tagtype[IPTC_TAG] = TiffTags.UNDEFINED
        directory[IPTC_TAG] = source.captions.iptc
    file = io.BytesIO()
    directory.save(file)
    return with_standard_types(file.getvalue()) + b"".join(strips)


def _directory(
    exif: bytes | None, dpi: tuple[float, float] | None
) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Return a TIFF directory of what is told about a picture."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    if exif is not None:
        tags = tags_of_block(exif)
        for tag in TAGS_FOR_TIFF.intersection(tags):
            directory[tag] = inner_tags(tags, tag) if tag in _SUB_DIRECTORIES else tags[tag]
    sides = TiffImagePlugin.X_RESOLUTION, TiffImagePlugin.Y_RESOLUTION
    named = [directory[side] for side in sides if side in directory]
    if dpi is not None and dpi_of_tiff(directory, 1) is None:
        directory.update(zip(sides, dpi, strict=True))
        directory[TiffImagePlugin.RESOLUTION_UNIT] = 2  # inches
    elif len(named) == 1:  # a reader would take 1 for the one that is missing
        directory.update(dict.fromkeys(sides, named[0]))
    return directory

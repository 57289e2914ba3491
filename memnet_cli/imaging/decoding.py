"""From the bytes of a file to a picture: which files are opened, and what becomes of modes."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile, TiffImagePlugin

from memnet_cli.errors import ImageError
from memnet_cli.imaging.captions import captions_of, captions_of_tiff
from memnet_cli.imaging.deep_samples import (
    deep_samples,
    has_deep_planes,
    is_deep,
    is_tiff,
    raw_mode,
    read_tiff_page,
)
from memnet_cli.imaging.jpeg_colours import is_untouched, uncut_colours
from memnet_cli.imaging.jpeg_layout import (
    chroma_blocks_of,
    chroma_step_of,
    jpeg_tables_of,
    luma_blocks_of,
)
from memnet_cli.imaging.metadata import (
    FLIPPED_HORIZONTALLY,
    FLIPPED_VERTICALLY,
    XMP_TAG,
    carried_exif,
    carried_xmp,
    exif_of_tiff,
    orientation_of,
    profile_of_tiff,
    provenance_of,
)
from memnet_cli.imaging.opening import open_picture
from memnet_cli.imaging.picture import Picture, PictureSize, Source, picture_of_samples
from memnet_cli.imaging.png_colours import png_colours_of
from memnet_cli.imaging.quantisation import is_held_in
from memnet_cli.imaging.resolution import dpi_of, dpi_of_tiff

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})


def decode(file: BinaryIO, max_pixels: int) -> Picture:
    """Decode the first frame of a picture file, upright.

    Raises:
        ImageError: for anything but a picture, with the reason as a clause without subject.
        Exception: nearly any, from Pillow, for a damaged file.
    """
    try:
        image = open_picture(file, max_pixels)
    except SyntaxError:
        # of sample layouts that Pillow does not know: grey with alpha of 16 bits, RGB in float
        if not is_tiff(file):
            raise
        return _decode_tiff(file, max_pixels)
    if has_deep_planes(image):
        return _decode_tiff(file, max_pixels)
    return decode_opened(image, file)


def decode_opened(image: Image.Image, file: BinaryIO | None = None) -> Picture:
    """Make a picture of a Pillow image, upright; ``file`` is what it was opened from, if it was.

    Without ``file`` 16-bit colour has the 8 bits that Pillow gives. What a JPEG says of its blocks
    is left out where the image was loaded or reduced before and its pixels are others by now; its
    colours are cut off at black and white then.
    """
    untouched = is_untouched(image)
    # counting frames moves through the file, which the caller of an image without one may use
    frames = 1 if file is None else int(getattr(image, "n_frames", 1))
    stored = _tiff_orientation(image)
    colours = uncut_colours(image, own=file is not None)
    samples, depth = _samples(image, file) if colours is None else (colours, 8)
    # after loading, since the EXIF block of a PNG may follow the pixels; a TIFF has turned itself
    # by then, and its orientation is gone
    exif = _exif(image)
    orientation = orientation_of(exif)
    samples = _upright(samples, orientation)
    upright = samples.shape[0], samples.shape[1]
    source = Source(
        format="JPEG" if image.format == "MPO" else image.format,
        exif=carried_exif(exif, stored or orientation, from_tiff=image.format == "TIFF"),
        icc_profile=_profile(image),
        xmp=carried_xmp(image.info.get("xmp")),
        frames=frames,
        dpi=dpi_of(image, stored or orientation),
        png_colours=png_colours_of(image, file),
        captions=captions_of(image, exif, file),
        record=tuple(provenance_of(image, exif).items()),
    )
    if colours is None:
        picture = picture_of_samples(samples, bit_depth=depth, source=source)
    else:
        picture = Picture(np.ascontiguousarray(samples, np.float32), None, depth, source)
    blocks = luma_blocks_of(image, orientation, upright)
    if not (untouched or (blocks and is_held_in(picture.pixels, blocks))):
        return picture
    source = replace(
        source,
        jpeg_tables=jpeg_tables_of(image),
        luma_blocks=blocks,
        chroma_step=chroma_step_of(image, orientation, upright),
        chroma_blocks=chroma_blocks_of(image, orientation, upright),
    )
    return replace(picture, source=source)


def _decode_tiff(file: BinaryIO, max_pixels: int) -> Picture:
    page = read_tiff_page(file, max_pixels)
    assert page.samples is not None
    exif = exif_of_tiff(file)
    orientation = orientation_of(exif)
    samples = _upright(page.samples, orientation)
    source = Source(
        format="TIFF",
        icc_profile=profile_of_tiff(exif),
        xmp=carried_xmp(exif.get(XMP_TAG)),
        exif=carried_exif(exif, orientation, from_tiff=True),
        frames=page.pages,
        captions=captions_of_tiff(exif, file),
        record=tuple(provenance_of(None, exif).items()),
        dpi=dpi_of_tiff(exif, orientation),
    )
    return picture_of_samples(samples, bit_depth=16, source=source)


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:
        # a damaged EXIF block is no reason to refuse the picture; damaged pixels show on loading
        return Image.Exif()


def _tiff_orientation(image: Image.Image) -> int | None:
    """Return the orientation of a TIFF file, which is gone once it is loaded; None of others."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    return orientation_of(_exif(image))


def _profile(image: Image.Image) -> bytes | None:
    """Return the profile of the samples that _samples gives, None where they are sRGB."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and image.mode not in {"CMYK", "LAB"} else None


def _samples(image: Image.Image, file: BinaryIO | None) -> tuple[NDArray[np.generic], int]:
    """Load an image; returns its (H, W, C) samples and bit depth."""
    if isinstance(image, ImageFile.ImageFile) and file is not None and is_deep(image):
        return deep_samples(image, file), 16
    if image.mode.startswith(("I", "F")):
        return _deep_in_memory(image), 16
    if isinstance(image, ImageFile.ImageFile):
        _scale_transparent_grey(image)
    image.load()
    return np.asarray(_simple(image)), 8


def _deep_in_memory(image: Image.Image) -> NDArray[np.generic]:
    if image.mode == "I":
        raise ImageError("holds 32-bit integers of unknown range: convert it to 'I;16' or 'L'")
    return np.asarray(image)


def _simple(image: Image.Image) -> Image.Image:
    """Convert an image to L, LA, RGB or RGBA."""
    if image.mode in {"CMYK", "LAB"}:
        return _to_srgb(image)
    kind = "L" if image.mode in _GREY_MODES else "RGB"
    wanted = kind + "A" if image.has_transparency_data else kind
    if image.mode == "La":
        return image.convert("LA")
    return image if image.mode == wanted else image.convert(wanted)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert CMYK through its own profile if it has one, Lab through that of CIE Lab (D50)."""
    profile = image.info.get("icc_profile")
    try:
        if image.mode == "LAB":
            own = ImageCms.createProfile("LAB")
        elif profile:
            own = ImageCms.getOpenProfile(io.BytesIO(profile)).profile
        else:
            return image.convert("RGB")
        converted = ImageCms.profileToProfile(
            image, own, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        # a damaged profile, or one that is not for these channels
        return image.convert("RGB")
    assert converted is not None
    return converted


def _scale_transparent_grey(image: ImageFile.ImageFile) -> None:
    """Bring the transparent grey of a PNG of 2 or 4 bits to the scale of its unpacked pixels."""
    layout, _, bits = raw_mode(image).partition(";")
    grey = image.info.get("transparency")
    if image.format == "PNG" and layout == "L" and bits in {"2", "4"} and isinstance(grey, int):
        image.info["transparency"] = grey * 255 // ((1 << int(bits)) - 1)


def _upright(samples: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Turn and flip (H, W, ...) samples as the EXIF orientation, 1 to 8, asks for."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in FLIPPED_VERTICALLY:
        samples = samples[::-1]
    if orientation in FLIPPED_HORIZONTALLY:
        samples = samples[:, ::-1]
    return samples


def header(file: BinaryIO, max_pixels: int) -> PictureSize:
    """Read what the header says about the picture, upright; fails as ``decode`` does."""
    try:
        image = open_picture(file, max_pixels)
    except SyntaxError:
        if not is_tiff(file):
            raise
        return _tiff_header(file, max_pixels)
    if has_deep_planes(image):
        return _tiff_header(file, max_pixels)
    layout = raw_mode(image).partition(";")[0]
    grey = layout == "LA" or image.mode in _GREY_MODES
    # a PNG would be decoded to look for EXIF behind its pixels; a TIFF turns itself, by its tag
    told: object = image.format != "PNG" or {"exif", "xmp"} & set(image.info)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        told = ExifTags.Base.Orientation not in image.tag_v2
    orientation = orientation_of(_exif(image)) if told else 1
    width, height = image.size if orientation < 5 else image.size[::-1]
    return PictureSize(
        width=width,
        height=height,
        channels=(1 if grey else 3) + (layout == "LA" or image.has_transparency_data),
        bit_depth=16 if is_deep(image) else 8,
        jpeg_tables=jpeg_tables_of(image),
        chroma_step=chroma_step_of(image, orientation, (height, width)),
    )


def _tiff_header(file: BinaryIO, max_pixels: int) -> PictureSize:
    page = read_tiff_page(file, max_pixels, header_only=True)
    size = PictureSize(page.width, page.height, page.channels, 16)
    turned = orientation_of(exif_of_tiff(file)) >= 5
    return replace(size, width=size.height, height=size.width) if turned else size


def recorded_provenance(file: BinaryIO, max_pixels: int) -> dict[str, str]:
    """Read the record of how a picture was made; fails as ``decode`` does."""
    if is_tiff(file):
        return provenance_of(None, exif_of_tiff(file))
    image = open_picture(file, max_pixels)
    image.load()
    return provenance_of(image, _exif(image))

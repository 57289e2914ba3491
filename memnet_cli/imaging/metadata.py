"""EXIF, XMP, ICC profiles and the record of how a picture was made."""

from __future__ import annotations

import contextlib
import json
import re
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from memnet_cli.imaging.exif_types import with_standard_types

#: EXIF orientations that flip a picture, after they have exchanged its sides if they do.
FLIPPED_VERTICALLY = frozenset({3, 4, 7, 8})
FLIPPED_HORIZONTALLY = frozenset({2, 3, 6, 7})

_ORIENTATION = ExifTags.Base.Orientation
_RECORD = ExifTags.Base.ProcessingSoftware
_ICC_PROFILE = 34675
#: Of TIFF, and the keyword of PNG.
XMP_TAG, _XMP_KEYWORD = 700, "XML:com.adobe.xmp"
#: One JPEG segment holds no more.
_LONGEST_JPEG_XMP = 65504
_BIGTIFF = 43
#: How an XMP packet tells the orientation, as Pillow reads it.
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
#: Keys of the record of how a picture was made, as PNG takes keywords.
_KEY = re.compile("memnet:[ -~]{1,72}")
_SOFTWARE = "Software"
_SUB_DIRECTORIES = frozenset({int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)})
#: Tags whose number is a place in the block that was read, and in another one nothing.
_POINTERS = _SUB_DIRECTORIES | {int(ExifTags.IFD.Interop), int(ExifTags.Base.SubIFDs)}
_ACROSS, _DOWN = ExifTags.Base.XResolution, ExifTags.Base.YResolution

#: Of the tags of a TIFF file those that tell about the picture, not about how the file stores it.
_DESCRIPTIVE_TAGS = frozenset(
    {
        ExifTags.Base.DocumentName,
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.Orientation,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.PageName,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.HostComputer,
        ExifTags.Base.Copyright,
        ExifTags.Base.Rating,
        ExifTags.Base.XPTitle,
        ExifTags.Base.XPComment,
        ExifTags.Base.XPAuthor,
        ExifTags.Base.XPKeywords,
        ExifTags.Base.XPSubject,
    }
)

#: What the directory of a TIFF that is written takes over from an EXIF block: one that was copied
#: from another TIFF may tell how that stored its pixels.
TAGS_FOR_TIFF = _DESCRIPTIVE_TAGS | _SUB_DIRECTORIES | {_RECORD}


def orientation_of(exif: Image.Exif) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where it is missing or makes no sense."""
    try:
        value = int(exif.get(_ORIENTATION, 1))
    except (TypeError, ValueError, OverflowError):
        return 1
    return value if 1 <= value <= 8 else 1


def exif_of_tiff(file: BinaryIO) -> Image.Exif:
    """Read the tags of a TIFF file's first page, whatever its pixels are; none if damaged."""
    file.seek(0)
    start = file.read(16)
    order = "<" if start.startswith(b"II") else ">"
    exif = Image.Exif()
    exif.endian = order
    try:
        exif.bigtiff = struct.unpack_from(order + "H", start, 2)[0] == _BIGTIFF
        layout, position = ("Q", 8) if exif.bigtiff else ("L", 4)
        exif.load_from_fp(file, struct.unpack_from(order + layout, start, position)[0])
    except Exception:
        # see carried_exif
        return Image.Exif()
    told = _XMP_ORIENTATION.search(_packet(exif.get(XMP_TAG)) or b"")
    if told and _ORIENTATION not in exif:
        exif[_ORIENTATION] = int(told[1])
    return exif


def profile_of_tiff(exif: Image.Exif) -> bytes | None:
    """Return the ICC profile among the tags of a TIFF file."""
    profile = exif.get(_ICC_PROFILE)
    return profile if isinstance(profile, bytes) and profile else None


def carried_xmp(packet: object) -> bytes | None:
    """Return the XMP packet to carry to the output, its orientation set to 1; None for none."""
    content = _packet(packet)
    return _with_xmp(content, Orientation=1) if content else None


def _packet(packet: object) -> bytes | None:
    if isinstance(packet, str):
        return packet.encode()
    return packet if isinstance(packet, bytes) else None


def xmp_to_write(xmp: bytes | None, size: tuple[int, int], format: str) -> bytes | None:
    """Return the packet for an output of ``size`` (width, height), where ``format`` can hold it."""
    if xmp is None or (format == "jpeg" and len(xmp) > _LONGEST_JPEG_XMP):
        return None
    width, height = size
    return _with_xmp(
        xmp,
        ImageWidth=width,
        ImageLength=height,
        PixelXDimension=width,
        PixelYDimension=height,
    )


def _with_xmp(packet: bytes, **numbers: int) -> bytes:
    """Return a packet with numbers of the tiff: and exif: schemas changed where it has them."""
    for name, number in numbers.items():
        of = rb"(?:tiff|exif):" + name.encode()
        value = rb"\g<1>%d\g<2>" % number
        packet = re.sub(rb"(%b=[\"'])\d+([\"'])" % of, value, packet)
        packet = re.sub(rb"(<%b>)\d+(</%b>)" % (of, of), value, packet)
    return packet


def carried_exif(exif: Image.Exif, orientation: int, *, from_tiff: bool = False) -> bytes | None:
    """Return the EXIF block to carry to the output, its orientation set to 1.

    ``orientation`` is that of the pixels as the file has them: the resolution turns with them.

    The thumbnail is left behind, since it would show the picture as it was before; of the tags of
    a TIFF file those that describe its storage; and tags that are damaged or of another type than
    they have to be. A damaged block is dropped.
    """
    kept = Image.Exif()
    # the notes of some makers are in the byte order of the block
    kept.endian = exif.endian
    # Pillow's reader of this free-form block raises nearly anything on damaged ones
    with contextlib.suppress(Exception):
        for tag in list(exif):
            if tag in _SUB_DIRECTORIES:
                inner = _sub_directory(exif, tag)
                if inner:
                    kept[tag] = inner
            elif (not from_tiff or tag in _DESCRIPTIVE_TAGS) and tag not in _POINTERS:
                kept.update(_writable(tag, exif.get(tag)))
        if orientation >= 5 and {_ACROSS, _DOWN} <= set(kept):
            kept[_ACROSS], kept[_DOWN] = kept[_DOWN], kept[_ACROSS]
        if _ORIENTATION in kept:
            kept[_ORIENTATION] = 1
        return kept.tobytes() if len(kept) else None
    return None


def _sub_directory(exif: Image.Exif, tag: int) -> dict[int, Any]:
    tags: dict[int, Any] = {}
    with contextlib.suppress(Exception):
        for key, read in exif.get_ifd(tag).items():
            value = exif.get_ifd(key) if key == ExifTags.IFD.Interop else read
            if key not in _POINTERS or (key == ExifTags.IFD.Interop and value):
                tags.update(_writable(key, value, inside=tag))
    return tags


def _writable(tag: int, value: Any, inside: int | None = None) -> dict[int, Any]:
    """Return a tag and its value, to be written as it was read; nothing if it cannot be."""
    value = _as_read(value)
    alone = Image.Exif()
    try:
        alone[tag if inside is None else inside] = value if inside is None else {tag: value}
        alone.tobytes()
    except Exception:
        # of another type than the tag has to be, such as a resolution in letters
        return {}
    return {tag: value}


def _as_read(value: Any) -> Any:
    """Return what writes the bytes that were read: Pillow reads texts as Latin-1, writes ASCII."""
    return value.encode("latin-1") if isinstance(value, str) and not value.isascii() else value


def tags_of_block(block: bytes) -> Image.Exif:
    """Return the tags of an EXIF block such that they are written as they were read."""
    tags = Image.Exif()
    tags.load(block)
    for tag in list(tags):
        if tag in _SUB_DIRECTORIES:
            inner = tags.get_ifd(tag)
            inner.update({key: _as_read(value) for key, value in inner.items()})
        else:
            tags[tag] = _as_read(tags[tag])
    return tags


def inner_tags(tags: Image.Exif, tag: int) -> dict[int, Any]:
    """Return the tags of a sub-directory, with those that EXIF's points to in place of a place."""
    inner = dict(tags.get_ifd(tag))
    if inner.pop(ExifTags.IFD.Interop, None) is not None:
        further = dict(tags.get_ifd(ExifTags.IFD.Interop))
        inner.update({int(ExifTags.IFD.Interop): further} if further else {})
    return inner


def exif_to_write(
    exif: bytes | None, size: tuple[int, int], provenance: Mapping[str, str] | None
) -> bytes | None:
    """Return the EXIF block for an output of ``size`` (width, height), or None for none.

    The pixel dimensions are set where the block has them. ``provenance`` is recorded as JSON in
    the tag ProcessingSoftware, its "Software" also in the tag of that name unless a camera or
    program has filled it.
    """
    tags = Image.Exif()
    if exif is not None:
        tags = tags_of_block(exif)
        if _recorded_in(tags):
            del tags[_RECORD]
        details = tags.get_ifd(ExifTags.IFD.Exif) if ExifTags.IFD.Exif in tags else {}
        for tag, side in zip(
            (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), size, strict=True
        ):
            if tag in details:
                details[tag] = side
        for tag in (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength):
            if tag in tags:
                del tags[tag]
    if provenance:
        # ASCII, as the tag's type demands
        tags[_RECORD] = json.dumps(dict(provenance))
        if _SOFTWARE in provenance and ExifTags.Base.Software not in tags:
            tags[ExifTags.Base.Software] = provenance[_SOFTWARE]
    return with_standard_types(tags.tobytes()) if len(tags) else None


def text_chunks(provenance: Mapping[str, str], xmp: bytes | None = None) -> PngInfo:
    """Return the record as PNG text chunks, one for each key, and one for the XMP packet."""
    chunks = PngInfo()
    if xmp is not None:
        chunks.add_itxt(_XMP_KEYWORD, xmp.decode("utf-8", "replace"))
    for key, value in provenance.items():
        # file names may hold bytes that are not UTF-8
        chunks.add_itxt(key, value.encode("utf-8", "backslashreplace").decode("utf-8"))
    return chunks


def provenance_of(image: Image.Image | None, exif: Image.Exif) -> dict[str, str]:
    """Return the record of how a picture was made, empty if there is none."""
    return _own(getattr(image, "text", None) or {}) or _recorded_in(exif)


def _recorded_in(exif: Image.Exif) -> dict[str, str]:
    try:
        record = json.loads(str(exif.get(_RECORD, "{}")))
    except (ValueError, RecursionError):
        return {}
    return _own(record) if isinstance(record, dict) else {}


def _own(texts: Mapping[str, object]) -> dict[str, str]:
    """Return what is of such a record; another program's has no key that is."""
    own = {key: str(value) for key, value in texts.items() if _KEY.fullmatch(key)}
    return own | {_SOFTWARE: str(texts[_SOFTWARE])} if own and _SOFTWARE in texts else own


def profile_to_write(profile: bytes | None, *, grey: bool) -> bytes | None:
    """Return the ICC profile if it is one for the channels that are written, else None."""
    space = b"GRAY" if grey else b"RGB "
    return profile if profile is not None and profile[16:20] == space else None

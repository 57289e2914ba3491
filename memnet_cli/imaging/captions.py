"""What people wrote about a picture beside EXIF and XMP: IPTC, the comment of a JPEG, text of PNG.

Nothing of it is changed on its way: it tells about what is shown, not about the pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image
from PIL.PngImagePlugin import MAX_TEXT_CHUNK, PngInfo, iTXt

from memnet_cli.imaging.deep_samples import file_at_start

#: Of TIFF: IPTC-IIM records.
IPTC_TAG = 33723
#: Image resource of Photoshop that holds them in other formats.
_IPTC_RESOURCE = 0x0404
_RESOURCE = b"8BIM"
_PHOTOSHOP = b"Photoshop 3.0\0"
#: With which every record begins (IPTC-IIM 4.2, section 1.5).
_RECORD_MARK = b"\x1c"
#: One JPEG segment holds no more.
_LONGEST_SEGMENT = 65533
#: Of the PNG of other programs: blocks in hexadecimal digits.
_RAW, _RAW_IPTC = "Raw profile type ", ("iptc", "8bim")
_COMMENT = "Comment"
_DIGITS_A_LINE = 72
#: Letters from which on it pays to deflate them.
_LONG_TEXT = 1024
#: Letters of a keyword (PNG specification, section 11.3.4).
_LONGEST_KEYWORD = 79
#: What Pillow reads elsewhere, thumbnails of file managers, and what ImageMagick tells of EXIF and
#: of the file, which may be the record of what was done, or of pixels that are others now.
_NOT_TEXT = ("XML:com.adobe.xmp", "Thumb::", "exif:", "tiff:", "date:", _RAW)


@dataclass(frozen=True)
class Captions:
    """What a file tells about the picture.

    Attributes:
        iptc: IPTC-IIM records, or None.
        comment: of a JPEG, as it is there, or None.
        texts: of a PNG: keyword and text, a str or with its language ``iTXt``.
    """

    iptc: bytes | None = None
    comment: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()


def captions_of(image: Image.Image, tags: Image.Exif, file: BinaryIO | None = None) -> Captions:
    """Return the captions of an opened picture.

    Args:
        image: that was opened.
        tags: those of a TIFF, or EXIF's.
        file: from which, if from one.
    """
    if image.format in {"JPEG", "MPO"}:
        resources = image.info.get("photoshop")
        iptc = resources.get(_IPTC_RESOURCE) if isinstance(resources, Mapping) else None
        comment = image.info.get("comment")
        return Captions(_records(iptc), comment if isinstance(comment, bytes) and comment else None)
    if image.format == "PNG":
        texts: Mapping[str, str] = getattr(image, "text", None) or {}
        plain = tuple(item for item in texts.items() if not item[0].startswith(_NOT_TEXT))
        raw = (_raw_profile(texts.get(_RAW + name, "")) for name in _RAW_IPTC)
        return Captions(next(filter(None, map(_records, raw)), None), None, plain)
    return captions_of_tiff(tags, file) if image.format == "TIFF" else Captions()


def captions_of_tiff(tags: Image.Exif, file: BinaryIO | None) -> Captions:
    """Return what the tags of a TIFF file tell.

    Many programs give IPTC the type of integers, of which Pillow reads the first: these are read
    by tifffile, from the ``file``.
    """
    try:
        value = tags.get(IPTC_TAG)
        if isinstance(value, int) and file is not None:
            value = _bytes_of_integers(file)
    except Exception:
        # see carried_exif
        return Captions()
    return Captions(_records(value))


def _bytes_of_integers(file: BinaryIO) -> bytes:
    import tifffile

    with tifffile.TiffFile(file_at_start(file)) as tiff:
        value = tiff.pages[0].tags[IPTC_TAG].value  # it knows what the integers stand for
        return value if isinstance(value, bytes) else b""


def jpeg_segments(captions: Captions) -> bytes:
    """Return the segment of Photoshop's resources (APP13), empty without need or place."""
    if captions.iptc is None:
        return b""
    content = _PHOTOSHOP + _resource(captions.iptc)
    if len(content) > _LONGEST_SEGMENT:
        return b""
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def comment_to_write(captions: Captions) -> bytes:
    """Return the comment for a JPEG, empty for none or a longer one than it holds."""
    texts = dict(captions.texts)
    comment = captions.comment or texts.get(_COMMENT, "").encode()
    return comment if len(comment) <= _LONGEST_SEGMENT else b""


def add_texts(chunks: PngInfo, captions: Captions, taken: frozenset[str]) -> None:
    """Add text chunks for PNG but for keywords that are ``taken``."""
    texts = dict(captions.texts)
    if captions.comment is not None:
        texts.setdefault(_COMMENT, _decoded(captions.comment))
    for keyword, text in texts.items():
        if keyword in taken or not (keyword.strip() and len(keyword) <= _LONGEST_KEYWORD):
            continue
        if isinstance(text, iTXt):
            packed = _is_packed(text)
            chunks.add_itxt(keyword, str(text), text.lang or "", text.tkey or "", zip=packed)
        else:
            chunks.add_text(keyword, text, zip=_is_packed(text))
    if captions.iptc is not None:
        digits = _resource(captions.iptc).hex()
        lines = (digits[i : i + _DIGITS_A_LINE] for i in range(0, len(digits), _DIGITS_A_LINE))
        profile = "\n".join(["", "iptc", f"{len(digits) // 2:8}", *lines, ""])
        chunks.add_text(f"{_RAW}iptc", profile, zip=_is_packed(profile))


def _is_packed(text: str) -> bool:
    """Say whether a text is deflated: long ones, up to what readers let a deflated one become."""
    return _LONG_TEXT < len(text.encode("utf-8", "replace")) <= MAX_TEXT_CHUNK


def _decoded(comment: bytes) -> str:
    """Return a comment as text: UTF-8 nowadays, one byte a letter before."""
    try:
        return comment.decode("utf-8")
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _records(value: object) -> bytes | None:
    sound = isinstance(value, bytes) and value.startswith(_RECORD_MARK)
    return value if sound else None  # type: ignore[return-value]


def _resource(iptc: bytes) -> bytes:
    """Return an image resource without a name (Adobe Photoshop File Formats, image resources)."""
    padding = b"\0" * (len(iptc) % 2)
    return _RESOURCE + struct.pack(">HHL", _IPTC_RESOURCE, 0, len(iptc)) + iptc + padding


def _raw_profile(text: str) -> bytes | None:
    """Return IPTC of a block of digits as ImageMagick writes it: bare, or among resources."""
    try:
        block = bytes.fromhex("".join(text.split()[2:]))
    except ValueError:
        return None
    if block.startswith(_RECORD_MARK):
        return block
    return next((data for number, data in _resources(block) if number == _IPTC_RESOURCE), None)


def _resources(block: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while block[position : position + 4] == _RESOURCE and len(block) > position + 7:
        number = int.from_bytes(block[position + 4 : position + 6], "big")
        start = position + 6 + (block[position + 6] // 2 + 1) * 2 + 4
        length = int.from_bytes(block[start - 4 : start], "big")
        if start + length <= len(block):
            yield number, block[start : start + length]
        position = start + length + length % 2

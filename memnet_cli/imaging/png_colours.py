"""What the samples of a PNG stand for: cICP, sRGB, gamma and primaries."""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import Image

#: Chunks as they are written: (name, content).
Chunks = tuple[tuple[bytes, bytes], ...]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HUNDRED_THOUSANDTHS = 100_000
#: Primaries, transfer function, matrix and full range of sRGB, and of BT.709, which is shown as it
#: is (ITU-T H.273).
_COMMON_CODES = {(1, 13, 0, 1), (1, 1, 0, 1)}
#: Of sRGB, in hundred-thousandths.
_GAMMA, _GAMMA_TOLERANCE = 45455, 1000
_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_PRIMARIES_TOLERANCE = 500


def png_colours_of(image: Image.Image, file: BinaryIO | None = None) -> Chunks:
    """Return those chunks of a PNG; cICP, which Pillow does not read, from the ``file``."""
    if image.format != "PNG":
        return ()
    gamma, primaries = image.info.get("gamma"), image.info.get("chromaticity")
    told = ((b"gAMA", () if gamma is None else (gamma,)), (b"cHRM", primaries or ()))
    chunks = tuple(
        (name, _integers(*(round(number * _HUNDRED_THOUSANDTHS) for number in numbers)))
        for name, numbers in told
        if numbers
    )
    intent = image.info.get("srgb")
    if intent is not None:
        chunks = ((b"sRGB", bytes([intent])), *chunks)
    codes = None if file is None else _coding_points(file)
    return chunks if codes is None else ((b"cICP", codes), *chunks)


def are_common(chunks: Chunks, has_profile: bool) -> bool:
    """Say whether samples look the same in a file that does not have these chunks.

    They do where the chunk that counts, cICP before a profile before sRGB before the rest, tells
    of sRGB, and where a profile tells it that every file can have. PNG specification, section 4.3.
    """
    told = dict(chunks)
    if b"cICP" in told:
        return tuple(told[b"cICP"]) in _COMMON_CODES
    if has_profile or b"sRGB" in told:
        return True
    gamma = int.from_bytes(told.get(b"gAMA", _integers(_GAMMA)), "big")
    primaries: tuple[int, ...] = struct.unpack(">8I", told.get(b"cHRM", _integers(*_PRIMARIES)))
    apart = max(abs(a - b) for a, b in zip(primaries, _PRIMARIES, strict=True))
    return abs(gamma - _GAMMA) <= _GAMMA_TOLERANCE and apart <= _PRIMARIES_TOLERANCE


def _integers(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _coding_points(file: BinaryIO) -> bytes | None:
    """Return the content of the chunk cICP before the pixels; the file is left where it is."""
    place = file.tell()
    try:
        position = len(_SIGNATURE)
        while True:
            file.seek(position)
            head = file.read(8)
            if len(head) < 8 or head[4:] in {b"IDAT", b"IEND"}:
                return None
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"cICP":
                content = file.read(4)
                return content if length == len(content) == 4 else None
            position += 12 + length
    finally:
        file.seek(place)

"""The types that the EXIF standard gives its tags, where Pillow writes others.

Pillow writes bytes as BYTE and fractions that are not negative as RATIONAL; the standard has
UNDEFINED and SRATIONAL for some, which take the same room (EXIF 2.32, sections 4.6.5 to 4.6.7).
"""

from __future__ import annotations

import struct

from PIL import ExifTags

_BYTE, _RATIONAL, _UNDEFINED, _SRATIONAL = 1, 5, 7, 10
_HEADER = b"Exif\0\0"
_POINTERS = frozenset(
    {int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo), int(ExifTags.IFD.Interop)}
)
_EXIF_TYPES = {
    **dict.fromkeys(
        (
            ExifTags.Base.ExifVersion,
            ExifTags.Base.ComponentsConfiguration,
            ExifTags.Base.MakerNote,
            ExifTags.Base.UserComment,
            ExifTags.Base.FlashPixVersion,
            ExifTags.Base.SpatialFrequencyResponse,
            ExifTags.Base.FileSource,
            ExifTags.Base.SceneType,
            ExifTags.Base.CFAPattern,
            ExifTags.Base.DeviceSettingDescription,
            ExifTags.Base.OECF,
        ),
        (_BYTE, _UNDEFINED),
    ),
    **dict.fromkeys(
        (
            ExifTags.Base.ShutterSpeedValue,
            ExifTags.Base.BrightnessValue,
            ExifTags.Base.ExposureBiasValue,
        ),
        (_RATIONAL, _SRATIONAL),
    ),
}
_GPS_TYPES = dict.fromkeys(
    (ExifTags.GPS.GPSProcessingMethod, ExifTags.GPS.GPSAreaInformation), (_BYTE, _UNDEFINED)
)
#: By the tag that points to a directory; the first directory has none of them.
_TYPES: dict[int, dict[int, tuple[int, int]]] = {
    int(ExifTags.IFD.Exif): {int(tag): types for tag, types in _EXIF_TYPES.items()},
    int(ExifTags.IFD.GPSInfo): {int(tag): types for tag, types in _GPS_TYPES.items()},
    int(ExifTags.IFD.Interop): {2: (_BYTE, _UNDEFINED)},
}


def with_standard_types(block: bytes) -> bytes:
    """Return an EXIF block of Pillow's writing with the types of the standard.

    Args:
        block: from "Exif\\0\\0" or from the byte order on; as long afterwards.
    """
    start = len(_HEADER) if block.startswith(_HEADER) else 0
    changed = bytearray(block)
    order = "<" if block[start : start + 2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "L", block, start + 4)
    waiting: list[tuple[int, dict[int, tuple[int, int]]]] = [(first, {})]
    while waiting:
        place, types = waiting.pop()
        (count,) = struct.unpack_from(order + "H", block, start + place)
        for number in range(count):
            entry = start + place + 2 + 12 * number
            tag, kind = struct.unpack_from(order + "HH", block, entry)
            if tag in types and types[tag][0] == kind:
                struct.pack_into(order + "H", changed, entry + 2, types[tag][1])
            if tag in _TYPES:
                inside = struct.unpack_from(order + "L", block, entry + 8)[0]
                waiting.append((inside, _TYPES[tag]))
    return bytes(changed)

"""The types that the EXIF standard gives its tags, where Pillow writes others.

Pillow writes bytes as BYTE and fractions that are not negative as RATIONAL; the standard has
UNDEFINED and SRATIONAL for some, which take the same room (EXIF 2.32, sections 4.6.5 to 4.6.7).
"""

from __future__ import annotations

import struct

from PIL import ExifTags

_BYTE, _LONG, _RATIONAL, _UNDEFINED, _SRATIONAL = 1, 4, 5, 7, 10
_EXIF, _GPS, _INTEROP = (
    int(tag) for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop)
)
#: SourceExposureTimesOfCompositeImage; AmbientTemperature, WaterDepth, CameraElevationAngle.
_EXPOSURE_TIMES, _AMBIENT = 0xA462, (0x9400, 0x9402, 0x9405)
_HEADER = b"Exif\0\0"
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
            _EXPOSURE_TIMES,
        ),
        (_BYTE, _UNDEFINED),
    ),
    **dict.fromkeys(
        (
            ExifTags.Base.ShutterSpeedValue,
            ExifTags.Base.BrightnessValue,
            ExifTags.Base.ExposureBiasValue,
            *_AMBIENT,
        ),
        (_RATIONAL, _SRATIONAL),
    ),
}
_GPS_TYPES = dict.fromkeys(
    (ExifTags.GPS.GPSProcessingMethod, ExifTags.GPS.GPSAreaInformation), (_BYTE, _UNDEFINED)
)
#: By the tag that points to a directory; the first directory has none of them.
_TYPES: dict[int, dict[int, tuple[int, int]]] = {
    _EXIF: {int(tag): types for tag, types in _EXIF_TYPES.items()},
    _GPS: {int(tag): types for tag, types in _GPS_TYPES.items()},
    _INTEROP: {2: (_BYTE, _UNDEFINED)},
}


def with_standard_types(block: bytes) -> bytes:
    """Return an EXIF block of Pillow's writing with the types of the standard.

    Directories are followed from the first to those of EXIF and GPS, and from EXIF's to that of
    interoperability; a block that cannot be read so is returned as it is.

    Args:
        block: from "Exif\\0\\0" or from the byte order on; as long afterwards.
    """
    start = len(_HEADER) if block.startswith(_HEADER) else 0
    order = "<" if block[start : start + 2] == b"II" else ">"
    changed = bytearray(block)
    try:
        (first,) = struct.unpack_from(order + "L", block, start + 4)
        pointers = _retyped(changed, start, order, first, {})
        for directory in (_EXIF, _GPS):
            if directory in pointers:
                inner = _retyped(changed, start, order, pointers[directory], _TYPES[directory])
                if directory == _EXIF and _INTEROP in inner:
                    _retyped(changed, start, order, inner[_INTEROP], _TYPES[_INTEROP])
    except struct.error:
        return block
    return bytes(changed)


def _retyped(
    block: bytearray, start: int, order: str, place: int, types: dict[int, tuple[int, int]]
) -> dict[int, int]:
    """Change the types of a directory's tags, and return what its pointers point to, by tag."""
    pointers: dict[int, int] = {}
    (count,) = struct.unpack_from(order + "H", block, start + place)
    for number in range(count):
        entry = start + place + 2 + 12 * number
        tag, kind, length, value = struct.unpack_from(order + "HHLL", block, entry)
        if tag in types and types[tag][0] == kind:
            struct.pack_into(order + "H", block, entry + 2, types[tag][1])
        if tag in _TYPES and (kind, length) == (_LONG, 1):
            pointers[tag] = value
    return pointers

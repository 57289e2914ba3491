"""How large a picture is on paper: pixels an inch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

#: One pixel a metre, which is the least that PNG can say, and more than any scanner has.
_LEAST_DPI, _MOST_DPI = 0.0254, 60_000
#: Inches of the units that TIFF's tag ResolutionUnit names.
_INCHES = {2: 1.0, 3: 2.54}


def dpi_of(image: Image.Image, orientation: int) -> tuple[float, float] | None:
    """Return the pixels an inch, across and down the upright picture; None without sense.

    Args:
        image: opened from a file.
        orientation: of EXIF, of the pixels as the file has them.
    """
    if isinstance(image, TiffImageFile):  # Pillow has 1 for a file that says nothing
        return dpi_of_tiff(image.tag_v2, orientation)
    return _dpi(image.info.get("dpi"), orientation)


def dpi_of_tiff(tags: Mapping[int, Any], orientation: int) -> tuple[float, float] | None:
    """Return the same of the tags of a TIFF file."""
    inches = _INCHES.get(tags.get(ExifTags.Base.ResolutionUnit, 2))
    sides = ExifTags.Base.XResolution, ExifTags.Base.YResolution
    try:
        numbers = [float(tags[side]) * (inches or 0.0) for side in sides]
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return _dpi(numbers, orientation)


def _dpi(numbers: Any, orientation: int) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in numbers)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not all(_LEAST_DPI <= number < _MOST_DPI for number in (across, down)):
        return None
    return (down, across) if orientation >= 5 else (across, down)

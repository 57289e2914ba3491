"""How large a picture is on paper: pixels an inch."""

from __future__ import annotations

from typing import Any

from PIL import ExifTags, Image

#: More pixels an inch than any scanner has.
_MOST_DPI = 60_000
#: Inches of the units that TIFF's tag ResolutionUnit names.
_INCHES = {2: 1.0, 3: 2.54}


def dpi_of(image: Image.Image, orientation: int) -> tuple[float, float] | None:
    """Return the pixels an inch, across and down the upright picture; None without sense."""
    return _dpi(image.info.get("dpi"), orientation)


def dpi_of_tiff(exif: Image.Exif, orientation: int) -> tuple[float, float] | None:
    """Return the same of the tags of a TIFF file."""
    inches = _INCHES.get(exif.get(ExifTags.Base.ResolutionUnit, 2))
    tags = ExifTags.Base.XResolution, ExifTags.Base.YResolution
    try:
        numbers = [float(exif[tag]) * (inches or 0.0) for tag in tags]
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return _dpi(numbers, orientation)


def _dpi(numbers: Any, orientation: int) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in numbers)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not (0 < across < _MOST_DPI and 0 < down < _MOST_DPI):
        return None
    return (down, across) if orientation >= 5 else (across, down)

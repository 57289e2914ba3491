"""Restored luma, or chroma, that the JPEG file at hand could have been made of.

A JPEG says of every cosine coefficient of its 8x8 blocks between which two values it was: half a
step of the quantisation table about the value that it holds. All pictures of which the file could
have been made are a convex set, the quantisation constraint set (Zakhor, "Iterative procedures for
reduction of blocking effects in transform image coding", IEEE TCSVT 1992). The clean one is among
them: the nearest of the set to whatever was restored is never farther from it.

Fine steps say more than any network knows, and a network that contradicts the file is wrong of
more than it is found out in. Between what was restored and what the file itself holds, both of
which are of the set, lies what is nearest to the clean picture in the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.picture import JpegBlocks

_SIDE = 8
#: Blocks that are worked on at a time, which bounds the temporary memory.
_AT_ONCE = 1 << 14
#: Black and white of 8 bits, beyond which decoding cuts off, to half a grey level.
_BLACK, _WHITE = 0.5, 254.5
#: A network's change of a coefficient is taken whole where the file's step is as large as this, and
#: in proportion below: the least-squares shares of steps 3 to 10 (benchmarks/jpeg_shares.py).
_COARSE = 10.0
#: Of it is taken so much at least: below steps of 3 the decoder's roundings weigh more.
_LEAST_SHARE = 0.3
#: The clean coefficients of a block are off the file's by 1/12 of a squared step in the mean, where
#: all places between two values are alike; a little more is nothing to doubt a network for.
_EXPLAINED = 0.12
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
    return _by_blocks(_nearest, restored, decoded, blocks)


def weighed(
    restored: NDArray[np.float32], decoded: NDArray[np.float32], blocks: JpegBlocks
) -> NDArray[np.float32]:
    """Return the nearest such plane, drawn to the file's own where that is likely to know better.

    Of the change of a coefficient is taken ``min(1, step / 10)``, 0.3 at least; it is what least
    squares gives of photographs. Of a block whose coefficients were moved by more than the steps
    explain, which no clean picture would have been, ``sqrt(0.12 / v)`` of that, where v is the
    mean square of how far they were moved, in steps: scanned pages that a network takes for noise.
    Where the picture's edge cuts a block, as much of the change in pixels is taken.

    Args:
        restored: (H, W), as for :func:`consistent`.
        decoded: the same.
        blocks: of the file.
    """
    result = _by_blocks(_weighed, restored, decoded, blocks)
    height, width = result.shape
    bottom, right = (
        max(0, start + (side - start) // _SIDE * _SIDE)
        for side, start in zip(result.shape, (blocks.top, blocks.left), strict=True)
    )
    rows, columns = slice(0, height), slice(0, width)
    for strip in (
        (slice(0, blocks.top), columns),
        (slice(bottom, height), columns),
        (rows, slice(0, blocks.left)),
        (rows, slice(right, width)),
    ):
        result[strip] = _weighed_strip(restored[strip], decoded[strip], blocks)
    return result


def _by_blocks(
    of_blocks: Callable[
        [NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]
    ],
    restored: NDArray[np.float32],
    decoded: NDArray[np.float32],
    blocks: JpegBlocks,
) -> NDArray[np.float32]:
    """Return a plane of what is made of restored and file's coefficients (B, 64) and steps (64)."""
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
        file = _held(_cut(decoded[whole]), steps) * steps
        made = of_blocks(_coefficients(_cut(restored[whole])), file, steps)
        result[whole] = _joined(_pixels(made), count, columns)
    return result


def _nearest(
    restored: NDArray[np.float32], file: NDArray[np.float32], steps: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return coefficients within half a step of the file's."""
    return np.clip(restored, file - 0.5 * steps, file + 0.5 * steps)


def _weighed_strip(
    restored: NDArray[np.float32], decoded: NDArray[np.float32], blocks: JpegBlocks
) -> NDArray[np.float32]:
    """Return what is taken of the change of blocks whose rest is unknown, as if that were alike."""
    if not restored.size:
        return restored
    height, width = restored.shape
    change: NDArray[np.float32] = restored - decoded
    change = np.pad(change, ((0, -height % _SIDE), (0, -width % _SIDE)), mode="edge")
    steps = np.array(blocks.table, np.float32)
    moved = _cut(change) @ _cosines().T
    taken = (moved * _shares(moved, steps)) @ _cosines()
    whole = _joined(taken.astype(np.float32), change.shape[0] // _SIDE, change.shape[1] // _SIDE)
    return decoded + whole[:height, :width]


def _weighed(
    restored: NDArray[np.float32], file: NDArray[np.float32], steps: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return such coefficients, drawn to the file's as :func:`weighed` says."""
    shares = _shares(restored - file, steps)
    drawn: NDArray[np.float32] = file + shares * (_nearest(restored, file, steps) - file)
    return drawn


def _shares(moved: NDArray[np.float32], steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much of a change of coefficients (B, 64) is to be taken, 0 to 1."""
    doubt = np.square(moved / steps).mean(axis=1, keepdims=True) / _EXPLAINED
    whole = np.clip(steps / _COARSE, _LEAST_SHARE, 1.0)
    shares: NDArray[np.float32] = whole / np.sqrt(np.maximum(doubt, 1.0))
    return shares


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

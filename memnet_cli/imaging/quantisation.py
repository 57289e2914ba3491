"""Which JPEG quality a picture has been through, told by quantisation tables or by pixels alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.picture import JpegBlocks

#: The standard luminance table of the JPEG standard (ITU-T T.81, table K.1), row by row.
_STANDARD_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=np.float64,
).ravel()

#: Qualities that are looked for in pixels; of better ones the steps are too small to be seen.
_QUALITIES = np.arange(3, 93)
#: Numbers, row by row, of the coefficients that are looked at: the lowest but the mean.
_COEFFICIENTS = np.array([1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4])
#: The same of a picture that was turned by a quarter since.
_TURNED = _COEFFICIENTS % 8 * 8 + _COEFFICIENTS // 8
#: How well coefficients must fit the steps, of 1; photographs that were no JPEG have 0.1 at most.
_FIT = 0.5
#: Of finer steps the roundings of R, G and B leave nothing to be seen.
_FINEST_SEEN = 2.0
#: Coefficients that are not zero, blocks, and side of the picture's middle: at least, at most.
_FEWEST_COEFFICIENTS, _MOST_BLOCKS, _MOST_PIXELS = 50, 4096, 1024
_SMALLEST = 24
#: Values of grey: so few are drawn, a bar code or ink, and their coefficients few as well.
_DRAWN = 4
#: What R, G and B give to Y in a JPEG file.
_JFIF_LUMA = np.array([0.299, 0.587, 0.114])
#: A step between neighbours of so many grey levels is an edge of the picture.
_EDGE = 24.0


def luma_tables(qualities: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return libjpeg's luma tables (n, 64), row by row, of n quality factors from 1 to 100.

    As its ``jpeg_quality_scaling`` and ``jpeg_add_quant_table`` make them of the standard one.
    """
    percent = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    tables: NDArray[np.float64] = np.clip(
        (_STANDARD_LUMA[None] * percent[:, None] + 50) // 100, 1, 255
    )
    return tables


def jpeg_quality(table: tuple[int, ...]) -> int:
    """Estimate libjpeg's quality factor, 1 to 100, from a luma quantisation table (row-major).

    By least absolute error over all qualities, so that tables of other encoders get the nearest.
    """
    qualities = np.arange(1, 101)
    errors = np.abs(luma_tables(qualities) - np.asarray(table)[None]).sum(axis=1)
    return int(qualities[errors.argmin()])


def earlier_quality(pixels: NDArray[np.floating]) -> int | None:
    """Tell from pixels alone the quality of the JPEG that they once were; None where there is none.

    The cosine coefficients of the 8x8 blocks of a JPEG are whole multiples of the steps of its
    table, and are still close to them once it is turned, cropped, saved as PNG or as a better JPEG
    (Fan and de Queiroz, "Identification of bitmap compression history: JPEG detection and
    quantizer estimation", IEEE TIP 2003). Qualities from 3 to 92 of libjpeg's tables are found in
    pictures that were not resized since; the worst, if there were several.

    Args:
        pixels: (H, W, 1) grey or (H, W, 3) RGB, nominally in [0, 1]; taken as 8 bits hold them,
            without whose roundings fine steps would fit too well.
    """
    top, left = (max(0, (side - _MOST_PIXELS) // 2) for side in pixels.shape[:2])
    part = pixels[top : top + _MOST_PIXELS, left : left + _MOST_PIXELS]
    middle = _luma(np.rint(np.clip(part, 0.0, 1.0) * 255.0) / 255.0)
    values = np.bincount(np.rint(middle).astype(np.uint8).ravel(), minlength=256)
    if min(middle.shape) < _SMALLEST or np.count_nonzero(values) <= _DRAWN:
        return None
    found = (_quality_of(_blocks(middle, *corner)) for corner in _corners(middle))
    return min((quality for quality in found if quality is not None), default=None)


def is_held_in(pixels: NDArray[np.floating], blocks: JpegBlocks) -> bool:
    """Say whether pixels are still those of the JPEG file that has these blocks of luma.

    Told as :func:`earlier_quality` does, of the steps that are seen; False where too little is.

    Args:
        pixels: (H, W, 1) grey or (H, W, 3) RGB, in [0, 1], upright.
        blocks: of the file.
    """
    top, left = (
        start + max(0, (side - _MOST_PIXELS) // 16) * 8
        for side, start in zip(pixels.shape[:2], (blocks.top, blocks.left), strict=True)
    )
    middle = _luma(pixels[top : top + _MOST_PIXELS, left : left + _MOST_PIXELS])
    if min(middle.shape) < _SMALLEST:
        return False
    steps = np.array(blocks.table, np.float64)
    seen = 1 + np.flatnonzero(steps[1:] >= _FINEST_SEEN)
    return _fit(_blocks(middle, 0, 0)[:, seen], steps[seen]) > _FIT


def _luma(pixels: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return Y of JFIF (H, W), 0 to 255."""
    weights = _JFIF_LUMA if pixels.shape[2] == 3 else np.ones(1)
    return (255.0 * (pixels @ weights)).astype(np.float32)


def _corners(plane: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Yield where 8x8 blocks may begin: the two likeliest rows with the two likeliest columns."""
    for top in _likeliest(plane.T):
        for left in _likeliest(plane):
            yield top, left


def _likeliest(plane: NDArray[np.float32]) -> list[int]:
    """Return the two places, 0 to 7, of columns at which the plane most often jumps.

    Counted where a step between neighbours is larger than those on both sides of it, the edges of
    the picture left out, in relation to how often there are steps at all.
    """
    steps = np.abs(np.diff(plane, axis=1))
    step, beside = steps[:, 1:-1], np.maximum(steps[:, :-2], steps[:, 2:])
    largest = np.maximum(step, beside)
    counted = (largest > 0) & (largest < _EDGE)
    place = (np.arange(step.shape[1]) + 2) % 8
    jumps = np.bincount(place, (counted & (step > beside)).sum(axis=0), 8)
    share = jumps / np.maximum(np.bincount(place, counted.sum(axis=0), 8), 1.0)
    return [int(number) for number in np.argsort(-share, kind="stable")[:2]]


def _blocks(plane: NDArray[np.float32], top: int, left: int) -> NDArray[np.float32]:
    """Return cosine coefficients (B, 64) of blocks, evenly spread where there are very many.

    Of blocks that differ in brightness alone there is one: the others of a gradient or a pattern,
    which may be multiples of anything, say nothing more.
    """
    from scipy.fft import dctn

    rows, columns = (plane.shape[0] - top) // 8, (plane.shape[1] - left) // 8
    whole = plane[top : top + 8 * rows, left : left + 8 * columns]
    blocks = whole.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 64)
    some = blocks[:: -(-len(blocks) // _MOST_BLOCKS)]
    above = np.rint(some - some[:, :1]).astype(np.int16)
    # one value of 128 bytes each is sorted sooner than 64 columns
    _, first = np.unique(above.view("V128").ravel(), return_index=True)
    others = some[first].reshape(-1, 8, 8)
    coefficients: NDArray[np.float32] = dctn(others, axes=(1, 2), norm="ortho").reshape(-1, 64)
    return coefficients


def _quality_of(coefficients: NDArray[np.float32]) -> int | None:
    """Return the quality whose steps (B, 64) coefficients are multiples of, if there is one.

    Multiples of a step are multiples of its half as well: the lowest quality that fits is meant.
    """
    tables = luma_tables(_QUALITIES)[:, _COEFFICIENTS]
    coefficients = np.where(_steady(coefficients), np.float32(0), coefficients)
    both = [
        [_fit(coefficients[:, which], steps) for steps in tables]
        for which in (_COEFFICIENTS, _TURNED)
    ]
    fits = max(both, key=max)
    best = max(fits)
    if best < _FIT:
        return None
    number = next(n for n, fit in enumerate(fits) if fit > max(_FIT, 0.8 * best))
    while number + 1 < len(fits) and fits[number + 1] >= fits[number]:
        number += 1
    return int(_QUALITIES[number])


def _steady(coefficients: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which of the 64 hardly differ from block to block, and are not zero.

    Those of a gradient with grain or dither are one value, which may be a multiple of anything.
    """
    low, high = np.quantile(coefficients, (0.05, 0.95), axis=0)
    steady: NDArray[np.bool_] = high - low < np.minimum(np.abs(low), np.abs(high))
    return steady


def _fit(coefficients: NDArray[np.float32], steps: NDArray[np.float64]) -> float:
    """Return 1 where all coefficients that are not zero are multiples of the steps, 0 by chance."""
    multiples = coefficients / steps.astype(np.float32)
    multiples = multiples[np.abs(multiples) > 0.5]
    if multiples.size < _FEWEST_COEFFICIENTS:
        return 0.0
    return float(np.cos(2.0 * np.pi * multiples).mean())

"""How much Gaussian noise is in a picture, judged from its pixels alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Which of the absolute values of the finest detail tells the noise, what counts as none,
#: and the side of areas without any, which do not count.
_QUANTILE, _NOTHING, _AREA = 0.2, 1e-6, 8
#: Side of the blocks, from which diagonal of their DCT on noise is all there is where they are
#: smooth, and how many at most are looked at.
_SIDE, _DIAGONAL, _BLOCKS = 8, 11, 20_000
#: At most so many classes of brightness have as many blocks each, and at least so many; that share
#: of a class is the smoothest.
_CLASSES, _MEMBERS, _SMOOTHEST = 8, 40, 0.1
#: Of two tones, noise would leave this share of the samples within that part of its sigma and no
#: more: it leaves 1.6 of it, or 1 where it is cut off, and JPEGs of dots 0.4 of what they look
#: like.
_WITHIN, _TONE = 0.9, 0.5
#: How much of a block may be cut off at black or white, which takes from the noise, and from which
#: share of such blocks on the others do not count.
_CUT_OFF, _ENOUGH = 0.1, 0.02


def noise_sigma(pixels: NDArray[np.floating]) -> float:
    """Estimate the noise level sigma on the scale 0 to 255, the mean over the channels.

    The smaller of two estimates: of the finest detail, which fine texture and sharpening raise,
    and of the smoothest blocks, of which a page of text has none. Areas without any detail, such
    as a frame, do not count for either.

    Args:
        pixels: (H, W, C), black 0, white 1. Smaller than 16 pixels gives 0.
    """
    if min(pixels.shape[:2]) < 2 * _SIDE:
        return 0.0
    planes = np.moveaxis(pixels, 2, 0)
    return 255.0 * float(np.mean([min(_finest(plane), _smoothest(plane)) for plane in planes]))


def has_two_tones(pixels: NDArray[np.floating], sigma: float) -> bool:
    """Say whether (H, W, C) samples are two tones, where not flat: fax, halftone, ink on paper.

    Args:
        pixels: black 0, white 1.
        sigma: of the noise that they look like, on the scale 0 to 255.
    """
    spreads = [_spread(plane) for plane in np.moveaxis(pixels, 2, 0)]
    return 255.0 * float(np.mean(spreads)) < _TONE * sigma


def _spread(plane: NDArray[np.floating]) -> float:
    """Return how far most samples of an (H, W) plane are at most from the nearer of two tones."""
    from skimage.filters import threshold_otsu

    blocks = _blocks_of(np.clip(plane, 0.0, 1.0))
    samples = blocks[np.ptp(blocks, axis=(1, 2)) > _NOTHING].ravel()
    if not samples.size:
        return 0.0
    light = samples > threshold_otsu(samples)
    tones = np.where(light, np.median(samples[light]), np.median(samples[~light]))
    return float(np.quantile(np.abs(samples - tones), _WITHIN))


def _finest(plane: NDArray[np.floating]) -> float:
    """Estimate the noise of an (H, W) plane from all of it.

    Donoho's wavelet estimator with a low quantile instead of the median: noise is in all of the
    finest detail, but the strokes of a page of text may be in more than half of it.
    """
    import pywt
    from scipy.stats import norm
    from skimage.morphology import opening

    detail = np.abs(pywt.dwt2(plane.astype(np.float64), "db2")[1][2])
    flat = opening(detail < _NOTHING, np.ones((_AREA, _AREA), bool))
    if flat.all():
        return 0.0
    return float(np.quantile(detail[~flat], _QUANTILE) / norm.ppf(0.5 + _QUANTILE / 2.0))


def _smoothest(plane: NDArray[np.floating]) -> float:
    """Estimate the noise of an (H, W) plane from the high frequencies of its smoothest blocks.

    After Ponomarenko et al., "An automatic approach to lossy compression of AVIRIS images" (2007):
    blocks are sorted by their low frequencies, in which noise is least of all. Of each brightness,
    since a camera has less noise in the dark, and the median of that: a smooth bar has but few.
    """
    from scipy.fft import dctn

    blocks = _counted(_blocks_of(plane))
    if not len(blocks):
        return 0.0
    energy = np.square(dctn(blocks, axes=(1, 2), norm="ortho"))
    rows, columns = np.indices((_SIDE, _SIDE))
    high = rows + columns >= _DIAGONAL
    detail = energy[:, ~high & (rows + columns > 0)].mean(1)
    found = []
    classes = min(_CLASSES, max(1, len(blocks) // _MEMBERS))
    for members in np.array_split(np.argsort(energy[:, 0, 0]), classes):
        order = members[np.argsort(detail[members])]
        smoothest = order[: max(1, round(_SMOOTHEST * len(order)))]
        found.append(energy[smoothest][:, high].mean())
    return float(np.sqrt(np.median(found)))


def _blocks_of(plane: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return overlapping (N, 8, 8) blocks from all over an (H, W) plane, N near 20,000 at most."""
    stride = max(_SIDE // 2, math.ceil(math.sqrt(plane.size / _BLOCKS)))
    blocks = np.lib.stride_tricks.sliding_window_view(plane, (_SIDE, _SIDE))
    return blocks[::stride, ::stride].reshape(-1, _SIDE, _SIDE).astype(np.float64)


def _counted(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, 8, 8) blocks that hold all of their noise, or where few do, any."""
    noisy: NDArray[np.bool_] = np.ptp(blocks, axis=(1, 2)) > _NOTHING
    whole: NDArray[np.bool_] = noisy & (
        ((blocks <= 0.0) | (blocks >= 1.0)).mean((1, 2)) <= _CUT_OFF
    )
    counted: NDArray[np.float64] = blocks[whole if whole.sum() >= _ENOUGH * len(blocks) else noisy]
    return counted

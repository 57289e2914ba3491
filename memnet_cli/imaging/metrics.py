"""PSNR and SSIM, one definition for training, benchmark and demo."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_SSIM_SIGMA = 1.5


def psnr(
    clean: NDArray[np.generic], restored: NDArray[np.generic], data_range: float = 255.0
) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal pictures.

    Both arrays have one shape and the range [0, ``data_range``]; computed in float64.

    Raises:
        ValueError: for two shapes.
    """
    if np.shape(clean) != np.shape(restored):
        raise ValueError(f"pictures of two shapes: {np.shape(clean)} and {np.shape(restored)}")
    difference = np.asarray(clean, np.float64) - np.asarray(restored, np.float64)
    error = float(np.mean(np.square(difference)))
    return math.inf if error == 0.0 else 10.0 * math.log10(data_range**2 / error)


def ssim(
    clean: NDArray[np.generic], restored: NDArray[np.generic], data_range: float = 255.0
) -> float:
    """Return the mean structural similarity of two (H, W) pictures.

    Wang et al., IEEE TIP 13(4), 2004, as their ``ssim_index.m``: 11x11 Gaussian window of
    sigma 1.5, population covariance, only where the window fits wholly. Sides of at least 11.

    Raises:
        ValueError: for a picture smaller than the window.
    """
    from skimage.metrics import structural_similarity

    # scikit-image leaves out the edge of half a window by itself
    return float(
        structural_similarity(
            np.asarray(clean, np.float64),
            np.asarray(restored, np.float64),
            gaussian_weights=True,
            sigma=_SSIM_SIGMA,
            use_sample_covariance=False,
            data_range=data_range,
        )
    )

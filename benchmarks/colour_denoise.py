"""Denoise colour photographs in opponent colours and channel by channel; PSNR over R, G and B.

python benchmarks/colour_denoise.py --sigma 10 --sigma 25 --sigma 50

Noise is cut off at black and white and rounded to 8 bits, as in a file.
"""

from __future__ import annotations

import numpy as np
from colour_photographs import compare
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from memnet_cli.restoration.restorer import Restorer


def score(restorer: Restorer, clean: NDArray[np.uint8], sigma: int) -> list[float]:
    """Return the PSNR of noisy, of each channel restored on its own, and of opponent colours."""
    noise = np.random.default_rng(0).normal(0.0, sigma, clean.shape)
    noisy = np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)
    apart = np.dstack([restorer(noisy[:, :, channel]) for channel in range(3)])
    results = (noisy, apart, restorer(noisy))
    return [float(peak_signal_noise_ratio(clean, result)) for result in results]


if __name__ == "__main__":
    ways = ("noisy", "channel by channel", "opponent")
    compare(__doc__, "PSNR in dB over R, G and B", "denoise", "sigma", (10, 25, 50), ways, score)

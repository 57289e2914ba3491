"""Denoise colour photographs in opponent colours and channel by channel; PSNR over R, G and B.

python benchmarks/colour_denoise.py --sigma 10 --sigma 25 --sigma 50

The photographs are crops of those that scikit-image ships, which no weights were trained on. Noise
is cut off at black and white and rounded to 8 bits, as in a file.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from numpy.typing import NDArray
from photographs import photographs
from skimage.metrics import peak_signal_noise_ratio

from memnet_cli.cli._console import out, table
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.restorer import Restorer

_LEVELS = (10, 25, 50)


def main() -> None:
    """Print a row for each noise level and photograph, and the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sigma", type=int, action="append", help="noise level; repeatable")
    parser.add_argument("--side", type=int, default=192, help="of the crops, in pixels")
    parser.add_argument("--weights", help="a name or a file; else the default weights")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    reuse_freed_memory()
    restorer = Restorer.load(task="denoise", weights=arguments.weights, device=arguments.device)
    rows = []
    for sigma in arguments.sigma or _LEVELS:
        scores = []
        for name, clean in photographs(arguments.side).items():
            noisy = _noisy(clean, sigma)
            apart = np.dstack([restorer(noisy[:, :, channel]) for channel in range(3)])
            scores.append([_psnr(clean, x) for x in (noisy, apart, restorer(noisy))])
            rows.append(_row(sigma, name, scores[-1]))
        rows.append(
            _row(sigma, "mean", [statistics.mean(column) for column in zip(*scores, strict=True)])
        )
    head = ("sigma", "photograph", "noisy", "channel by channel", "opponent", "gain")
    out.print(table("PSNR in dB over R, G and B", head, rows))


def _noisy(clean: NDArray[np.uint8], sigma: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0.0, sigma, clean.shape)
    return np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)


def _psnr(clean: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
    return float(peak_signal_noise_ratio(clean, picture))


def _row(sigma: int, name: str, scores: list[float]) -> tuple[str, ...]:
    return (str(sigma), name, *(f"{s:.2f}" for s in scores), f"{scores[2] - scores[1]:+.2f}")


if __name__ == "__main__":
    main()

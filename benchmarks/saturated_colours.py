"""Denoise saturated colours, with and without shifting them into reach; PSNR over R, G and B.

python benchmarks/saturated_colours.py --dataset BSD200 --sigma 10 --sigma 25 --sigma 50

The squares of 128x128 pixels are those of the set's pictures with the most pixels whose colour
differences are beyond what the networks were trained on. Noise is cut off at black and white and
rounded to 8 bits, as in a file.
"""

from __future__ import annotations

import numpy as np
from colour_photographs import Score, command_line, scored
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from memnet_cli.cli._console import out, table
from memnet_cli.imaging.color import opponent_to_rgb, rgb_to_opponent
from memnet_cli.imaging.images import picture_to_array, read_image
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.stores.datasets import find_images

_SIDE, _BEYOND, _LEAST = 128, 0.02, 0.01


def squares(dataset: str, count: int) -> dict[str, NDArray[np.uint8]]:
    """Return the squares about the median of what is beyond reach, most of it first."""
    found = []
    for image in find_images(dataset):
        pixels = picture_to_array(read_image(image.path), np.dtype(np.uint8)).astype(np.uint8)
        if pixels.shape[2] != 3 or min(pixels.shape[:2]) < _SIDE:
            continue
        differences = rgb_to_opponent(pixels / 255.0)[:, :, 1:]
        beyond = ((differences < -_BEYOND) | (differences > 1.0 + _BEYOND)).any(axis=2)
        if beyond.mean() > _LEAST:
            middle = (int(np.median(where)) - _SIDE // 2 for where in np.nonzero(beyond))
            sides = zip(middle, beyond.shape, strict=True)
            top, left = (min(max(start, 0), side - _SIDE) for start, side in sides)
            square = pixels[top : top + _SIDE, left : left + _SIDE]
            found.append((float(beyond.mean()), image.name, square))
    found.sort(key=lambda entry: -entry[0])
    return {name: square for _, name, square in found[:count]}


def as_they_are(restorer: Restorer, noisy: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Denoise the opponent colours of (H, W, 3) wherever they lie."""
    planes = np.moveaxis(rgb_to_opponent(noisy / 255.0), 2, 0)
    restored = [restorer.restore_plane(plane.astype(np.float32)) for plane in planes]
    colours = opponent_to_rgb(np.stack(restored, axis=2)) * 255.0
    rounded: NDArray[np.uint8] = np.rint(np.clip(colours, 0, 255)).astype(np.uint8)
    return rounded


def denoised(restorer: Restorer, clean: NDArray[np.uint8], sigma: int) -> list[float]:
    """Return the PSNR noisy, denoised as the colours are, and denoised within reach."""
    noise = np.random.default_rng(0).normal(0.0, sigma, clean.shape)
    noisy = np.rint(np.clip(clean + noise, 0, 255)).astype(np.uint8)
    results = (noisy, as_they_are(restorer, noisy), restorer(noisy))
    return [float(peak_signal_noise_ratio(clean, result)) for result in results]


def compare(
    about: str | None,
    dataset: str,
    task: str,
    level: str,
    levels: tuple[int, ...],
    ways: tuple[str, str, str],
    score: Score,
) -> None:
    """Read the command line, and print the scores of each level and square, and the means.

    Args:
        about: the script's docstring.
        dataset: where none is given.
        task, level, levels, ways, score: as for ``colour_photographs.compare``.
    """
    parser = command_line(about, level)
    parser.add_argument("--dataset", default=dataset)
    parser.add_argument("--count", type=int, default=12, help="squares at most")
    given = parser.parse_args()
    restorer = Restorer.load(task=task, weights=given.weights, device=given.device)
    chosen = squares(given.dataset, given.count)
    rows = scored(restorer, chosen, given.levels or levels, score)
    out.print(table("PSNR in dB over R, G and B", (level, "square", *ways, "gain"), rows))


if __name__ == "__main__":
    ways = ("noisy", "as they are", "within reach")
    compare(__doc__, "BSD200", "denoise", "sigma", (10, 25, 50), ways, denoised)

"""What `--task auto` makes of pictures as they are, sharpened and with noise.

How many are taken for noisy, and the estimates of their noise. Sharpened by Pillow: wide is
UnsharpMask of 2 pixels by 150 % from 3 levels on, narrow of 1 pixel by 100 %. The noise of a camera
grows with light, 0.8 times the root of the grey value and 1.5; the bar has none, above the picture.

    python benchmarks/noise_levels.py --dataset Set14
    python benchmarks/noise_levels.py --dataset LIVE1
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from jpeg_files import add_pictures, pictures
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from memnet_cli.imaging.images import picture_from_array
from memnet_cli.imaging.noise_level import noise_sigma
from memnet_cli.restoration.detect import diagnose

_SHARPENED = {"wide": (2, 150, 3), "narrow": (1, 100, 0)}
_SIGMAS = (5, 8, 10, 15, 25, 50)
_TRAINED = {"denoise": (5, 75), "jpeg": (5, 98)}


def _variants(
    picture: Image.Image, rng: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield the picture as it is, sharpened and with noise, behind what was done to it."""
    clean = np.asarray(picture)
    yield "clean", clean
    for width, mask in _SHARPENED.items():
        yield f"sharpened, {width}", np.asarray(picture.filter(ImageFilter.UnsharpMask(*mask)))
    for sigma in _SIGMAS:
        noisy = clean + rng.normal(0.0, sigma, clean.shape)
        yield f"sigma {sigma}", _rounded(noisy)
    shot = rng.normal(0.0, 1.0, clean.shape) * (0.8 * np.sqrt(clean) + 1.5)
    yield "a camera's", _rounded(clean + shot)
    line = np.linspace(40, 90, clean.shape[1]).reshape(-1, *[1] * (clean.ndim - 2))
    bar = np.broadcast_to(line, (36, *clean.shape[1:]))
    yield (
        "sigma 25 below a smooth bar",
        np.concatenate([_rounded(bar), _rounded(clean + rng.normal(0.0, 25, clean.shape))]),
    )


def _rounded(pixels: NDArray[np.floating]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    return rounded


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_pictures(parser, "Set14")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, bool]]] = {}
    for clean in pictures(options):
        for name, pixels in _variants(clean, rng):
            picture = picture_from_array(pixels)
            noisy = diagnose(picture, _TRAINED).task == "denoise"
            found.setdefault(name, []).append((noise_sigma(picture.pixels), noisy))
    print(f"| {options.sample or options.dataset} | taken for noisy | least | median | most |")
    print("| :-- | --: | --: | --: | --: |")
    for name, rows in found.items():
        sigmas = [sigma for sigma, _ in rows]
        least, median, most = np.quantile(sigmas, (0.0, 0.5, 1.0))
        count = sum(taken for _, taken in rows)
        print(f"| {name} | {count} of {len(rows)} | {least:.1f} | {median:.1f} | {most:.1f} |")


if __name__ == "__main__":
    main()

"""How often it is told from pixels alone that they were a JPEG, and of which quality.

For every damage: of how many pictures any quality is told, and of how many the right one (within
2). The pictures themselves, and these smaller, larger and noisy, are to be told nothing of.

    python benchmarks/earlier_jpeg.py --dataset BSD200
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.evaluation.protocols import image_rng
from memnet_cli.imaging.color import luma_uint8
from memnet_cli.imaging.degradations import jpeg_compress, jpeg_resaved
from memnet_cli.imaging.quantisation import earlier_quality
from memnet_cli.imaging.resize import imresize
from memnet_cli.stores.datasets import find_images

Pixels = NDArray[np.uint8]
Damage = Callable[[Pixels, np.random.Generator], Pixels]


def _rounded(plane: NDArray[np.floating]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return rounded


def resized(scale: float) -> Damage:
    """Enlarge or shrink bicubically."""
    return lambda grey, _: _rounded(imresize(grey.astype(np.float64), scale=scale))


def noisy(sigma: float) -> Damage:
    """Add Gaussian noise."""
    return lambda grey, rng: _rounded(grey + rng.normal(0.0, sigma, grey.shape))


def cropped_jpeg(quality: int) -> Damage:
    """Save as JPEG and cut 3 rows and 6 columns off."""
    return lambda grey, _: jpeg_compress(grey, quality)[3:, 6:]


def saved_again(first: int, quality: int) -> Damage:
    """Save as JPEG, cut 4 rows and columns off, save as JPEG again."""
    return lambda grey, _: jpeg_resaved(grey, first, quality, 4, 4)


def damages() -> Iterator[tuple[str, int | None, Damage]]:
    """Yield the name, the quality that is to be told, and the damage of every row."""
    yield "none", None, lambda grey, _: grey
    yield "half as large", None, resized(0.5)
    yield "twice as large", None, resized(2.0)
    yield "sigma 10", None, noisy(10.0)
    yield "JPEG 95, cropped", None, cropped_jpeg(95)
    for quality in (5, 10, 20, 30, 40, 50, 60, 75, 85, 90):
        yield f"JPEG {quality}, cropped", quality, cropped_jpeg(quality)
    yield "JPEG 20, turned by a quarter", 20, lambda grey, _: jpeg_compress(grey, 20).T
    yield "JPEG 85, saved at 95", 85, lambda grey, _: jpeg_resaved(grey, 85, 95, 0, 0)
    for first, quality in ((10, 50), (20, 75), (20, 90), (40, 90), (75, 95), (85, 95)):
        yield f"JPEG {first}, cropped, saved at {quality}", first, saved_again(first, quality)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="BSD200", help="set by name, or a folder")
    parser.add_argument("--data-dir", type=Path, help="folder that holds data sets")
    options = parser.parse_args()
    pictures = []
    for image in find_images(options.dataset, data_dir=options.data_dir):
        with Image.open(image.path, formats=["PNG", "BMP", "JPEG"]) as opened:
            pictures.append((image.name, luma_uint8(np.asarray(opened))))
    print(f"| {options.dataset}, {len(pictures)} pictures | told | the right quality |")
    print("| :-- | --: | --: |")
    for name, quality, damage in damages():
        told = []
        for key, grey in pictures:
            pixels = damage(grey, image_rng(0, key, 0)).astype(np.float32) / 255.0
            told.append(earlier_quality(pixels[:, :, None]))
        some = [found for found in told if found is not None]
        right = sum(quality is not None and abs(found - quality) <= 2 for found in some)
        print(f"| {name} | {len(some)} | {'' if quality is None else right} |", flush=True)


if __name__ == "__main__":
    main()

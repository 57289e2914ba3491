"""How the weights do on damage that the papers' protocols do not have.

Low-resolution pictures that were rounded to 8 bits or saved as JPEG, noise between and beyond the
trained levels, noise that was clipped and rounded, clean pictures, other JPEG qualities, colour
JPEGs with subsampled chroma, JPEGs that were cropped and saved again. PSNR on luma (grey for noise)
against the damaged picture; the sr rows shave the border and round as the protocol does. Exits 1 if
a row falls below its input.

    python benchmarks/off_protocol.py --dataset Set5
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.evaluation.protocols import grey_uint8, image_rng, score
from memnet_cli.imaging.color import luma_uint8
from memnet_cli.imaging.degradations import (
    crop_to_multiple,
    downscale,
    jpeg_compress,
    jpeg_resaved,
)
from memnet_cli.imaging.resize import imresize
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.stores.datasets import find_images
from memnet_cli.tasks import TASKS

Pixels = NDArray[np.uint8]
Pair = tuple[Pixels, NDArray[np.float64]]
Damage = Callable[[Pixels, np.random.Generator], Pair]


@dataclass(frozen=True)
class Row:
    """One kind of damage: (H, W, 3) uint8 pixels -> clean (H, W) uint8, degraded (H, W) in [0, 1].

    Attributes:
        task: whose weights are to repair it.
        level: for shaving and rounding as the task's protocol does.
        name: as the table says it.
        damage: makes the pair.
        quality: that the weights for jpeg are chosen for, as ``memnet restore`` does; None leaves
            it to ``level``.
    """

    task: str
    level: int
    name: str
    damage: Damage
    quality: int | None = None


def _rounded(plane: NDArray[np.float64]) -> Pixels:
    return np.clip(np.floor(plane * 255.0 + 0.5), 0.0, 255.0).astype(np.uint8)


def shrunk(clean: Pixels, scale: int, quality: int | None) -> Pixels:
    """Shrink a plane and round it to 8 bits; compress it, if ``quality`` is not None."""
    small = _rounded(downscale(clean / 255.0, scale))
    return small if quality is None else jpeg_compress(small, quality)


def small_picture(scale: int, quality: int | None) -> Damage:
    """Shrink, round to 8 bits or compress, and enlarge."""

    def damage(pixels: Pixels, _rng: np.random.Generator) -> Pair:
        clean = crop_to_multiple(luma_uint8(pixels), scale)
        small = shrunk(clean, scale, quality)
        return clean, imresize(small / 255.0, shape=clean.shape)

    return damage


def noise(sigma: float, to_8_bits: bool = False) -> Damage:
    """Add Gaussian noise, and clip and round it as a file would."""

    def damage(pixels: Pixels, rng: np.random.Generator) -> Pair:
        clean = grey_uint8(pixels)
        noisy = clean / 255.0 + rng.normal(0.0, sigma / 255.0, clean.shape)
        return clean, _rounded(noisy) / 255.0 if to_8_bits else noisy

    return damage


def grey_jpeg(quality: int) -> Damage:
    """Compress the luma."""

    def damage(pixels: Pixels, _rng: np.random.Generator) -> Pair:
        clean = luma_uint8(pixels)
        return clean, jpeg_compress(clean, quality) / 255.0

    return damage


def colour_jpeg(quality: int) -> Damage:
    """Compress in colour with chroma at half the resolution (4:2:0), and take the luma."""

    def damage(pixels: Pixels, _rng: np.random.Generator) -> Pair:
        file = io.BytesIO()
        Image.fromarray(pixels).convert("RGB").save(file, "JPEG", quality=quality, subsampling=2)
        with Image.open(file, formats=["JPEG"]) as compressed:
            return luma_uint8(pixels), luma_uint8(np.asarray(compressed)) / 255.0

    return damage


def resaved_jpeg(first: int, quality: int) -> Damage:
    """Compress the luma, cut off half a block, compress it again."""

    def damage(pixels: Pixels, _rng: np.random.Generator) -> Pair:
        clean = luma_uint8(pixels)
        return clean, jpeg_resaved(clean, first, quality, 4, 4) / 255.0

    return damage


def rows(tasks: Sequence[str]) -> Iterator[Row]:
    """Yield every row of the table."""
    if "sr" in tasks:
        for scale in TASKS["sr"].levels:
            yield Row("sr", scale, f"x{scale}, 8 bits", small_picture(scale, None))
            yield Row("sr", scale, f"x{scale}, JPEG 95", small_picture(scale, 95))
            yield Row("sr", scale, f"x{scale}, JPEG 85", small_picture(scale, 85))
    if "denoise" in tasks:
        yield Row("denoise", 30, "clean", noise(0.0))
        for sigma in (5, 10, 15, 25, 40, 60, 75):
            yield Row("denoise", 30, f"sigma {sigma}", noise(sigma))
        for sigma in (25, 50):
            yield Row("denoise", 30, f"sigma {sigma}, 8 bits", noise(sigma, to_8_bits=True))
    if "jpeg" in tasks:
        for quality in (5, 15, 30, 40):
            yield Row("jpeg", 10, f"quality {quality}", grey_jpeg(quality), quality)
        for quality in (10, 20, 40):
            name = f"quality {quality}, colour 4:2:0"
            yield Row("jpeg", 10, name, colour_jpeg(quality), quality)
        for first, quality in ((10, 90), (20, 75), (20, 40), (40, 20)):
            name = f"quality {first}, cropped, saved at {quality}"
            yield Row("jpeg", 10, name, resaved_jpeg(first, quality), quality)


def measure(row: Row, restorer: Restorer, pictures: Sequence[tuple[str, Pixels]]) -> list[float]:
    """Return the mean PSNR of the damaged and of the restored pictures, in dB."""
    pairs = []
    for name, pixels in pictures:
        clean, degraded = row.damage(pixels, image_rng(0, name, row.level))
        restored = restorer.restore_plane(degraded.astype(np.float32))
        planes = degraded, restored
        pairs.append([score(clean, p, TASKS[row.task], row.level).psnr for p in planes])
    return [float(value) for value in np.mean(pairs, axis=0)]


def main() -> int:
    """Measure every row and print it as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="Set5", help="set by name, or a folder")
    parser.add_argument("--data-dir", type=Path, help="folder that holds data sets")
    parser.add_argument("--limit", type=int, help="only the first N pictures")
    parser.add_argument("--task", action="append", choices=sorted(TASKS), help="repeatable")
    parser.add_argument("--weights", help="a weights file, with one --task")
    options = parser.parse_args()
    tasks = options.task or list(TASKS)
    if options.weights and len(tasks) != 1:
        parser.error("--weights goes with exactly one --task")
    reuse_freed_memory()
    found = find_images(options.dataset, data_dir=options.data_dir)[: options.limit]
    pictures = [
        (image.name, np.asarray(Image.open(image.path, formats=["PNG", "BMP", "JPEG"])))
        for image in found
    ]
    print(f"| {options.dataset} | damaged (dB) | restored (dB) | gain |")
    print("| :-- | --: | --: | --: |")
    worse = False
    restorers: dict[tuple[str, int], Restorer] = {}
    for row in rows(tasks):
        key = row.task, row.level if row.quality is None else row.quality
        if key not in restorers:
            restorers[key] = Restorer.load(task=key[0], level=key[1], weights=options.weights)
        before, after = measure(row, restorers[key], pictures)
        harmless = not math.isfinite(before)  # a clean picture can only lose
        worse |= after < before and not harmless
        gain = "" if harmless else f"{after - before:+.2f}"
        print(f"| {row.task}, {row.name} | {before:.2f} | {after:.2f} | {gain} |")
        sys.stdout.flush()
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())

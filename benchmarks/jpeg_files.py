"""Deblocking JPEG files: the network alone, and what the file allows of it.

Colour pictures are compressed with 4:2:0; PSNR of luma. Without the file, as the benchmark of the
papers measures, ``memnet restore`` gets the decoded pixels only.

    python benchmarks/jpeg_files.py --dataset LIVE1
    python benchmarks/jpeg_files.py --sample page
    python benchmarks/jpeg_files.py --dataset Classic5 --first 85 --quality 95
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from memnet_cli.imaging.color import rgb_to_ycbcr
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.stores.datasets import find_images

_QUALITIES = (10, 20, 40, 60, 75, 85, 90, 95, 98)


def _luma(picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.float64]:
    pixels = np.asarray(picture) / 255.0
    return pixels if pixels.ndim == 2 else rgb_to_ycbcr(pixels)[:, :, 0]


def add_pictures(parser: argparse.ArgumentParser, dataset: str) -> None:
    """Add the options that :func:`pictures` reads; ``dataset`` is the set without them."""
    parser.add_argument("--dataset", default=dataset, help="set by name, or a folder")
    parser.add_argument("--sample", choices=("page", "text"), help="of scikit-image instead")
    parser.add_argument("--data-dir", type=Path, help="folder that holds data sets")


def pictures(options: argparse.Namespace) -> Iterator[Image.Image]:
    """Yield clean pictures, grey or RGB."""
    if options.sample is not None:
        yield Image.fromarray(getattr(skimage.data, options.sample)())
        return
    for image in find_images(options.dataset, data_dir=options.data_dir):
        with Image.open(image.path, formats=["PNG", "BMP", "JPEG"]) as opened:
            yield opened.convert("RGB") if opened.mode != "L" else opened.copy()


def _saved(picture: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return Image.open(content)


def _pair(whole: Image.Image, first: int | None) -> tuple[Image.Image, Image.Image]:
    """Return the clean picture and what is saved of it: the same, or a JPEG that was cut."""
    if first is None:
        return whole, whole
    inner = 3, 3, whole.width, whole.height
    return whole.crop(inner), _saved(whole, first).crop(inner)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_pictures(parser, "LIVE1")
    parser.add_argument("--quality", type=int, action="append", help="repeatable; else from 10 up")
    parser.add_argument(
        "--first", type=int, help="quality that they were saved at before, and cut by 3 pixels"
    )
    parser.add_argument("--weights", help="a name or a file")
    options = parser.parse_args()
    reuse_freed_memory()
    name = options.sample or options.dataset
    print(f"| {name}, quality | compressed | network alone | with the file |")
    print("| :-- | --: | --: | --: |")
    for quality in options.quality or _QUALITIES:
        restorer = Restorer.load(task="jpeg", level=quality, weights=options.weights)
        scores = []
        for whole in pictures(options):
            clean, picture = _pair(whole, options.first)
            file = _saved(picture, quality)
            pixels = np.asarray(file)  # which say nothing of the file
            made = (pixels, restorer(pixels), restorer(file))
            wanted = _luma(clean)
            scores.append([peak_signal_noise_ratio(wanted, _luma(x), data_range=1) for x in made])
        means = " | ".join(f"{value:.2f}" for value in np.mean(scores, axis=0))
        print(f"| {quality} | {means} |", flush=True)


if __name__ == "__main__":
    main()

"""Measure one method on one dataset at one level."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memnet_cli.evaluation.protocols import (
    Pair,
    check_size,
    image_rng,
    prepare,
    score,
    shrink_factor,
)
from memnet_cli.imaging.images import picture_to_array, read_image
from memnet_cli.imaging.picture import on_white
from memnet_cli.stores.datasets import DatasetImage
from memnet_cli.tasks import Task

#: (H, W) float32, nominally in [0, 1].
Plane = NDArray[np.float32]
#: A degraded plane, for sr already enlarged, to its restored one of the same size.
Method = Callable[[Plane], Plane]


@dataclass(frozen=True)
class ImageScore:
    """What one method reached on one image.

    Attributes:
        name: the image's name in its dataset.
        psnr: in dB.
        ssim: in [0, 1].
        seconds: wall time of the method alone.
        pixels: of the plane that it restored.
    """

    name: str
    psnr: float
    ssim: float
    seconds: float
    pixels: int


@dataclass(frozen=True)
class LevelScores:
    """What one method reached on a dataset at one level."""

    dataset: str
    task: str
    level: int
    images: tuple[ImageScore, ...]

    @property
    def psnr(self) -> float:
        """Mean PSNR over images, in dB."""
        return float(np.mean([image.psnr for image in self.images]))

    @property
    def ssim(self) -> float:
        """Mean SSIM over images."""
        return float(np.mean([image.ssim for image in self.images]))

    @property
    def seconds(self) -> float:
        """Mean seconds per image."""
        return float(np.mean([image.seconds for image in self.images]))

    @property
    def megapixels_per_second(self) -> float:
        """Pixels of all images over the time of all images."""
        seconds = sum(image.seconds for image in self.images)
        return sum(image.pixels for image in self.images) / 1e6 / max(seconds, 1e-9)


#: Told of every finished image: its score, the two planes it was made from, the restored one.
ImageDone = Callable[[ImageScore, Pair, Plane], None]


def read_uint8(image: DatasetImage) -> NDArray[np.uint8]:
    """Read the pixels of ``image``, (H, W, 1 or 3) uint8, with alpha on white.

    A deeper file is cut off and rounded.

    Raises:
        ImageError: if the file is no usable picture.
    """
    samples = picture_to_array(on_white(read_image(image.path)), np.uint8)
    return samples.astype(np.uint8, copy=False)


def evaluate(
    method: Method,
    images: Sequence[DatasetImage],
    task: Task,
    level: int,
    *,
    dataset: str = "",
    seed: int = 0,
    limit: int | None = None,
    image_done: ImageDone | None = None,
) -> LevelScores:
    """Degrade every image as the protocol says, restore it with ``method`` and score it.

    Args:
        method: degraded plane -> restored plane, both (H, W) float32.
        images: of one dataset.
        task: the damage.
        level: scale factor, sigma or quality factor.
        dataset: its catalogue name, which decides whether the images are shrunk first.
        seed: of the noise; the noise of an image depends on seed, level and its name only.
        limit: measure only the first so many images.
        image_done: called after every image.

    Raises:
        DatasetError: for an image too small for the level.
        ImageError: for a file that is no usable picture.
        UsageError: for a level out of range.
    """
    scores = []
    for image in images[:limit]:
        pixels = read_uint8(image)
        shrink = shrink_factor(dataset, task)
        check_size(image.name, pixels.shape[0] // shrink, pixels.shape[1] // shrink, task, level)
        rng = image_rng(seed, image.name, level)
        pair = prepare(pixels, task, level, rng, shrink=shrink)
        start = time.perf_counter()
        restored = method(pair.degraded.astype(np.float32))
        seconds = time.perf_counter() - start
        result = score(pair.clean, restored, task, level)
        scores.append(ImageScore(image.name, result.psnr, result.ssim, seconds, pair.clean.size))
        if image_done is not None:
            image_done(scores[-1], pair, restored)
    return LevelScores(dataset, task.name, level, tuple(scores))

"""Damaging whole pictures as the protocols damage luma, for demonstrations and own experiments."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import ImageError
from memnet_cli.imaging.degradations import add_gaussian_noise, crop_to_multiple, downscale
from memnet_cli.imaging.images import Picture, write_image
from memnet_cli.imaging.picture import as_shown
from memnet_cli.restoration.jobs import Job
from memnet_cli.tasks import Task


def picture_rng(seed: int, name: str) -> np.random.Generator:
    """Return the generator for one picture, the same whatever other pictures are done with it."""
    return np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogatepass"))])


def shrink(picture: Picture, scale: int) -> Picture:
    """Crop to a multiple of ``scale`` and shrink bicubically, alpha too; clipped to [0, 1].

    Raises:
        ImageError: for a picture with a side shorter than ``scale``.
    """
    if min(picture.height, picture.width) < scale:
        raise ImageError(
            f"A picture of {picture.width}x{picture.height} pixels is too small to shrink by "
            f"{scale}: give a larger one."
        )

    def shrunk(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.clip(downscale(crop_to_multiple(plane, scale), scale), 0, 1).astype(np.float32)

    alpha = None if picture.alpha is None else shrunk(picture.alpha)
    return replace(picture, pixels=shrunk(picture.pixels), alpha=alpha)


def add_noise(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """Add independent Gaussian noise to every channel; clipped, since files hold [0, 1] only."""
    noisy = np.clip(add_gaussian_noise(picture.pixels, sigma, rng), 0.0, 1.0)
    return replace(picture, pixels=noisy.astype(np.float32))


def degrade_to_file(picture: Picture, job: Job, task: Task, level: int, seed: int) -> int:
    """Damage a picture by ``level`` and write it; returns the bytes written.

    For jpeg the damage is the writing: libjpeg at that quality.
    """
    assert job.target is not None
    picture = as_shown(picture)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    if task.name == "jpeg":
        return write_image(picture, job.target, format="jpeg", quality=level)
    if task.name == "sr":
        damaged = shrink(picture, level)
    else:
        damaged = add_noise(picture, level, picture_rng(seed, job.relative.as_posix()))
    return write_image(damaged, job.target, format=job.format)

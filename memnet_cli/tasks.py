"""The three restoration tasks: what damages a picture, by how much, and which planes it touches."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import UsageError, did_you_mean
from memnet_cli.imaging import degradations

Plane = NDArray[np.float64]

#: The largest enlargement: above it a picture has too little to go by.
MAX_SCALE = 16.0


def distance(level: float, levels: Collection[int]) -> tuple[float, float, int]:
    """Say how well weights trained on ``levels`` go with ``level``: the least goes best.

    Those trained nearest, then the larger of two that are equally near, then those trained on
    fewest. Weights that name no levels are near to all.
    """
    nearest = min(levels or (level,), key=lambda one: (abs(one - level), -one))
    return abs(nearest - level), -nearest, len(levels)


@dataclass(frozen=True)
class Task:
    """One kind of damage and its repair.

    Attributes:
        name: what ``--task`` takes.
        title: the task in words.
        level_name: what a level of this task is called.
        levels: the levels that the papers measure.
        supported: smallest and largest level for which a picture can be degraded.
        wide: smallest and largest level that weights are trained for which name the papers' levels.
        restores: "luma" (chroma treated apart) or "colours" (luminance and colour differences).
        degrade: (clean, level, rng) -> degraded, both (H, W) float64 in [0, 1], same size; the
            protocol's exact degradation. Only denoise draws from ``rng``.
    """

    name: str
    title: str
    level_name: str
    levels: tuple[int, ...]
    supported: tuple[int, int]
    wide: tuple[int, int]
    restores: Literal["luma", "colours"]
    degrade: Callable[[Plane, int, np.random.Generator], Plane]

    def check_level(self, level: int) -> None:
        """Raise UsageError unless a picture can be degraded by ``level``."""
        low, high = self.supported
        if not low <= level <= high:
            raise UsageError(
                f"{self.level_name} {level} is out of range: {self.name} takes {low} to {high}."
            )

    def trained_range(self, levels: Collection[int]) -> tuple[int, int]:
        """Return the smallest and largest level that weights were trained for.

        ``levels`` are those that they name, if any; weights that name the papers' and no others
        were trained around them.
        """
        if not levels or set(levels) == set(self.levels):
            return self.wide
        return min(levels), max(levels)

    def check_options(self, scale: float | None, chroma: bool) -> None:
        """Raise UsageError if ``scale`` or ``chroma`` does not go with the task."""
        if self.name == "sr":
            if scale is None:
                raise UsageError("Super-resolution needs a scale factor: give --scale 2, 3 or 4.")
            if not 1.0 < scale <= MAX_SCALE:
                raise UsageError(
                    f"Scale factor {scale:g} is out of range: expected over 1 and up to "
                    f"{MAX_SCALE:g}."
                )
        elif scale is not None:
            raise UsageError(f"--scale goes with --task sr, not with --task {self.name}.")
        if chroma and self.name != "jpeg":
            raise UsageError(f"--chroma goes with --task jpeg, not with --task {self.name}.")


def _degrade_sr(clean: Plane, level: int, _rng: np.random.Generator) -> Plane:
    return degradations.bicubic_degrade(clean, level)


def _degrade_jpeg(clean: Plane, level: int, _rng: np.random.Generator) -> Plane:
    grey = np.rint(np.clip(clean, 0.0, 1.0) * 255.0).astype(np.uint8)
    return degradations.jpeg_compress(grey, level).astype(np.float64) / 255.0


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="sr",
            title="super-resolution",
            level_name="scale factor",
            levels=(2, 3, 4),
            supported=(2, 8),
            wide=(2, 4),
            restores="luma",
            degrade=_degrade_sr,
        ),
        Task(
            name="denoise",
            title="Gaussian denoising",
            level_name="noise level sigma",
            levels=(30, 50, 70),
            supported=(1, 255),
            wide=(5, 75),
            restores="colours",
            degrade=degradations.add_gaussian_noise,
        ),
        Task(
            name="jpeg",
            title="JPEG deblocking",
            level_name="quality factor",
            levels=(10, 20),
            supported=(1, 100),
            wide=(5, 40),
            restores="luma",
            degrade=_degrade_jpeg,
        ),
    )
}


def get_task(name: str) -> Task:
    """Return the task called ``name``.

    Raises:
        UsageError: for another name; the message lists the tasks.
    """
    if name not in TASKS:
        raise UsageError(
            f"There is no task '{name}'; expected one of {', '.join(TASKS)}."
            + did_you_mean(name, TASKS)
        )
    return TASKS[name]

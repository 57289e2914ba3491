"""What a run would take: tile, memory, time and disk, before anything is restored."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memnet_cli.errors import ImageError
from memnet_cli.imaging.images import picture_size
from memnet_cli.imaging.picture import PictureSize
from memnet_cli.restoration.detect import has_blocks
from memnet_cli.restoration.folder import Settings
from memnet_cli.restoration.jobs import Job
from memnet_cli.restoration.memory import overhead
from memnet_cli.restoration.picture_files import check_target, is_done
from memnet_cli.restoration.restorer import Restorer, scaled_shape

#: What an output has beside its pixels and what it takes over of the input.
_OUTPUT_HEADERS = 1 << 14
#: Sides of the planes that the speed is measured on, and how many seconds are too long for that.
_TRIAL_SIDE, _LARGER_SIDE, _LONG = 96, 320, 0.6


@dataclass(frozen=True)
class PlannedFile:
    """One picture as it would be done.

    Attributes:
        job: input and output.
        action: "restore", "skip: the output exists", or "fail".
        size: (width, height) of the output, or None.
        tile: side of the tiles in pixels, or None for the whole picture at once.
        memory: bytes on the device.
        seconds: predicted.
        disk: bytes that the output takes at most: not compressed, with all of the input beside.
        error: one sentence, if it cannot be done.
    """

    job: Job
    action: str
    size: tuple[int, int] | None = None
    tile: int | None = None
    memory: int = 0
    seconds: float = 0.0
    disk: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Forecast:
    """The whole plan."""

    files: tuple[PlannedFile, ...]
    runtime: str
    seconds_per_megapixel: float

    def lines(self) -> list[str]:
        """Return the plan for a reader, one line a picture that can be done and a total."""
        lines = [_line(file) for file in self.files if file.error is None]
        work = [file for file in self.files if file.action == "restore"]
        memory = max((file.memory for file in work), default=0)
        lines.append(
            f"{len(work)} of {len(self.files)} pictures to restore on {self.runtime}: about "
            f"{sum(file.seconds for file in work):.0f} s, {memory / 1e6:.0f} MB of memory, "
            f"at most {sum(file.disk for file in work) / 1e6:.1f} MB on disk. "
            "Nothing was written."
        )
        return lines

    def document(self) -> dict[str, object]:
        """Return the plan as a JSON document."""
        return {
            "runtime": self.runtime,
            "seconds_per_megapixel": self.seconds_per_megapixel,
            "files": [
                {
                    "input": file.job.name,
                    "output": None if file.job.target is None else str(file.job.target),
                    "action": file.action,
                    "size": file.size,
                    "tile": file.tile,
                    "memory_bytes": file.memory,
                    "seconds": file.seconds,
                    "disk_bytes_at_most": file.disk,
                    "error": file.error,
                }
                for file in self.files
            ],
        }


def _line(file: PlannedFile) -> str:
    target = file.job.target or "standard output"
    if file.size is None:
        return f"{file.job.name}: {file.action}"
    tile = "whole" if file.tile is None else f"tiles of {file.tile}"
    return (
        f"{file.job.name} -> {target}: {file.size[0]}x{file.size[1]}, {tile}, "
        f"{file.seconds:.1f} s, {file.memory / 1e6:.0f} MB"
    )


def forecast(
    jobs: Sequence[Job], settings: Settings, restorers: Mapping[str, Restorer]
) -> Forecast:
    """Predict a run. The speed is measured on one small plane; no picture is decoded."""
    speeds = {name: _seconds_per_pixel(restorer) for name, restorer in restorers.items()}
    files = tuple(_plan(job, settings, restorers, speeds) for job in jobs)
    first, restorer = next(iter(restorers.items()))
    return Forecast(files, str(restorer.engine.runtime), speeds[first] * 1e6)


def _seconds_per_pixel(restorer: Restorer) -> float:
    """Measure the speed on a small plane, or on a larger one where that does not take long.

    A small one takes up to twice as long a pixel as a picture.
    """
    pace = _pace(restorer, _TRIAL_SIDE)
    return _pace(restorer, _LARGER_SIDE) if pace * _LARGER_SIDE**2 < _LONG else pace


def _pace(restorer: Restorer, side: int) -> float:
    """Return the median of three measurements, in seconds a pixel."""
    plane = np.zeros((side, side), dtype=np.float32)
    restorer.restore_plane(plane)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        restorer.restore_plane(plane)
        times.append(time.perf_counter() - start)
    return sorted(times)[1] / plane.size


def _plan(
    job: Job, settings: Settings, restorers: Mapping[str, Restorer], speeds: Mapping[str, float]
) -> PlannedFile:
    if is_done(job, settings):
        return PlannedFile(job, "skip: the output exists")
    if job.source is None:
        return PlannedFile(job, "restore: its size is known once it is read")
    try:
        size = picture_size(job.source)
        height, width = scaled_shape(size.height, size.width, settings.scale)
        check_target(job, (height, width))
        _check_place(job)
        content = job.source.stat().st_size
    except (ImageError, OSError) as error:
        return PlannedFile(job, "fail", error=str(error))
    first, restorer = next(iter(restorers.items()))
    engine = restorer.engine
    trained = restorer.trained_scale(settings.scale)
    inner = size.height * trained, size.width * trained
    side = engine.tile_side(*inner)
    whole = side >= max(inner)
    seen = inner[0] * inner[1] if whole else side * side
    seconds = _seconds(restorer, speeds[first], inner, _planes(size, restorer, settings.chroma))
    if settings.task == "sr" and "jpeg" in restorers and has_blocks(size.jpeg_tables):
        jpeg, small = restorers["jpeg"], (size.height, size.width)
        seconds += _seconds(jpeg, speeds["jpeg"], small, _planes(size, jpeg, chroma=True))
    return PlannedFile(
        job,
        "restore",
        size=(width, height),
        tile=None if whole else side,
        memory=round(seen * engine.bytes_per_pixel * overhead(engine.runtime.device)),
        seconds=seconds,
        disk=_row_bytes(width, size) * height + content + _OUTPUT_HEADERS,
    )


def _check_place(job: Job) -> None:
    """Raise ImageError for an output that cannot be where it is to be."""
    if job.target is None:
        return
    problem = None
    try:
        job.target.lstat()
        if job.target.is_dir():
            problem = "it is a folder"
    except FileNotFoundError:
        pass
    except OSError as error:  # such as a name that is too long
        problem = error.strerror
    if problem is None:
        problem = _closed(job.target)
    if problem is not None:
        raise ImageError(f"{job.target} cannot be written: {problem}.")


def _closed(target: Path) -> str | None:
    """Say why nothing can be put below the nearest folder of ``target`` that is there, or None."""
    folder = next((parent for parent in target.absolute().parents if parent.exists()), None)
    if folder is None:  # of a drive that is not there
        return f"{target.anchor} is not there"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} may not be written to"


def _row_bytes(width: int, size: PictureSize) -> int:
    """Return the bytes of a row that is not compressed, filled up as BMP does."""
    return -(-width * size.channels * size.bit_depth // 8 // 4) * 4


def _planes(size: PictureSize, restorer: Restorer, chroma: bool) -> float:
    """Return how many planes of the picture's size are restored; a subsampled one counts less."""
    if size.channels < 3:
        return 1.0
    if restorer.task.restores == "colours":
        return 3.0
    rows, columns = size.chroma_step
    return 1.0 + 2.0 / (rows * columns) if chroma else 1.0


def _seconds(restorer: Restorer, speed: float, shape: tuple[int, int], planes: float) -> float:
    """Return how long (height, width) takes in so many planes, at ``speed`` seconds a pixel."""
    engine = restorer.engine
    side = engine.tile_side(*shape)
    covered = float(shape[0] * shape[1])
    if side < max(shape):
        covered *= (side / max(1, side - 2 * engine.overlap)) ** 2
    return covered * planes * speed * (8 if engine.tta else 1)

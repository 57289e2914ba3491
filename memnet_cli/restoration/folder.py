"""Restoring a list of pictures: read, restore in groups, write, and tell how each one went."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from memnet_cli.errors import DeviceError, ImageError
from memnet_cli.imaging.images import (
    Picture,
    encode_image,
    picture_from_array,
    read_image,
    write_image,
)
from memnet_cli.restoration.detect import Diagnosis, diagnose
from memnet_cli.restoration.jobs import Job
from memnet_cli.restoration.planes import enlarge
from memnet_cli.restoration.restorer import Restoration, Restorer

Status = Literal["restored", "unchanged", "skipped", "failed"]

_GROUP_PICTURES = 64
_DIVIDER = 4


@dataclass(frozen=True)
class Settings:
    """What to do with every picture.

    Attributes:
        task: "sr", "denoise", "jpeg" or "auto".
        scale: for sr.
        chroma: for jpeg.
        quality: of JPEG and WebP outputs, 1 to 100.
        overwrite: replace outputs that exist.
        provenance: record in the output how it was made.
        compare: folder for side-by-side pictures, or None.
        verify_tiles: measure the difference of tiled against whole.
    """

    task: str
    scale: float | None = None
    chroma: bool = False
    quality: int = 95
    overwrite: bool = False
    provenance: bool = True
    compare: Path | None = None
    verify_tiles: bool = False


@dataclass(frozen=True)
class Outcome:
    """How one picture went.

    Attributes:
        job: what was to be done.
        status: restored, unchanged (nothing to repair), skipped (output exists) or failed.
        task: the task that was used, or None.
        seconds: reading, restoring (its share of the group) and writing.
        size: (width, height) of the output, or None.
        bytes: written.
        notes: what the user should know.
        error: one sentence, if it failed.
        tile_difference: with ``verify_tiles``, the largest difference in [0, 1].
    """

    job: Job
    status: Status
    task: str | None = None
    seconds: float = 0.0
    size: tuple[int, int] | None = None
    bytes: int = 0
    notes: tuple[str, ...] = ()
    error: str | None = None
    tile_difference: float | None = None


@dataclass(frozen=True)
class _Read:
    job: Job
    picture: Picture
    diagnosis: Diagnosis
    seconds: float


def restore_folder(
    jobs: Sequence[Job], settings: Settings, restorers: Mapping[str, Restorer]
) -> Iterator[Outcome]:
    """Restore every job and yield its outcome as soon as its output is in place.

    A picture that cannot be read, restored or written fails alone. ``restorers`` has one entry
    for each task that may be needed.
    """
    # no more than fills a batch: more would only delay the first result
    limit = max(restorer.engine.batch_pixels for restorer in restorers.values())
    group: list[_Read] = []
    pixels = 0
    for job in jobs:
        if job.target is not None and job.target.exists() and not settings.overwrite:
            yield Outcome(job, "skipped", notes=("output exists",))
            continue
        read = _read(job, settings)
        if isinstance(read, Outcome):
            yield read
            continue
        group.append(read)
        pixels += round(read.picture.height * read.picture.width * (settings.scale or 1) ** 2)
        if pixels >= limit or len(group) >= _GROUP_PICTURES:
            yield from _restore_group(group, settings, restorers)
            group, pixels = [], 0
    yield from _restore_group(group, settings, restorers)


def _read(job: Job, settings: Settings) -> _Read | Outcome:
    start = time.perf_counter()
    try:
        source = io.BytesIO(sys.stdin.buffer.read()) if job.source is None else job.source
        picture = read_image(source)
        diagnosis = (
            diagnose(picture) if settings.task == "auto" else Diagnosis(settings.task, "asked for")
        )
    except (ImageError, MemoryError) as error:
        return Outcome(job, "failed", error=_sentence(error, job))
    return _Read(job, picture, diagnosis, time.perf_counter() - start)


def _sentence(error: BaseException, job: Job) -> str:
    if isinstance(error, MemoryError):
        return f"{job.name} does not fit into memory."
    return str(error)


def _restore_group(
    group: Sequence[_Read], settings: Settings, restorers: Mapping[str, Restorer]
) -> Iterator[Outcome]:
    for read in group:
        if read.diagnosis.task is None:
            yield _finish(read, Restoration(read.picture, ()), settings, None, 0.0)
    for task, restorer in restorers.items():
        members = [read for read in group if read.diagnosis.task == task]
        if members:
            yield from _restore_members(members, settings, restorer)


def _restore_members(
    members: Sequence[_Read], settings: Settings, restorer: Restorer
) -> Iterator[Outcome]:
    start = time.perf_counter()
    try:
        results = restorer.restore(
            [read.picture for read in members], scale=settings.scale, chroma=settings.chroma
        )
    except (ImageError, DeviceError, MemoryError) as error:
        if len(members) == 1:
            yield Outcome(members[0].job, "failed", error=_sentence(error, members[0].job))
            return
        # one picture spoils the group: find it by doing them one by one
        for read in members:
            yield from _restore_members([read], settings, restorer)
        return
    seconds = time.perf_counter() - start
    total = sum(read.picture.height * read.picture.width for read in members)
    for read, result in zip(members, results, strict=True):
        share = seconds * read.picture.height * read.picture.width / total
        yield _finish(read, result, settings, restorer, share)


def _finish(
    read: _Read,
    result: Restoration,
    settings: Settings,
    restorer: Restorer | None,
    seconds: float,
) -> Outcome:
    start = time.perf_counter()
    difference = None
    provenance = None
    if restorer is not None:
        if settings.verify_tiles:
            difference = restorer.verify_tiles(
                read.picture, scale=settings.scale, chroma=settings.chroma
            )
        if settings.provenance:
            provenance = restorer.provenance(scale=settings.scale, chroma=settings.chroma)
    try:
        size = _write(read.job, result.picture, settings.quality, provenance)
        if settings.compare is not None:
            _write_comparison(read, result.picture, settings.compare)
    except (ImageError, OSError) as error:
        return Outcome(read.job, "failed", error=_cannot_write(read.job, error))
    notes = list(result.notes)
    if settings.task == "auto":
        notes.insert(0, f"{read.diagnosis.task or 'unchanged'}: {read.diagnosis.reason}")
    if read.diagnosis.warning:
        notes.append(f"beware: {read.diagnosis.warning}")
    if read.picture.source.frames > 1:
        notes.append(f"first of {read.picture.source.frames} frames")
    return Outcome(
        read.job,
        "unchanged" if restorer is None else "restored",
        task=read.diagnosis.task,
        seconds=read.seconds + seconds + time.perf_counter() - start,
        size=(result.picture.width, result.picture.height),
        bytes=size,
        notes=tuple(notes),
        tile_difference=difference,
    )


def _write(job: Job, picture: Picture, quality: int, provenance: Mapping[str, str] | None) -> int:
    if job.target is None:
        data = encode_image(picture, job.format, quality=quality, provenance=provenance)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return len(data)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    return write_image(
        picture, job.target, format=job.format, quality=quality, provenance=provenance
    )


def _cannot_write(job: Job, error: ImageError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{job.target} cannot be written: {error.strerror or error}."
    return str(error)


def side_by_side(degraded: Picture, restored: Picture) -> Picture:
    """Put the degraded picture, enlarged to the same size, left of the restored one."""
    left = np.clip(enlarge(degraded, (restored.height, restored.width)).pixels, 0.0, 1.0)
    divider = np.ones((restored.height, _DIVIDER, left.shape[2]), dtype=np.float32)
    return picture_from_array(np.concatenate([left, divider, restored.pixels], axis=1))


def _write_comparison(read: _Read, restored: Picture, folder: Path) -> None:
    stem = (read.job.target or read.job.relative).stem
    target = folder / read.job.relative.with_name(f"{stem}.png")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(side_by_side(read.picture, restored), target, format="png")

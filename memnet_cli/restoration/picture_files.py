"""What is done with one picture of a folder before and after the model, all but that in threads.

Reading, diagnosing and taking apart into planes; putting together, encoding and writing.
"""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from memnet_cli.errors import ImageError
from memnet_cli.files import prepare, write_atomically
from memnet_cli.imaging.images import (
    OUTPUT_FORMATS,
    Picture,
    check_sides,
    encode_image,
    file_content,
    picture_size,
    read_image,
)
from memnet_cli.restoration.detect import Diagnosis, asked_for, before_enlarging, diagnose
from memnet_cli.restoration.jobs import Job
from memnet_cli.restoration.planes import RestoredParts, Split
from memnet_cli.restoration.restorer import Restorer, scaled_shape
from memnet_cli.restoration.side_by_side import write_side_by_side
from memnet_cli.tasks import distance

Status = Literal["restored", "unchanged", "skipped", "failed"]


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
        verify_tiles: measure the difference of tiled against whole.
    """

    task: str
    scale: float | None = None
    chroma: bool = False
    quality: int = 95
    overwrite: bool = False
    provenance: bool = True
    verify_tiles: bool = False

    def chroma_for(self, task: str) -> bool:
        """Say whether chroma is to be restored by ``task``: with "auto" where that is jpeg."""
        return self.chroma and task == "jpeg"


@dataclass(frozen=True)
class Outcome:
    """How one picture went.

    Attributes:
        job: what was to be done.
        status: restored, unchanged (nothing to repair), skipped (output exists) or failed.
        task: the task that was used, or None.
        weights: names of those that were used, in their order.
        deblocked: whether jpeg was used before it.
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
    weights: tuple[str, ...] = ()
    deblocked: bool = False
    seconds: float = 0.0
    size: tuple[int, int] | None = None
    bytes: int = 0
    notes: tuple[str, ...] = ()
    error: str | None = None
    tile_difference: float | None = None


@dataclass(frozen=True)
class Read:
    """A picture that was read, and what it needs.

    Attributes:
        job: where it is from.
        picture: as it is.
        diagnosis: its ``task`` is None where nothing is to be repaired.
        restorer: the key of what is to repair it, or None.
        parts: the picture taken apart for its task; None without one, and where it is to be
            deblocked.
        seconds: that all this took.
        content: the file, if it is to be written as it is.
    """

    job: Job
    picture: Picture
    diagnosis: Diagnosis
    restorer: str | None
    parts: Split | None
    seconds: float
    content: bytes | None = None


@dataclass(frozen=True)
class Restored:
    """What is to be written.

    Attributes:
        picture: the output, taken apart; the picture itself where nothing was to be repaired.
        degraded: the input, where it is to be shown beside the output.
        provenance: how the output was made, or None.
        outcome: what is known of it before it is written, its size at least.
        content: the file to write as it is, or None.
    """

    picture: RestoredParts | Picture
    degraded: Picture | None
    provenance: Mapping[str, str] | None
    outcome: Outcome
    content: bytes | None = None


def is_done(job: Job, settings: Settings) -> bool:
    """Say whether the output is there already and to be left as it is."""
    return job.is_done() and not settings.overwrite


def pixels_to_come(job: Job, settings: Settings) -> int:
    """Return the pixels of the output, 0 where there will be none or the input cannot tell."""
    try:
        # nothing but a file can be read twice
        if job.source is None or not job.source.is_file() or is_done(job, settings):
            return 0
        size = picture_size(job.source)
    except (ImageError, OSError, MemoryError):
        return 0
    return math.prod(scaled_shape(size.height, size.width, settings.scale))


def check_target(job: Job, shape: tuple[int, int]) -> None:
    """Raise ImageError for an output (height, width) that its format cannot hold."""
    try:
        check_sides(job.format, shape[1], shape[0])
    except ImageError as error:
        raise ImageError(f"{job.name}: {error}") from None


def read_job(job: Job, settings: Settings, restorers: Mapping[str, Restorer]) -> Read | Outcome:
    """Read, diagnose and take apart a picture, or tell why there is nothing to restore.

    Raises:
        UsageError: for a scale or option that does not go with the picture's task.
    """
    if is_done(job, settings):
        return Outcome(job, "skipped", notes=("output exists",))
    start = time.perf_counter()
    try:
        content = _content(job)
        named = None if job.source is None else job.name
        source = job.source if content is None else io.BytesIO(content)
        assert source is not None
        picture = read_image(source, name=named)
        check_target(job, scaled_shape(picture.height, picture.width, settings.scale))
        diagnosis = _diagnosed(picture, settings.task, restorers)
        restorer = _chosen(diagnosis, restorers)
        parts = None
        if restorer is not None and not diagnosis.deblock:
            chroma = settings.chroma_for(restorers[restorer].task.name)
            parts = restorers[restorer].take_apart(picture, scale=settings.scale, chroma=chroma)
        if (problem := _unwritable(job)) is not None:
            return Outcome(job, "failed", error=problem)
        if not _is_copied(job, picture, diagnosis):
            content = None
        elif content is None and job.source is not None:  # its name is that of another format
            content = file_content(job.source)
    except (ImageError, MemoryError) as error:
        return Outcome(job, "failed", error=sentence(error, job))
    seconds = time.perf_counter() - start
    return Read(job, picture, diagnosis, restorer, parts, seconds, content)


def _content(job: Job) -> bytes | None:
    """Return a file that may have to be written as it is; None of one of another format.

    A pipe gives it but once, and in its place there may be another one later.
    """
    if job.source is None:
        return sys.stdin.buffer.read()
    if job.source.is_file():
        if OUTPUT_FORMATS.get(job.source.suffix.lower()) != job.format:
            return None
        picture_size(job.source)  # tells what is no picture before it is read whole
    return file_content(job.source)


def _is_copied(job: Job, picture: Picture, diagnosis: Diagnosis) -> bool:
    """Say whether a picture is left as it is, in a file as it is, with all of its frames."""
    return diagnosis.task is None and picture.source.format == job.format.upper()


def _diagnosed(picture: Picture, task: str, restorers: Mapping[str, Restorer]) -> Diagnosis:
    if task == "sr":
        return before_enlarging(picture, deblocks="jpeg" in restorers)
    trained: dict[str, tuple[int, int]] = {}
    for restorer in restorers.values():
        name, (low, high) = restorer.task.name, restorer.trained_range
        known = trained.get(name, (low, high))
        trained[name] = min(low, known[0]), max(high, known[1])
    return diagnose(picture, trained) if task == "auto" else asked_for(picture, task, trained)


def _chosen(diagnosis: Diagnosis, restorers: Mapping[str, Restorer]) -> str | None:
    """Return the key of the restorer for a picture: of several for its task, by its quality."""
    keys = [key for key, one in restorers.items() if one.task.name == diagnosis.task]
    quality = diagnosis.quality
    if quality is None or len(keys) < 2:
        return keys[0] if keys else None
    return min(keys, key=lambda key: distance(quality, restorers[key].info.levels))


def sentence(error: BaseException, job: Job) -> str:
    """Return what to tell of an error."""
    if isinstance(error, MemoryError):
        return f"{job.name} does not fit into memory."
    return str(error)


def pixels_to_write(item: Restored | Outcome) -> int:
    """Return the pixels that wait to be written."""
    return 0 if isinstance(item, Outcome) else math.prod(item.outcome.size or ())


def write_result(item: Restored | Outcome, settings: Settings) -> Outcome:
    """Put together and write what is to be written, and complete its outcome."""
    if isinstance(item, Outcome):
        return item
    start = time.perf_counter()
    job = item.outcome.job
    try:
        picture = item.picture
        if isinstance(picture, RestoredParts):
            assert item.outcome.size is not None
            width, height = item.outcome.size
            picture = picture.together((height, width))
            size = _write(job, picture, settings.quality, item.provenance)
        else:
            size = _copy(item, picture, settings.quality)
    except (ImageError, OSError, MemoryError) as error:
        name = "Standard output" if job.target is None else str(job.target)
        return Outcome(job, "failed", error=_cannot_write(name, job, error))
    notes = item.outcome.notes
    if job.comparison is not None and item.degraded is not None:
        try:
            notes += write_side_by_side(job.comparison, item.degraded, picture, settings.overwrite)
        except (ImageError, OSError, MemoryError) as error:
            problem = _cannot_write(str(job.comparison), job, error)
            return replace(item.outcome, status="failed", bytes=size, error=problem)
    seconds = item.outcome.seconds + time.perf_counter() - start
    return replace(item.outcome, seconds=seconds, bytes=size, notes=notes)


def _write(job: Job, picture: Picture, quality: int, provenance: Mapping[str, str] | None) -> int:
    data = encode_image(picture, job.format, quality=quality, provenance=provenance)
    return _put(job, data)


def _copy(item: Restored, picture: Picture, quality: int) -> int:
    """Write a picture that is left as it is: the file itself where it is of the output's format."""
    job = item.outcome.job
    if item.content is not None:
        return _put(job, item.content)
    return _write(job, picture, quality, item.provenance)


def _put(job: Job, data: bytes) -> int:
    if job.target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(job.target, data)
    return len(data)


def _unwritable(job: Job) -> str | None:
    """Return why the output could not be written, before the model works for nothing."""
    try:
        if job.target is not None:
            prepare(job.target)
    except OSError as error:
        return _cannot_write(str(job.target), job, error)
    return None


def _cannot_write(name: str, job: Job, error: ImageError | OSError | MemoryError) -> str:
    if isinstance(error, OSError):
        return f"{name} cannot be written: {error.strerror or error}."
    return sentence(error, job)

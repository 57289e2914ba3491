"""Restoring a list of pictures: read, restore in groups, write, and tell how each one went.

The model runs in the thread of whoever takes the outcomes. Other threads meanwhile read the
pictures of the next group and write those of the last one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from memnet_cli.errors import DeviceError, ImageError
from memnet_cli.imaging.images import Picture
from memnet_cli.imaging.png_colours import are_common
from memnet_cli.restoration.jobs import Job
from memnet_cli.restoration.picture_files import (
    Outcome,
    Read,
    Restored,
    Settings,
    pixels_to_come,
    pixels_to_write,
    read_job,
    sentence,
    write_result,
)
from memnet_cli.restoration.pipeline import Bound, read_ahead, write_behind
from memnet_cli.restoration.planes import RestoredParts, Split
from memnet_cli.restoration.restorer import WRITTEN_ANEW, Restoration, Restorer, scaled_shape

__all__ = ["FileThreads", "Outcome", "Settings", "file_threads", "restore_folder"]

_GROUP_PICTURES = 64
#: So far beyond black and white bicubic resizing may come.
_OVERSHOOT = 0.15
#: What is read or waits beside the group in the model, and again what is written or waits behind
#: it: two groups of small pictures, and pixels of at most 60 bytes each (the picture, the same in
#: another colour space, its planes). A CPU takes a minute for so many and shares its memory with
#: the model; a GPU takes a second.
_WAITING_PICTURES = 2 * _GROUP_PICTURES
_WAITING_PIXELS = {"cpu": 1 << 22}
_WAITING_PIXELS_ELSEWHERE = 1 << 25
#: CPUs that restore pictures so fast that one thread might not keep up with them.
_MANY_CORES = 16


@dataclass(frozen=True)
class FileThreads:
    """How many threads read and diagnose, and how many encode and write."""

    readers: int
    writers: int


def file_threads(device_type: str, cores: int | None) -> FileThreads:
    """Choose the threads for files.

    Reading or writing a megapixel takes a core 0.05 to 0.2 s. A CPU restores it in 40 s (2 cores)
    to 1 s, with all cores, so that one thread suffices and takes nothing from the model. A GPU
    takes 25 ms for it: a quarter of the cores read and half of them write, up to 4 and 8.
    """
    cores = cores or 1
    if device_type == "cpu":
        number = 2 if cores >= _MANY_CORES else 1
        return FileThreads(number, number)
    return FileThreads(min(max(cores // 4, 1), 4), min(max(cores // 2, 1), 8))


def restore_folder(
    jobs: Sequence[Job],
    settings: Settings,
    restorers: Mapping[str, Restorer],
    *,
    threads: FileThreads | None = None,
    untold: list[Outcome] | None = None,
) -> Generator[Outcome, None, None]:
    """Restore every job and yield its outcome once its output is in place, in order of restoring.

    A picture that cannot be read, restored or written fails alone. ``restorers`` has an entry
    called as each task that may be needed; with one for jpeg behind that for sr, JPEGs of a quality
    that shows are deblocked before they are enlarged. Of several for jpeg each JPEG is given to the
    one whose weights were trained nearest to its quality. ``threads`` is by default chosen for
    device and cores.

    An output that is written while the model is at the next group is told after that group, or
    at once if it takes a hundredth of the last group's time or less. Closing the generator stops
    the threads after the pictures that they are at; every output is there whole or not at all.
    ``untold`` is given the outcomes of those that were written and not yielded by then.
    """
    device = next(iter(restorers.values())).engine.runtime.device.type
    threads = threads or file_threads(device, os.cpu_count())
    # no more than fills a batch: more would only delay the first result
    limit = max(restorer.engine.batch_pixels for restorer in restorers.values())
    bound = Bound(_WAITING_PICTURES, _WAITING_PIXELS.get(device, _WAITING_PIXELS_ELSEWHERE))
    read = partial(read_job, settings=settings, restorers=restorers)
    with closing(_read_all(jobs, read, settings, threads.readers, bound)) as reads:
        batches = _restore_groups(reads, limit, settings, restorers)
        writing = _write_all(batches, jobs, settings, threads.writers, bound, untold)
        with closing(writing) as outcomes:
            yield from outcomes


def _read_all(
    jobs: Sequence[Job],
    read: Callable[[Job], Read | Outcome],
    settings: Settings,
    threads: int,
    bound: Bound,
) -> Generator[Read | Outcome, None, None]:
    if any(job.source is None for job in jobs):
        # a thread that hangs on standard input could not be stopped
        return (read(job) for job in jobs)
    weigh = partial(pixels_to_come, settings=settings)
    return read_ahead(jobs, read, threads=threads, weigh=weigh, bound=bound)


def _write_all(
    batches: Iterable[Sequence[Restored | Outcome]],
    jobs: Sequence[Job],
    settings: Settings,
    threads: int,
    bound: Bound,
    untold: list[Outcome] | None,
) -> Generator[Outcome, None, None]:
    write = partial(write_result, settings=settings)
    if any(job.target is None for job in jobs):
        # nor could one that hangs on standard output
        return (write(item) for batch in batches for item in batch)
    return write_behind(
        batches, write, threads=threads, weigh=pixels_to_write, bound=bound, untold=untold
    )


def _restore_groups(
    reads: Iterable[Read | Outcome],
    limit: int,
    settings: Settings,
    restorers: Mapping[str, Restorer],
) -> Iterator[Sequence[Restored | Outcome]]:
    """Yield what comes of the reads in batches, each as soon as the model is through with it."""
    group: list[Read] = []
    pixels = 0
    for read in reads:
        if isinstance(read, Outcome):
            yield [read]
            continue
        group.append(read)
        shape = scaled_shape(read.picture.height, read.picture.width, settings.scale)
        pixels += math.prod(shape)
        del read
        if pixels >= limit or len(group) >= _GROUP_PICTURES:
            yield from _restore_group(group, settings, restorers)
            group, pixels = [], 0
    yield from _restore_group(group, settings, restorers)


def _restore_group(
    group: Sequence[Read], settings: Settings, restorers: Mapping[str, Restorer]
) -> Iterator[Sequence[Restored | Outcome]]:
    yield [
        _restored(read, read.picture, (), settings, restorers, 0.0)
        for read in group
        if read.restorer is None
    ]
    for key, restorer in restorers.items():
        members = [read for read in group if read.restorer == key]
        if members:
            yield from _restore_members(members, settings, restorer, restorers)


def _restore_members(
    members: Sequence[Read],
    settings: Settings,
    restorer: Restorer,
    restorers: Mapping[str, Restorer],
) -> Iterator[Sequence[Restored | Outcome]]:
    start = time.perf_counter()
    try:
        taken = _taken_apart(members, settings, restorer, restorers)
        results = restorer.restore_parts([parts for parts, _ in taken])
        # each has its share of the time by pixels
        pace = (time.perf_counter() - start) / sum(_pixels(read.picture) for read in members)
        batch = [
            _restored(
                read, done, before + done.notes, settings, restorers, pace * _pixels(read.picture)
            )
            for read, (_, before), done in zip(members, taken, results, strict=True)
        ]
    except (ImageError, DeviceError, MemoryError) as error:
        failure = sentence(error, members[0].job)
    else:
        yield batch
        return
    if len(members) == 1:
        yield [Outcome(members[0].job, "failed", error=failure)]
        return
    # one picture spoils the group: find it by doing them one by one
    for read in members:
        yield from _restore_members([read], settings, restorer, restorers)


def _taken_apart(
    members: Sequence[Read],
    settings: Settings,
    restorer: Restorer,
    restorers: Mapping[str, Restorer],
) -> list[tuple[Split, tuple[str, ...]]]:
    """Return the pictures taken apart, with what is to be told of deblocking them first."""
    deblocked = _deblocked([read for read in members if read.parts is None], restorers)
    taken: list[tuple[Split, tuple[str, ...]]] = []
    for read in members:
        if read.parts is not None:
            taken.append((read.parts, ()))
        else:
            done = next(deblocked)
            taken.append((restorer.take_apart(done.picture, scale=settings.scale), done.notes))
    return taken


def _deblocked(reads: Sequence[Read], restorers: Mapping[str, Restorer]) -> Iterator[Restoration]:
    if reads:
        jpeg = restorers["jpeg"]
        parts = [jpeg.take_apart(read.picture, chroma=True) for read in reads]
        for read, done in zip(reads, jpeg.restore_parts(parts), strict=True):
            whole = done.together((read.picture.height, read.picture.width))
            yield Restoration(whole, done.notes)


def _pixels(picture: Picture) -> int:
    return picture.height * picture.width


def _restored(
    read: Read,
    picture: RestoredParts | Picture,
    notes: tuple[str, ...],
    settings: Settings,
    restorers: Mapping[str, Restorer],
    seconds: float,
) -> Restored:
    """Say what is to be written and told; a picture without a task is left as it is.

    With ``verify_tiles`` the model runs twice more.
    """
    start = time.perf_counter()
    difference = None
    provenance: Mapping[str, str] | None = None
    if settings.provenance:  # of nothing that is done here
        provenance = dict(read.picture.source.record) or WRITTEN_ANEW
    diagnosis = read.diagnosis
    used: list[Restorer] = []
    if read.restorer is not None:
        restorer = restorers[read.restorer]
        before = restorers["jpeg"] if diagnosis.deblock else None
        used = [restorer] if before is None else [before, restorer]
        chroma = settings.chroma_for(restorer.task.name)
        if settings.verify_tiles:
            difference = restorer.verify_tiles(read.picture, scale=settings.scale, chroma=chroma)
        if settings.provenance:
            provenance = restorer.provenance(scale=settings.scale, chroma=chroma, before=before)
    height, width = scaled_shape(read.picture.height, read.picture.width, settings.scale)
    outcome = Outcome(
        read.job,
        "unchanged" if diagnosis.task is None else "restored",
        task=diagnosis.task,
        weights=tuple(one.weights.stem for one in used),
        deblocked=diagnosis.deblock,
        seconds=read.seconds + seconds + time.perf_counter() - start,
        size=(width, height),
        notes=_notes(read, notes, settings),
        tile_difference=difference,
    )
    degraded = None if read.job.comparison is None else read.picture
    return Restored(picture, degraded, provenance, outcome, read.content)


def _notes(read: Read, notes: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """Return ``notes`` of the model with those of the picture."""
    diagnosis = read.diagnosis
    if settings.task == "auto":
        notes = (f"{diagnosis.task or 'unchanged'}: {diagnosis.reason}", *notes)
    if diagnosis.deblock:
        notes = (f"deblocked first: {diagnosis.reason}", *notes)
    if diagnosis.warning:
        notes += (f"beware: {diagnosis.warning}",)
    source = read.picture.source
    low, high = float(read.picture.pixels.min()), float(read.picture.pixels.max())
    if source.format != "JPEG" and min(low, 1.0 - high) < -_OVERSHOOT:
        notes += (
            f"beware: values from {low:.2f} to {high:.2f}, of 0 to 1, are not cut off before, "
            "which is right for noise alone",
        )
    if read.job.format != "png" and not are_common(source.png_colours, bool(source.icc_profile)):
        told = " and ".join(name.decode() for name, _ in source.png_colours)
        notes += (
            f"beware: {told} of the PNG say what its colours are, and {read.job.format} "
            "has no place for them: write a PNG",
        )
    if source.frames > 1 and read.content is None:
        notes += (f"first of {source.frames} frames",)
    return notes

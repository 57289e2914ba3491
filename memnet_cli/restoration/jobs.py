"""Which pictures are to be restored and where each result goes; nothing is written here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memnet_cli.errors import ImageError, UsageError, did_you_mean
from memnet_cli.imaging.images import OUTPUT_FORMATS, read_provenance
from memnet_cli.restoration.inputs import (
    STREAM,
    Found,
    find_pictures,
    foreign_pictures,
    real_path,
    same_file,
)

__all__ = ["STREAM", "Job", "Naming", "format_of", "plan_jobs"]

_ENDINGS = {"jpeg": ".jpg", "tiff": ".tif", "png": ".png", "webp": ".webp", "bmp": ".bmp"}


@dataclass(frozen=True)
class Job:
    """One picture to restore.

    Attributes:
        source: the file, or None for standard input.
        relative: the path below the folder that was named, kept below the output folder.
        target: the file to write, or None for standard output.
        format: of the output: "png", "jpeg", "webp", "tiff" or "bmp".
        comparison: the file to show input and output in side by side, or None.
    """

    source: Path | None
    relative: Path
    target: Path | None
    format: str
    comparison: Path | None = None

    @property
    def name(self) -> str:
        """What to call the picture in messages."""
        return "standard input" if self.source is None else str(self.source)

    def is_done(self) -> bool:
        """Say whether the output exists; what keeps that from being told is told by writing it."""
        try:
            target = self.target
            return target is not None and target.exists() and not target.is_dir()
        except OSError:
            return False


@dataclass(frozen=True)
class Naming:
    """How outputs are named.

    Attributes:
        format: asked for with ``--format``; None takes that of the output's name, else PNG.
        suffix: put between stem and dot; ``{ext}``, ``{task}`` and ``{scale}`` are filled in.
        task: for ``{task}``.
        scale: for ``{scale}``.
    """

    format: str | None = None
    suffix: str = ""
    task: str = ""
    scale: float | None = None

    def output_format(self, output: Path | None) -> str:
        """Return the format to write; ``output`` is the named output file, if one was named."""
        if self.format is not None:
            return format_of(self.format)
        if output is not None and output.suffix:
            return format_of(output.suffix)
        return "png"

    def output_name(self, relative: Path, format_name: str) -> Path:
        """Return the relative path of the output for the input at ``relative``."""
        extension = relative.suffix.lstrip(".").lower()
        scale = "" if self.scale is None else f"{self.scale:g}"
        try:
            suffix = self.suffix.format(ext=extension, task=self.task, scale=scale)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            raise UsageError(
                f"The suffix '{self.suffix}' cannot be filled in: "
                "it may hold {ext}, {task} and {scale}."
            ) from None
        name = f"{relative.stem}{suffix}{_ENDINGS[format_name]}"
        if Path(name).name != name:
            raise UsageError(
                f"The suffix '{self.suffix}' names a folder: give the output folder last instead."
            )
        return relative.with_name(name)


def format_of(name: str) -> str:
    """Return the output format for a name or suffix such as "jpg", ".tif" or "PNG".

    Raises:
        UsageError: for a format that cannot be written.
    """
    suffix = "." + name.lower().lstrip(".")
    if suffix not in OUTPUT_FORMATS:
        known = sorted({ending.lstrip(".") for ending in OUTPUT_FORMATS})
        raise UsageError(
            f"Pictures cannot be written as '{name}': expected one of {', '.join(known)}."
            + did_you_mean(suffix.lstrip("."), known)
        )
    return OUTPUT_FORMATS[suffix]


def plan_jobs(
    inputs: Sequence[str],
    output: str,
    *,
    recursive: bool,
    naming: Naming,
    compare: Path | None = None,
    overwrite: bool = False,
) -> tuple[Job, ...]:
    """List what is to be done, sorted by path.

    An input is a picture, a folder, a glob pattern or "-". The output is a folder if it exists as
    one, ends with a slash, has no suffix, or if there may be several pictures. ``compare``
    is the folder for pictures of input and output side by side, or None.

    A picture in the place of another one's output is no input: it is an earlier run's. With
    ``overwrite``, which would lose it, only where it has the record of that.

    Raises:
        UsageError: for an input that is not there or holds no pictures, for two pictures with one
            output, for an output that is an input, for a side-by-side picture that is either, for
            a name that is of another format, or for streams mixed with files.
    """
    if STREAM in inputs and len(inputs) > 1:
        raise UsageError("Standard input ('-') is one picture: give no other input beside it.")
    own = [Path(output)] if output != STREAM else []
    try:
        found = find_pictures(inputs, [*own, *([compare] if compare else [])], recursive)
        if not found:
            more = "" if recursive else " (--recursive looks into sub-folders too)"
            foreign = formats_passed_over(inputs, recursive)
            other = f", only {foreign}" if foreign else ""
            raise UsageError(f"There is no picture in {', '.join(inputs)}{more}{other}.")
        jobs = _jobs(found, inputs, output, naming)
        jobs = tuple(_with_comparison(job, compare) for job in jobs)
    except OSError as error:
        place = error.filename or "The current folder"
        raise UsageError(f"{place} cannot be reached: {error.strerror}.") from None
    jobs = _without_outputs(jobs, inputs, overwrite)
    _check_targets(jobs)
    return jobs


def formats_passed_over(inputs: Sequence[str], recursive: bool) -> str:
    """Say how many pictures in the folders among the inputs are of formats that are not read.

    Such as "3 of formats that are not read (.cr2, .heic)"; empty without any.
    """
    try:
        foreign = foreign_pictures(inputs, recursive)
    except OSError:
        return ""  # told where the pictures are looked for
    formats = ", ".join(sorted({path.suffix.lower() for path in foreign}))
    return f"{len(foreign)} of formats that are not read ({formats})" if foreign else ""


def _without_outputs(
    jobs: Sequence[Job], inputs: Sequence[str], overwrite: bool
) -> tuple[Job, ...]:
    """Leave out inputs that are outputs of others, from an earlier run into the same folder.

    What may be there by another hand has no record of how it was restored, and stays an input
    where it was named itself or would be written over.
    """
    made = Counter(_place(job.target) for job in jobs if job.target is not None)
    named = {_place(Path(text)) for text in inputs}
    return tuple(job for job in jobs if not _is_output(job, made, named, overwrite))


def _is_output(job: Job, made: Mapping[str, int], named: Collection[str], overwrite: bool) -> bool:
    """Say whether the input of a job is the output of another, and is to be left out as such.

    ``made`` is how many jobs have an output in a place.
    """
    if job.source is None:
        return False
    place = _place(job.source)
    own = job.target is not None and _place(job.target) == place
    if made.get(place, 0) <= own:
        return False
    return _is_ours(job.source) or not (own or overwrite or place in named)


def _place(path: Path) -> str:
    """Return where a name is, whatever it links to."""
    return os.path.join(real_path(path.parent), path.name)  # noqa: PTH118


def _is_ours(path: Path) -> bool:
    """Say whether a picture has the record of having been restored here."""
    try:
        return bool(read_provenance(path))
    except ImageError:
        return False


def _jobs(
    found: Sequence[Found], inputs: Sequence[str], output: str, naming: Naming
) -> tuple[Job, ...]:
    if output == STREAM:
        return (_stream_job(found, naming),)
    several = len(found) > 1 or any(_is_many(text) for text in inputs)
    return tuple(_file_jobs(found, Path(output), _is_folder(output, several), naming))


def _stream_job(found: Sequence[Found], naming: Naming) -> Job:
    if len(found) > 1:
        raise UsageError(
            f"Standard output ('-') takes one picture, but there are {len(found)}: "
            "give an output folder."
        )
    source, relative = found[0]
    return Job(source, relative, None, naming.output_format(None))


def _is_many(text: str) -> bool:
    return text != STREAM and (Path(text).is_dir() or not Path(text).exists())


def _is_folder(output: str, several: bool) -> bool:
    path = Path(output)
    named = path.suffix.lower() in OUTPUT_FORMATS and not output.endswith(("/", os.sep))
    if several and named and not path.exists():
        raise UsageError(
            f"Several pictures need an output folder, but {output} is named as a picture: "
            f"end it with {os.sep} if it is to be a folder."
        )
    if several and path.is_file():
        raise UsageError(f"Several pictures need an output folder, but {output} is a file.")
    if path.is_file() and not path.suffix:
        raise UsageError(
            f"{output} is a file, and its name does not say of which format: expected a folder, or "
            "a name that ends in .png or another format."
        )
    if several or path.is_dir() or output.endswith(("/", os.sep)):
        return True
    return not path.suffix


def _file_jobs(
    found: Iterable[Found], output: Path, is_folder: bool, naming: Naming
) -> Iterator[Job]:
    for source, relative in found:
        format_name = naming.output_format(None if is_folder else output)
        named = None if is_folder else OUTPUT_FORMATS.get(output.suffix.lower())
        if named not in (None, format_name):
            raise UsageError(
                f"{output} is named as {named.upper()} and would be written as "
                f"{format_name.upper()}: let its name end in {_ENDINGS[format_name]}."
            )
        target = output / naming.output_name(relative, format_name) if is_folder else output
        yield Job(source, relative, target, format_name)


def _with_comparison(job: Job, folder: Path | None) -> Job:
    if folder is None:
        return job
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Side-by-side pictures need a folder, but {folder} is a file.")
    stem = (job.target or job.relative).stem
    return replace(job, comparison=folder / job.relative.with_name(f"{stem}.png"))


def _check_targets(jobs: Iterable[Job]) -> None:
    taken: dict[str, Job] = {}
    sources = {same_file(job.source) for job in jobs if job.source is not None}
    targets = {same_file(job.target) for job in jobs if job.target is not None}
    for job in jobs:
        if job.comparison is not None and same_file(job.comparison) in sources | targets:
            raise UsageError(
                f"The side-by-side picture {job.comparison} would take the place of an input or "
                "output: give another folder."
            )
        if job.target is None:
            continue
        if same_file(job.target) in sources:
            raise UsageError(
                f"{job.target} is itself one of the inputs and would be overwritten: "
                "give another output folder, or --suffix."
            )
        # two names that differ in case only are one file on macOS and Windows
        earlier = taken.setdefault(str(job.target).lower(), job)
        if earlier is not job:
            alike = earlier.relative.suffix.lower() == job.relative.suffix.lower()
            way = "" if alike else "--suffix '_{ext}', or "
            raise UsageError(
                f"{earlier.name} and {job.name} would both become {job.target}: "
                f"give {way}two output folders in two calls."
            )

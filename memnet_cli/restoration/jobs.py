"""Which pictures are to be restored and where each result goes; nothing is read or written here."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memnet_cli.errors import UsageError, did_you_mean
from memnet_cli.imaging.images import OUTPUT_FORMATS, is_picture_name

#: Stands for standard input or standard output.
STREAM = "-"


@dataclass(frozen=True)
class Job:
    """One picture to restore.

    Attributes:
        source: the file, or None for standard input.
        relative: the path below the folder that was named, kept below the output folder.
        target: the file to write, or None for standard output.
        format: of the output: "png", "jpeg", "webp" or "tiff".
    """

    source: Path | None
    relative: Path
    target: Path | None
    format: str

    @property
    def name(self) -> str:
        """What to call the picture in messages."""
        return "standard input" if self.source is None else str(self.source)


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
        except (KeyError, IndexError, ValueError):
            raise UsageError(
                f"The suffix '{self.suffix}' cannot be filled in: "
                "it may hold {ext}, {task} and {scale}."
            ) from None
        ending = {"jpeg": ".jpg", "tiff": ".tif"}.get(format_name, f".{format_name}")
        return relative.with_name(f"{relative.stem}{suffix}{ending}")


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
    inputs: Sequence[str], output: str, *, recursive: bool, naming: Naming
) -> tuple[Job, ...]:
    """List what is to be done, sorted by path.

    An input is a picture, a folder, a glob pattern or "-". The output is a folder if it exists as
    one, ends with a slash, has no picture suffix, or if there may be several pictures.

    Raises:
        UsageError: for an input that is not there or holds no pictures, for two pictures with one
            output, for an output that is an input, or for streams mixed with files.
    """
    if STREAM in inputs and len(inputs) > 1:
        raise UsageError("Standard input ('-') is one picture: give no other input beside it.")
    found = list(dict.fromkeys(_found(inputs, output, recursive)))
    if not found:
        more = "" if recursive else " (--recursive looks into sub-folders too)"
        raise UsageError(f"There is no picture in {', '.join(inputs)}{more}.")
    if output == STREAM:
        if len(found) > 1:
            raise UsageError(
                f"Standard output ('-') takes one picture, but there are {len(found)}: "
                "give an output folder."
            )
        source, relative = found[0]
        return (Job(source, relative, None, naming.output_format(None)),)
    several = len(found) > 1 or any(_is_many(text) for text in inputs)
    jobs = tuple(_file_jobs(found, Path(output), _is_folder(output, several), naming))
    _check_targets(jobs)
    return jobs


def _is_many(text: str) -> bool:
    return text != STREAM and (Path(text).is_dir() or not Path(text).exists())


def _is_folder(output: str, several: bool) -> bool:
    path = Path(output)
    if several and path.is_file():
        raise UsageError(f"Several pictures need an output folder, but {output} is a file.")
    if several or path.is_dir() or output.endswith(("/", os.sep)):
        return True
    return path.suffix.lower() not in OUTPUT_FORMATS and not path.suffix


def _found(
    inputs: Iterable[str], output: str, recursive: bool
) -> Iterator[tuple[Path | None, Path]]:
    """Yield (file, relative path) of every picture."""
    own = Path(output).resolve() if output != STREAM else None
    for text in inputs:
        path = Path(text)
        if text == STREAM:
            yield None, Path("stdin.png")
        elif path.is_dir():
            yield from ((file, file.relative_to(path)) for file in _walk(path, recursive, own))
        elif path.exists():
            yield path, Path(path.name)
        elif glob.has_magic(text):
            yield from _matches(text, recursive, own)
        else:
            raise UsageError(f"There is no file or folder {text}: give pictures that exist.")


def _matches(pattern: str, recursive: bool, own: Path | None) -> Iterator[tuple[Path, Path]]:
    fixed = Path(*_before_magic(Path(pattern)))
    # Path.glob takes no absolute patterns and would match hidden files
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207
        path = Path(match)
        if path.is_dir() and recursive:
            yield from ((file, file.relative_to(fixed)) for file in _walk(path, True, own))
        elif path.is_file() and is_picture_name(path):
            yield path, path.relative_to(fixed)


def _before_magic(pattern: Path) -> Iterator[str]:
    for part in pattern.parts:
        if glob.has_magic(part):
            return
        yield part


def _walk(folder: Path, recursive: bool, own: Path | None) -> Iterator[Path]:
    """Yield the pictures in a folder, sorted, without hidden folders and the output folder."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be read: {error.strerror}.") from None
    for entry in entries:
        if entry.is_dir():
            hidden = entry.name.startswith(".")
            inside = own is not None and entry.resolve() == own
            if recursive and not hidden and not inside and not entry.is_symlink():
                yield from _walk(entry, recursive, own)
        elif is_picture_name(entry):
            yield entry


def _file_jobs(
    found: Iterable[tuple[Path | None, Path]], output: Path, is_folder: bool, naming: Naming
) -> Iterator[Job]:
    for source, relative in found:
        format_name = naming.output_format(None if is_folder else output)
        target = output / naming.output_name(relative, format_name) if is_folder else output
        yield Job(source, relative, target, format_name)


def _check_targets(jobs: Iterable[Job]) -> None:
    taken: dict[str, Job] = {}
    sources = {job.source.resolve() for job in jobs if job.source is not None}
    for job in jobs:
        assert job.target is not None
        if job.target.resolve() in sources:
            raise UsageError(
                f"{job.target} is itself one of the inputs and would be overwritten: "
                "give another output folder, or --suffix."
            )
        # two names that differ in case only are one file on macOS and Windows
        earlier = taken.setdefault(str(job.target).casefold(), job)
        if earlier is not job:
            raise UsageError(
                f"{earlier.name} and {job.name} would both become {job.target}: "
                "tell them apart with --suffix '_{ext}', or restore them into two folders."
            )

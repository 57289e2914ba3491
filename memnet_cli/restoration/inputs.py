"""Which pictures are meant by what was given on the command line; nothing is read here."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from memnet_cli.errors import UsageError
from memnet_cli.imaging.images import is_picture_name

#: Stands for standard input or standard output.
STREAM = "-"
#: Stands below a folder that cannot be listed, which fails as a picture that cannot be read does.
_UNLISTED = Path("(unreadable)")

#: Pictures that are not read, and that nobody should believe restored.
_FOREIGN = {
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".psd", ".xcf"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
}

Found = tuple[Path | None, Path]


def real_path(path: Path) -> str:
    """Return where a path leads, as far as it does: links that go in circles lead nowhere."""
    return os.path.realpath(path)


def same_file(path: Path) -> str | tuple[int, int]:
    """Return what two names of one file share: a file that is there is known by its inode.

    Two names that differ in case only are one file on macOS, and on many memory cards.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return real_path(path)
    return (status.st_dev, status.st_ino) if status.st_ino else real_path(path)


def find_pictures(inputs: Sequence[str], outputs: Sequence[Path], recursive: bool) -> list[Found]:
    """Return (file, or None for standard input, and its relative path) of every picture, once.

    An input is a picture, a folder, a glob pattern or "-". Folders of ``outputs`` that a folder or
    pattern comes upon are left out; one that is itself named is not.

    Raises:
        UsageError: for an input that is not there.
        OSError: for one that cannot be reached.
    """
    own = frozenset(map(real_path, outputs))
    found = _found(inputs, own, recursive)
    once = {(file and same_file(file), relative): (file, relative) for file, relative in found}
    return list(once.values())


def foreign_pictures(inputs: Sequence[str], recursive: bool) -> tuple[Path, ...]:
    """Return the pictures in folders of ``inputs`` whose formats are not read: HEIC, raw and such.

    Raises:
        OSError: for a folder that cannot be reached.
    """
    folders = [Path(text) for text in inputs if text != STREAM and Path(text).is_dir()]
    found = (_walk(folder, (), recursive, _is_foreign) for folder in folders)
    return tuple(entry for entries in found for entry in entries if not _is_folder(entry))


def _found(inputs: Sequence[str], own: Collection[str], recursive: bool) -> Iterator[Found]:
    for text in inputs:
        path = Path(text)
        if text == STREAM:
            yield None, Path("stdin.png")
        elif path.is_dir():
            yield from _below(path, path, own, recursive)
        elif path.exists():
            yield path, Path(path.name)
        elif glob.has_magic(text):
            yield from _matches(text, own, recursive)
        else:
            raise UsageError(f"There is no file or folder {text}: give pictures that exist.")


def _matches(pattern: str, own: Collection[str], recursive: bool) -> Iterator[Found]:
    fixed = Path(*_before_magic(Path(pattern)))
    start = Path(real_path(fixed))
    # an output folder is left out where the pattern comes upon it, not where it names it
    inside = {folder for folder in own if start in Path(folder).parents}
    # Path.glob takes no absolute patterns and would match hidden files
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207
        path = Path(match)
        if (inside and _is_in(path, inside)) or ("**" in pattern and _is_linked(path, fixed)):
            continue
        if path.is_dir() and recursive:
            yield from _below(path, fixed, own, recursive)
        elif path.is_file() and is_picture_name(path):
            yield path, path.relative_to(fixed)


def _is_linked(path: Path, fixed: Path) -> bool:
    """Say whether a match is in a folder that a link leads to, perhaps in circles."""
    return any(folder.is_symlink() for folder in path.parents if fixed in folder.parents)


def _is_in(path: Path, folders: Collection[str]) -> bool:
    real = Path(real_path(path))
    return any(str(folder) in folders for folder in (real, *real.parents))


def _before_magic(pattern: Path) -> Iterator[str]:
    for part in pattern.parts:
        if glob.has_magic(part):
            return
        yield part


def _below(folder: Path, base: Path, own: Collection[str], recursive: bool) -> Iterator[Found]:
    for file in _walk(folder, own, recursive, _is_picture):
        yield file, (file / _UNLISTED if _is_folder(file) else file).relative_to(base)


def _walk(
    folder: Path, own: Collection[str], recursive: bool, wanted: Callable[[Path], bool]
) -> Iterator[Path]:
    """Yield the wanted files in a folder, sorted, without hidden folders and output folders.

    A folder below it that cannot be listed is yielded itself.
    """
    for entry in sorted(folder.iterdir()):
        if _is_folder(entry):
            hidden = entry.name.startswith(".")
            if recursive and not hidden and not entry.is_symlink() and real_path(entry) not in own:
                try:
                    yield from _walk(entry, own, recursive, wanted)
                except OSError:
                    yield entry
        elif wanted(entry):
            yield entry


def _is_picture(path: Path) -> bool:
    return is_picture_name(path) and _may_be_read(path)


def _is_foreign(path: Path) -> bool:
    return path.suffix.lower() in _FOREIGN and not path.name.startswith(".")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # in a folder that may be listed and not entered
        return False


def _may_be_read(path: Path) -> bool:
    """Say whether this is no pipe or device, which would be waited for; trouble is told later."""
    try:
        return path.is_file() or not path.exists()
    except OSError:
        return True

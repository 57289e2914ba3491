"""The field's image sets by name: where they lie, or how they get there.

The catalogue (datasets.json) pins every file by an address with a commit, its sha256 and its
size. Nothing is shipped: sets are downloaded once into the user's cache, or found where the user
has them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from platformdirs import user_cache_path

from memnet_cli.errors import DatasetError, DownloadError, did_you_mean
from memnet_cli.imaging.images import is_picture_name
from memnet_cli.stores.downloads import (
    DEFAULT_PATIENCE,
    Expected,
    Patience,
    download,
    file_sha256,
    is_sound,
    join_address,
)

#: Told (bytes so far, bytes in all) while a set is downloaded.
SetProgress = Callable[[int, int | None], None]

DATA_VARIABLE = "MEMNET_DATA"
MIRROR_VARIABLE = "MEMNET_DATA_MIRROR"


@dataclass(frozen=True)
class DatasetFile:
    """One file of the catalogue: path below the host, sha256 and bytes."""

    path: str
    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class DatasetEntry:
    """One image set.

    Attributes:
        name: as the papers call it.
        role: "train" or "test".
        note: what it is.
        source: who made it and on what terms.
        tasks: that it is a benchmark for.
        files: in the order of the catalogue.
    """

    name: str
    role: str
    note: str
    source: str
    tasks: tuple[str, ...]
    files: tuple[DatasetFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class DatasetImage:
    """One image on disk; ``sha256`` is of the file's content."""

    name: str
    path: Path
    sha256: str | None


@dataclass(frozen=True)
class _Catalogue:
    host: str
    entries: tuple[DatasetEntry, ...]


@lru_cache(maxsize=1)
def _catalogue() -> _Catalogue:
    text = resources.files("memnet_cli.stores").joinpath("datasets.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    entries = tuple(
        DatasetEntry(
            name=name,
            role=entry["role"],
            note=entry["note"],
            source=entry["source"],
            tasks=tuple(entry["tasks"]),
            files=tuple(DatasetFile(*file) for file in entry["files"]),
        )
        for name, entry in document["datasets"].items()
    )
    return _Catalogue(document["host"], entries)


def dataset_names() -> tuple[str, ...]:
    """Return the names of the catalogue."""
    return tuple(entry.name for entry in _catalogue().entries)


def get_dataset(name: str) -> DatasetEntry:
    """Return the set called ``name``, in any case.

    Raises:
        DatasetError: for another name; the message lists the names, the nearest first.
    """
    for entry in _catalogue().entries:
        if entry.name.casefold() == name.casefold():
            return entry
    known = dataset_names()
    raise DatasetError(
        f"There is no dataset or folder '{name}'.{did_you_mean(name, known)} "
        f"Known datasets: {', '.join(known)}."
    )


def local_folder(name_or_folder: str) -> Path | None:
    """Return the folder that is meant, or None where a set of the catalogue is meant.

    A name of the catalogue is the catalogue's set even where a folder is called so too, for the
    papers' numbers must not depend on where the command is run; "./Set5" is the folder.
    """
    if name_or_folder.casefold() in {name.casefold() for name in dataset_names()}:
        return None
    folder = Path(name_or_folder)
    try:
        # an empty name is a slip, not the current folder
        return folder if name_or_folder and folder.is_dir() else None
    except OSError:  # a name that no file can have
        return None


def cache_dir() -> Path:
    """Return the folder that downloaded sets are kept in."""
    return user_cache_path("memnet", appauthor=False) / "datasets"


def find_images(
    name_or_folder: str,
    *,
    data_dir: Path | None = None,
    offline: bool = False,
    progress: SetProgress | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> tuple[DatasetImage, ...]:
    """Return the images of a catalogue set or of any folder, downloading what is missing.

    A file of the catalogue is looked for below ``data_dir``, MEMNET_DATA and the cache, as
    ``<dataset>/<file name>`` or under its path in the catalogue, and counts as found only if its
    content is right. The rest is fetched from the catalogue's host or MEMNET_DATA_MIRROR (an
    address or a folder) into the cache. The images of a folder come in natural order.

    Raises:
        DatasetError: for an unknown name, a folder without pictures or that cannot be read, a data
            folder that is not there, or images that are missing and cannot be fetched.
    """
    folder = local_folder(name_or_folder)
    if folder is not None:
        return _folder_images(folder)
    entry = get_dataset(name_or_folder)
    roots = _roots(data_dir)
    found = {file.path: _locate(entry, file, roots) for file in entry.files}
    missing = [file for file in entry.files if found[file.path] is None]
    if missing and offline:
        raise DatasetError(_missing(entry, missing, roots, "downloads are switched off"))
    if missing:
        try:
            found |= _download(missing, progress, patience)
        except DownloadError as error:
            left = [file for file in missing if _locate(entry, file, roots) is None]
            raise DatasetError(_missing(entry, left or missing, roots, str(error))) from None
    return tuple(
        DatasetImage(file.name, path, file.sha256)
        for file in entry.files
        if (path := found[file.path]) is not None
    )


def _roots(data_dir: Path | None) -> tuple[Path, ...]:
    named = os.environ.get(DATA_VARIABLE)
    roots = [root for root in (data_dir, Path(named) if named else None) if root is not None]
    for root in roots:
        if not root.is_dir():
            raise DatasetError(
                f"There is no data folder {root}: give one that exists with --data-dir or "
                f"{DATA_VARIABLE}."
            )
    return (*roots, cache_dir())


def _places(entry: DatasetEntry, file: DatasetFile, roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        yield root / entry.name / file.name
        yield root / file.path


def _locate(entry: DatasetEntry, file: DatasetFile, roots: Iterable[Path]) -> Path | None:
    expected = Expected(file.sha256, file.bytes)
    return next((path for path in _places(entry, file, roots) if is_sound(path, expected)), None)


def _download(
    missing: Iterable[DatasetFile], progress: SetProgress | None, patience: Patience
) -> dict[str, Path]:
    import requests

    base = os.environ.get(MIRROR_VARIABLE) or _catalogue().host
    files = list(missing)
    total = sum(file.bytes for file in files)
    done = 0
    fetched = {}
    with requests.Session() as session:
        for file in files:
            # by catalogue path, so that sets which share files share them in the cache too
            fetched[file.path] = download(
                join_address(base, file.path),
                cache_dir() / file.path,
                Expected(file.sha256, file.bytes),
                patience=patience,
                session=session,
            )
            done += file.bytes
            if progress is not None:
                progress(done, total)
    return fetched


def _missing(
    entry: DatasetEntry, files: Sequence[DatasetFile], roots: Sequence[Path], why: str
) -> str:
    size = sum(file.bytes for file in files) / 1e6
    others = [path for file in files for path in _places(entry, file, roots) if path.is_file()]
    differing = (
        f" {others[0]} is there but is not the file that the papers' set has (sha256 differs)."
        if others
        else ""
    )
    return (
        f"{len(files)} of {len(entry.files)} images of {entry.name} are missing ({size:.1f} MB) "
        f"and cannot be had: {why.rstrip('.')}.{differing} Put them into a folder as "
        f"{entry.name}/{files[0].name} and name that folder with --data-dir or {DATA_VARIABLE}, "
        f"or name a mirror of {_catalogue().host} in {MIRROR_VARIABLE}."
    )


def _folder_images(folder: Path) -> tuple[DatasetImage, ...]:
    try:
        files = [file for file in folder.iterdir() if is_picture_name(file) and file.is_file()]
        if not files:
            raise DatasetError(
                f"There is no picture in the folder {folder}: give one with pictures."
            )
        files.sort(key=_natural)
        return tuple(DatasetImage(file.name, file, file_sha256(file)) for file in files)
    except OSError as error:
        raise DatasetError(
            f"Cannot read {error.filename or folder}: {error.strerror}; give a folder that can be "
            "read."
        ) from None


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort "2.png" before "10.png", and names that differ in case only the same way always."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name

"""The field's image sets by name: where they lie, or how they get there.

The catalogue (datasets.json) pins every file by an address with a commit, its sha256 and its
size. Nothing is shipped: sets are downloaded once into the user's cache, or found where the user
has them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
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
    address or a folder) into the cache.

    Raises:
        DatasetError: for an unknown name, an empty folder, or images that are missing and cannot
            be fetched.
    """
    folder = Path(name_or_folder)
    if folder.is_dir():
        return _folder_images(folder)
    entry = get_dataset(name_or_folder)
    roots = _roots(data_dir)
    found = {file.path: _locate(entry, file, roots) for file in entry.files}
    missing = [file for file in entry.files if found[file.path] is None]
    if missing:
        if offline:
            raise DatasetError(_missing(entry, missing, "downloads are switched off"))
        found |= _download(entry, missing, progress, patience)
    return tuple(
        DatasetImage(file.name, path, file.sha256)
        for file in entry.files
        if (path := found[file.path]) is not None
    )


def _roots(data_dir: Path | None) -> tuple[Path, ...]:
    if data_dir is not None and not data_dir.is_dir():
        raise DatasetError(f"There is no data folder {data_dir}: give one that exists.")
    named = os.environ.get(DATA_VARIABLE)
    return tuple(
        root for root in (data_dir, Path(named) if named else None, cache_dir()) if root is not None
    )


def _locate(entry: DatasetEntry, file: DatasetFile, roots: Iterable[Path]) -> Path | None:
    expected = Expected(file.sha256, file.bytes)
    for root in roots:
        for path in (root / entry.name / file.name, root / file.path):
            if is_sound(path, expected):
                return path
    return None


def _download(
    entry: DatasetEntry,
    missing: Iterable[DatasetFile],
    progress: SetProgress | None,
    patience: Patience,
) -> dict[str, Path]:
    base = os.environ.get(MIRROR_VARIABLE) or _catalogue().host
    files = list(missing)
    total = sum(file.bytes for file in files)
    done = 0
    fetched = {}
    for file in files:
        # by catalogue path, so that sets which share files share them in the cache too
        target = cache_dir() / file.path
        try:
            download(
                join_address(base, file.path),
                target,
                Expected(file.sha256, file.bytes),
                patience=patience,
            )
        except DownloadError as error:
            left = [f for f in files if f.path not in fetched]
            raise DatasetError(_missing(entry, left, str(error))) from None
        fetched[file.path] = target
        done += file.bytes
        if progress is not None:
            progress(done, total)
    return fetched


def _missing(entry: DatasetEntry, files: list[DatasetFile], why: str) -> str:
    size = sum(file.bytes for file in files) / 1e6
    return (
        f"{len(files)} of {len(entry.files)} images of {entry.name} are missing ({size:.1f} MB) "
        f"and cannot be had: {why.rstrip('.')}. Put them into a folder as "
        f"{entry.name}/{files[0].name} and name that folder with --data-dir or {DATA_VARIABLE}."
    )


def _folder_images(folder: Path) -> tuple[DatasetImage, ...]:
    files = sorted((f for f in folder.iterdir() if is_picture_name(f)), key=_natural)
    if not files:
        raise DatasetError(f"There is no picture in the folder {folder}: give one with pictures.")
    return tuple(DatasetImage(file.name, file, file_sha256(file)) for file in files)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort "2.png" before "10.png"."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

"""Weights by name: bundled with the package, in the user's cache, or to be downloaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from memnet_cli.checkpoints import check_purpose
from memnet_cli.errors import DownloadError, PlacingError, WeightsError, did_you_mean
from memnet_cli.files import is_file
from memnet_cli.models import MODELS
from memnet_cli.stores.downloads import (
    DEFAULT_PATIENCE,
    Expected,
    Patience,
    Progress,
    download,
    is_sound,
    join_address,
)

#: Where weights that are not bundled are released.
RELEASE_ADDRESS = "https://github.com/memnet-cli/memnet/releases/download/weights-v1"
MIRROR_VARIABLE = "MEMNET_WEIGHTS_MIRROR"
MANIFEST = "weights.json"
DEFAULT_MODEL = "memnet"
#: What removes a JPEG's blocks before it is enlarged: good JPEGs are not spoiled, and it is fast.
DEBLOCKING_WEIGHTS = "memnet-m10r1u2-jpeg"
#: How the names of the MemNet authors' models begin, which are converted into the cache.
AUTHORS = "authors-"


@dataclass(frozen=True)
class WeightsEntry:
    """One file of the zoo, as the manifest tells it.

    Attributes:
        name: what ``--weights`` takes.
        file: its file name.
        sha256: hex digest.
        bytes: its size.
        model: architecture.
        task: what it restores; empty for all.
        levels: trained on.
        training_sets: trained on.
        scores: dataset -> level -> {"psnr", "ssim"}.
        licence: of the weights.
        default: used when only the model and the task are named.
        bundled: shipped inside the package.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    model: str
    task: str
    levels: tuple[int, ...]
    training_sets: tuple[str, ...]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    licence: str
    default: bool
    bundled: bool

    @property
    def path(self) -> Path:
        """Where the file is or would be: in the package, else in the cache."""
        return (weights_dir() if self.bundled else cache_dir()) / self.file

    @property
    def state(self) -> str:
        """Say where it is: "bundled", "cached" or "remote"."""
        if self.bundled:
            return "bundled"
        held = self.path.is_file() and self.path.stat().st_size == self.bytes
        return "cached" if held else "remote"

    @property
    def address(self) -> str:
        """Where it is released, or the same file of the mirror that the user names."""
        return join_address(os.environ.get(MIRROR_VARIABLE) or RELEASE_ADDRESS, self.file)

    @property
    def expected(self) -> Expected:
        """What a download must be."""
        return Expected(self.sha256, self.bytes)


def weights_dir() -> Path:
    """Return the folder of the bundled weights: in an installed package, else in the source."""
    packed = Path(__file__).parents[1] / "_weights"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "weights"


def cache_dir() -> Path:
    """Return the folder that downloaded weights are kept in."""
    return user_cache_path("memnet", appauthor=False) / "weights"


@lru_cache(maxsize=4)
def _manifest(path: Path) -> tuple[WeightsEntry, ...]:
    try:
        entries = json.loads(path.read_text("utf-8"))["weights"]
        return tuple(_entry(name, entry) for name, entry in entries.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise WeightsError(
            f"The list of weights {path} is missing or damaged: install memnet again."
        ) from None


def _entry(name: str, entry: Mapping[str, Any]) -> WeightsEntry:
    return WeightsEntry(
        name=name,
        file=entry["file"],
        sha256=entry["sha256"],
        bytes=entry["bytes"],
        model=entry["model"],
        task=entry["task"],
        levels=tuple(entry["levels"]),
        training_sets=tuple(entry["training_sets"]),
        scores=entry["scores"],
        licence=entry["licence"],
        default=entry["default"],
        bundled=entry["bundled"],
    )


def weights_entries() -> tuple[WeightsEntry, ...]:
    """Return the whole zoo."""
    return _manifest(weights_dir() / MANIFEST)


def converted_file(name: str) -> Path:
    """Return where the authors' model of that name lies once it is converted."""
    return cache_dir() / f"{name}.safetensors"


def weights_names() -> tuple[str, ...]:
    """Return the names of the zoo and of the authors' models that are converted already."""
    converted = sorted(file.stem for file in cache_dir().glob(f"{AUTHORS}*.safetensors"))
    return (*(entry.name for entry in weights_entries()), *converted)


def get_weights(name: str) -> WeightsEntry:
    """Return the zoo's entry called ``name``.

    Raises:
        WeightsError: for another name; the message lists the names, the nearest first.
    """
    for entry in weights_entries():
        if entry.name == name:
            return entry
    known = weights_names()
    raise WeightsError(
        f"There are no weights '{name}'.{_hint(name, known)} Known weights: "
        f"{', '.join(known)}; a file is named by its path."
    )


def locate(name: str, patience: Patience = DEFAULT_PATIENCE) -> Path:
    """Return the file that a name stands for, downloaded and verified if it is not there.

    The authors' models are not downloaded here, since their licence has to be told first.

    Raises:
        WeightsError: for a name that is not known.
        DownloadError: if the file cannot be fetched.
    """
    if name.startswith(AUTHORS) and name in weights_names():
        return converted_file(name)
    return fetch(get_weights(name), patience=patience)


def find_weights(
    name: str | None, *, model: str, task: str, patience: Patience = DEFAULT_PATIENCE
) -> Path:
    """Return the weights file to use, downloaded and verified if it is not bundled.

    Args:
        name: a file, or a name of the zoo; None for the defaults of ``model``.
        model: an architecture, or a name of the zoo. Beside ``name`` any but ``DEFAULT_MODEL``
            must be the architecture of those weights.
        task: what is to be restored.
        patience: with the network.

    Raises:
        WeightsError: for a file or name that is not there, or weights of another task or model.
        DownloadError: if they cannot be fetched.
    """
    if name is not None and _looks_like_file(name):
        path = Path(name)
    elif name is not None:
        path = locate(name, patience)
    elif model in MODELS:
        path = fetch(_default(model, task), patience=patience)
    elif _looks_like_file(model):
        path = Path(model)
    else:
        path = locate(_known_weights(model), patience)
    info = check_purpose(path, task)
    if name is not None and model not in {DEFAULT_MODEL, name, info.model}:
        raise WeightsError(
            f"--weights {name} holds {info.model}, and --model {model} is something else: give one "
            "of the two."
        )
    return path


def _looks_like_file(text: str) -> bool:
    return text.endswith(".safetensors") or os.sep in text or is_file(Path(text))


def _default(model: str, task: str) -> WeightsEntry:
    fitting = [e for e in weights_entries() if e.model == model and e.task in {task, ""}]
    for entry in fitting:
        if entry.default:
            return entry
    if fitting:
        return fitting[0]
    title = MODELS[model].title
    raise WeightsError(
        f"There are no weights of {title} for {task} yet: give a file with --weights, or train "
        f"one with `memnet train --task {task} --model {model}`."
    )


def _hint(name: str, known: Sequence[str]) -> str:
    if name.startswith(AUTHORS):
        return f" `memnet download-weights --source authors {name}` fetches the authors' own."
    return did_you_mean(name, known)


def _known_weights(name: str) -> str:
    known = (*MODELS, *weights_names())
    if name not in known:
        raise WeightsError(
            f"There is no model '{name}'.{_hint(name, known)} Known models and weights: "
            f"{', '.join(known)}."
        )
    return name


def fetch(
    entry: WeightsEntry,
    *,
    folder: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> Path:
    """Return the verified file of a zoo entry, downloading it if it is not there.

    Bundled weights answer without network. With ``folder`` the file is put there instead of the
    cache; ``force`` downloads it again.

    Raises:
        WeightsError: if a bundled file is damaged.
        DownloadError: if it cannot be fetched.
        PlacingError: if it cannot be written.
    """
    target = entry.path if folder is None else folder / entry.file
    if not force and is_sound(target, entry.expected):
        return target
    if entry.bundled and is_sound(entry.path, entry.expected):
        return target if folder is None else _copy(entry, entry.path, folder)
    if entry.bundled and folder is None:
        raise WeightsError(f"The bundled weights {entry.path} are damaged: install memnet again.")
    try:
        return download(entry.address, target, entry.expected, progress=progress, patience=patience)
    except PlacingError as error:
        if folder is not None:
            raise
        raise PlacingError(
            f"{error} `memnet download-weights {entry.name} --dest DIR` puts it elsewhere."
        ) from None
    except DownloadError as error:
        raise DownloadError(
            f"{error} A file that was fetched by other means is taken with `memnet "
            f"download-weights {entry.name} --from FILE`; {MIRROR_VARIABLE} names a mirror."
        ) from None


def adopt(entry: WeightsEntry, file: Path, folder: Path | None = None) -> Path:
    """Take a file that was fetched by other means into the cache, verified the same way.

    Bundled weights need no place in the cache: they stay where they are.

    Raises:
        WeightsError: if it is not there or not the file that the manifest names.
        DownloadError: if it cannot be written.
    """
    if not is_sound(file, entry.expected):
        what = "is not that file (sha256 differs)" if file.is_file() else "is no file"
        raise WeightsError(f"{file} {what}: expected {entry.name} of {entry.bytes} bytes.")
    if folder is None and entry.bundled and is_sound(entry.path, entry.expected):
        return entry.path
    return _copy(entry, file, cache_dir() if folder is None else folder)


def _copy(entry: WeightsEntry, file: Path, folder: Path) -> Path:
    return download(str(file.resolve()), folder / entry.file, entry.expected)

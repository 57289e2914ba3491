"""The list of weights: what there is, what each is for, and where it lies or would be fetched."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from memnet_cli.errors import WeightsError, did_you_mean
from memnet_cli.files import exists
from memnet_cli.models import MODELS
from memnet_cli.stores.downloads import Expected, join_address
from memnet_cli.tasks import distance

#: Where weights that are not bundled are released.
RELEASE_ADDRESS = "https://github.com/memnet-cli/memnet/releases/download/weights-v1"
MIRROR_VARIABLE = "MEMNET_WEIGHTS_MIRROR"
MANIFEST = "weights.json"
DEFAULT_MODEL = "memnet"
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
        try:
            held = self.path.is_file() and self.path.stat().st_size == self.bytes
        except OSError:  # a folder that may not be looked into
            held = False
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
    try:
        converted = sorted(file.stem for file in cache_dir().glob(f"{AUTHORS}*.safetensors"))
    except OSError:  # as above
        converted = []
    return (*(entry.name for entry in weights_entries()), *converted)


def refuse_other(target: Path) -> None:
    """Raise WeightsError where another file lies in the place of weights."""
    if exists(target):
        raise WeightsError(
            f"{target} is there already and is another file: give --force to replace it, or "
            "another --dest."
        )


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
        f"There are no weights '{name}'.{hint(name, known)} Known weights: "
        f"{', '.join(known)}; a file is named by its path."
    )


def default_entries(model: str, task: str) -> tuple[WeightsEntry, ...]:
    """Return the weights that are defaults of an architecture for a task, at one level or other."""
    fitting = [e for e in weights_entries() if e.model == model and e.task in {task, ""}]
    return tuple(entry for entry in fitting if entry.default) or tuple(fitting[:1])


def default_weights(model: str, task: str, level: float | None = None) -> WeightsEntry:
    """Return the weights that are taken where only the architecture and the task are named.

    Args:
        model: a key of ``models.MODELS``.
        task: what is to be restored.
        level: of the damage, such as the scale factor. Of several defaults those trained nearest
            to it are taken (the larger of two levels that are equally near), those for fewest
            levels before those for more. None takes those for most.

    Raises:
        WeightsError: if there are none.
    """
    defaults = default_entries(model, task)
    if not defaults:
        title = MODELS[model].title
        raise WeightsError(
            f"There are no weights of {title} for {task} yet: give a file with --weights, or train "
            f"one with `memnet train --task {task} --model {model}`."
        )
    if level is None:
        return max(defaults, key=lambda entry: len(entry.levels))
    return min(defaults, key=lambda entry: distance(level, entry.levels))


def hint(name: str, known: Sequence[str]) -> str:
    """Return what to try instead of a name that is not known; empty if nothing is like it."""
    if name.startswith(AUTHORS):
        return f" `memnet download-weights --source authors {name}` fetches the authors' own."
    return did_you_mean(name, known)

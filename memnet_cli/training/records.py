"""The run folder: what the run is, its metrics as JSON lines, weights and curves."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from memnet_cli.checkpoints import WeightsInfo
from memnet_cli.checkpoints.header import Header, metadata_of, parse_info
from memnet_cli.config import __version__
from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.files import TEMPORARY, is_file, sweep, write_atomically
from memnet_cli.training.config import TrainingConfig, identity
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.recipe_files import recipe_to_mapping, to_toml

_LOCK = ".lock"
#: Other commands may write into the run folder meanwhile; they do it in less.
_MOST_SECONDS_TO_WRITE = 600.0


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run; no torch here."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def recipe(self) -> Path:
        """The recipe in full."""
        return self.path / "recipe.toml"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def description(self) -> Path:
        """What the run is, by which it is known when it is resumed."""
        return self.path / "run.json"

    def weights(self, which: str) -> Path:
        """Return the weights called "last" or "best"."""
        return self.path / f"{which}.safetensors"


def stored_identity(out: Path) -> dict[str, object] | None:
    """Return what the run in ``out`` is, or None if there is none.

    Raises:
        UsageError: if the description cannot be read.
    """
    path = RunFolder(out).description
    if not is_file(path):
        return None
    try:
        document = json.loads(path.read_text("utf-8"))
        stored: dict[str, object] = document["run"]
        # settings that the run's version did not have yet are what they were then: the defaults
        stored["recipe"] = {**recipe_to_mapping(Recipe()), **document["run"]["recipe"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise _unsound(path) from None
    return stored


def _unsound(path: Path) -> UsageError:
    return UsageError(f"{path} cannot be understood: expected what memnet train writes.")


def stored_first(out: Path) -> tuple[WeightsInfo, str] | None:
    """Return what the weights said that the run in ``out`` began with, and their sha256.

    None for a run that began from nothing, or before this was kept.

    Raises:
        UsageError: if it cannot be understood.
    """
    path = RunFolder(out).description
    try:
        first = json.loads(path.read_text("utf-8"))["first"]
        return parse_info(path, Header(first["info"], {}, {})), str(first["sha256"])
    except (FileNotFoundError, KeyError):
        return None
    except (OSError, ValueError, TypeError, WeightsError):
        raise _unsound(path) from None


def check_folder(config: TrainingConfig) -> bool:
    """Check that the run folder is free or holds the very run that is to go on.

    Its budget may be another one now.

    Returns:
        Whether it holds that run.

    Raises:
        UsageError: for a folder that holds another run, or a run that is not to be resumed.
    """
    stored, asked = stored_identity(config.out), identity(config)
    if stored is None:
        _refuse_what_is_there(RunFolder(config.out))
        return False
    if not config.resume:
        raise UsageError(
            f"{config.out} holds a run already: go on with --resume, or give another --out."
        )
    different = sorted(_differences({**stored, "budget": asked["budget"]}, asked))
    if different:
        raise UsageError(
            f"The run in {config.out} was started with other settings ({', '.join(different)}): "
            f"resume it with its own, or start a new one with --init {config.out}/last.safetensors."
        )
    return True


def _refuse_what_is_there(folder: RunFolder) -> None:
    """Make sure that a run would write over nothing: what it is of, only run.json tells."""
    own = (folder.recipe, folder.metrics, folder.weights("last"), folder.weights("best"))
    there = next((path for path in own if path.exists()), None)
    if there is None and folder.checkpoints.is_dir():
        kept = (path for path in folder.checkpoints.iterdir() if not path.match(TEMPORARY))
        there = next(kept, None)
    if there is not None:
        raise UsageError(
            f"{there} is there already, and no run.json that tells what run it is of: "
            "give another --out."
        )


def claim_folder(config: TrainingConfig, first: WeightsInfo | None, first_hash: str) -> RunFolder:
    """Make the run folder with the description of the run in it.

    Of a run that goes on only a new budget is written.

    Args:
        config: the run.
        first: what the weights say that it starts from, if it does.
        first_hash: their sha256.

    Raises:
        UsageError: as :func:`check_folder`, and for a folder that cannot be written.
    """
    folder = RunFolder(config.out)
    run = identity(config)
    new = not check_folder(config)
    sweep(folder.checkpoints)
    sweep(folder.path, older_than=_MOST_SECONDS_TO_WRITE)
    if not new and folder.recipe.exists() and stored_identity(config.out) == run:
        return folder
    try:
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        document: dict[str, object] = {"memnet": __version__, "run": run}
        if first is not None:
            document["first"] = {"sha256": first_hash, "info": metadata_of(first)}
        # first what tells that the folder is of this run
        write_atomically(folder.description, (json.dumps(document, indent=2) + "\n").encode())
        write_atomically(folder.recipe, recipe_text(config).encode())
    except OSError as error:
        if new:
            release_folder(folder)
        raise UsageError(
            f"Cannot write to the run folder {config.out} ({error.strerror}): give another --out."
        ) from None
    return folder


@contextlib.contextmanager
def alone(out: Path, leads: bool) -> Iterator[None]:
    """Keep a second command from training the same run meanwhile; the leading process does.

    The lock goes with the process, however it ends. Where the file system has no locks there is
    none.

    Raises:
        UsageError: if another process trains it.
    """
    if not leads:
        yield
        return
    lock = FileLock(out / _LOCK)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise UsageError(
            f"The run in {out} is being trained by another process: wait for it, or give another "
            "--out."
        ) from None
    except (OSError, NotImplementedError):
        pass  # a folder that cannot be written is told of by claim_folder
    try:
        yield
    finally:
        lock.release()


def keeps_anything(folder: RunFolder) -> bool:
    """Say whether a run has kept weights or a checkpoint."""
    weights = any(folder.weights(which).exists() for which in ("last", "best"))
    return weights or any(folder.checkpoints.iterdir())


def release_folder(folder: RunFolder) -> None:
    """Undo :func:`claim_folder` for a run that has kept nothing; what else lies there stays."""
    with contextlib.suppress(OSError):
        folder.metrics.unlink(missing_ok=True)
        folder.description.unlink(missing_ok=True)
        folder.recipe.unlink(missing_ok=True)
        folder.checkpoints.rmdir()
        (folder.path / _LOCK).unlink(missing_ok=True)
        folder.path.rmdir()


def _differences(
    stored: Mapping[str, Any], asked: Mapping[str, Any], at: str = ""
) -> Iterator[str]:
    """Yield "recipe.lr 0.001 -> 0.002" for every setting that differs."""
    for key in {*stored, *asked}:
        one, other = stored.get(key), asked.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _differences(one, other, f"{at}{key}.")
        elif one != other:
            yield f"{at}{key} {one} -> {other}"


def recipe_text(config: TrainingConfig) -> str:
    """Return the recipe in full, as a TOML file that --recipe takes."""
    values = identity(config)["recipe"]
    assert isinstance(values, Mapping)
    return to_toml(values)

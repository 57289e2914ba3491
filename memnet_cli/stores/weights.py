"""Weights by name: bundled with the package, in the user's cache, or to be downloaded."""

from __future__ import annotations

import os
from pathlib import Path

from memnet_cli.checkpoints import check_purpose
from memnet_cli.errors import DownloadError, PlacingError, WeightsError
from memnet_cli.files import is_file
from memnet_cli.models import MODELS
from memnet_cli.stores import zoo
from memnet_cli.stores.downloads import DEFAULT_PATIENCE, Patience, Progress, download, is_sound
from memnet_cli.stores.zoo import (
    AUTHORS,
    DEFAULT_MODEL,
    MIRROR_VARIABLE,
    WeightsEntry,
    converted_file,
    default_weights,
    get_weights,
    hint,
    weights_names,
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
    name: str | None,
    *,
    model: str,
    task: str,
    level: float | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> Path:
    """Return the weights file to use, downloaded and verified if it is not bundled.

    Args:
        name: a file, or a name of the zoo; None for the defaults of ``model``.
        model: an architecture, or a name of the zoo. Beside ``name`` any but ``DEFAULT_MODEL``
            must be the architecture of those weights.
        task: what is to be restored.
        level: that defaults are chosen for, see :func:`default_weights`.
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
        path = fetch(default_weights(model, task, level), patience=patience)
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
    return text.endswith(".safetensors") or bool({"/", os.sep} & set(text)) or is_file(Path(text))


def _known_weights(name: str) -> str:
    known = (*MODELS, *weights_names())
    if name not in known:
        raise WeightsError(
            f"There is no model '{name}'.{hint(name, known)} Known models and weights: "
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
        WeightsError: if a bundled file is damaged, or another file of that name lies in ``folder``.
        DownloadError: if it cannot be fetched.
        PlacingError: if it cannot be written.
    """
    target = entry.path if folder is None else folder / entry.file
    if not force and is_sound(target, entry.expected):
        return target
    if folder is not None and not force:
        zoo.refuse_other(target)
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


def adopt(
    entry: WeightsEntry, file: Path, folder: Path | None = None, *, force: bool = False
) -> Path:
    """Take a file that was fetched by other means into the cache, verified the same way.

    Bundled weights need no place in the cache: they stay where they are.

    Raises:
        WeightsError: if it is not there or not the file that the manifest names, or another one of
            that name lies in ``folder`` and ``force`` is not given.
        DownloadError: if it cannot be written.
    """
    if not is_sound(file, entry.expected):
        what = "is not that file (sha256 differs)" if is_file(file) else "is no file"
        raise WeightsError(f"{file} {what}: expected {entry.name} of {entry.bytes} bytes.")
    if folder is None and entry.bundled and is_sound(entry.path, entry.expected):
        return entry.path
    if folder is not None and not force and not is_sound(folder / entry.file, entry.expected):
        zoo.refuse_other(folder / entry.file)
    return _copy(entry, file, zoo.cache_dir() if folder is None else folder)


def _copy(entry: WeightsEntry, file: Path, folder: Path) -> Path:
    return download(str(file.resolve()), folder / entry.file, entry.expected)

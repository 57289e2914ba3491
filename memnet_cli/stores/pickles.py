"""Take tensors, and nothing but tensors, out of a file that ``torch.save`` wrote."""

from __future__ import annotations

import contextlib
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import WeightsError
from memnet_cli.files import is_file
from memnet_cli.models import MODELS, build_model
from memnet_cli.models.configs import ModelConfig

if TYPE_CHECKING:
    import torch

#: Names under which training programs keep the state_dict.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "params_ema", "params", "net")
#: What torch.nn.DataParallel puts before every name.
_PREFIX = "module."
#: Counters of torch's BatchNorm that the networks here do without.
_SURPLUS = ".num_batches_tracked"


def import_state(path: Path, config: ModelConfig) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a saved state_dict, checked against the network of ``config``.

    The state_dict may lie under one of ``_WRAPPERS``, its names may begin with "module.", and
    counters of batches are left out. The file is read with torch's unpickler for
    weights, which runs no code of the file.

    Raises:
        WeightsError: if the file is missing, damaged, holds anything but tensors, or does not fit.
    """
    _check_container(path)
    import torch

    with torch.device("meta"):
        expected = build_model(config).state_dict()
    saved = _tensors(path, _load(path))
    title = MODELS[config.model].title
    missing, surplus = expected.keys() - saved.keys(), saved.keys() - expected.keys()
    for name in [*sorted(missing), *sorted(surplus)]:
        what = "lacks" if name in expected else "has the unknown"
        raise WeightsError(
            f"{path} does not fit {title}: it {what} {name[:80]!r}; give --model, and --set for "
            "settings that are not the default."
        )
    return {name: _checked(path, name, saved[name], expected[name].shape) for name in expected}


def _check_container(path: Path) -> None:
    """Refuse what is no file, and packed entries, which torch does not write: they may be huge."""
    if not is_file(path):
        raise WeightsError(f"There is no file {path}.")
    try:
        with zipfile.ZipFile(path) as container:
            packed = any(part.compress_type != zipfile.ZIP_STORED for part in container.infolist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # an older format, or damaged, which torch says
    if packed:
        raise WeightsError(f"{path} is a zip file with packed entries: expected one of torch.save.")


def _load(path: Path) -> object:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old protocols; what matters is raised
            # explicit: where it is left out, an environment variable can switch it off
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path} holds something else than tensors and was not read, as that could run code: "
            "save the network's state_dict() alone."
        ) from None
    except Exception:  # on bytes made to harm, the unpickler itself fails in many ways
        raise WeightsError(f"{path} is not a file of torch.save, or it is damaged.") from None


def _tensors(path: Path, document: object) -> dict[str, torch.Tensor]:
    import torch

    for wrapper in _WRAPPERS:
        if isinstance(document, Mapping) and isinstance(document.get(wrapper), Mapping):
            document = document[wrapper]
            break
    if not isinstance(document, Mapping) or not document:
        raise WeightsError(f"{path} holds no state_dict: expected names and tensors.")
    tensors = {}
    for name, tensor in document.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise WeightsError(f"{path} holds {str(name)[:80]!r}, which is no named tensor.")
        if name.endswith(_SURPLUS):
            continue
        if (bare := name.removeprefix(_PREFIX)) in tensors:
            raise WeightsError(f"{path} holds both '{bare}' and '{_PREFIX}{bare}': remove one.")
        tensors[bare] = tensor
    return tensors


def _checked(path: Path, name: str, tensor: torch.Tensor, shape: torch.Size) -> NDArray[np.float32]:
    import torch

    if tensor.is_nested or tensor.layout != torch.strided:
        kind = "nested tensors" if tensor.is_nested else str(tensor.layout)
        raise WeightsError(f"{path} holds '{name}' as {kind}, expected a dense tensor.")
    if tensor.shape != shape:
        raise WeightsError(
            f"{path} does not fit: '{name}' has shape {list(tensor.shape)}, expected "
            f"{list(shape)}; give --set for settings that are not the default."
        )
    single = None
    if tensor.is_floating_point():
        with contextlib.suppress(RuntimeError, NotImplementedError):  # of fewer than 8 bits
            single = tensor.detach().resolve_neg().float()
    if single is None:
        raise WeightsError(f"{path} holds '{name}' as {tensor.dtype}, expected float32.")
    if single.is_meta or not bool(torch.isfinite(single).all()):
        raise WeightsError(f"{path} holds values in '{name}' that are not finite.")
    if name.endswith("running_var") and bool((single < 0).any()):
        raise WeightsError(f"{path} holds variances in '{name}' below 0.")
    array: NDArray[np.float32] = single.numpy()
    return array

"""Fixtures for the whole suite."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray

from memnet_cli.checkpoints import WeightsInfo, load_weights, save_weights
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores import zoo
from memnet_cli.stores.manifest import write_manifest

_SHARED = Path(__file__).resolve().parents[2] / "shared"
_TINY = MemNetConfig(memory_blocks=2, recursions=1, width=4)


# no example is too slow: tests measure no time, and a busy machine may take any
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start; in the background of a shell it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference data that stands beside a checkout; skip without it."""
    if not (_SHARED / "published.json").is_file():
        pytest.skip(f"the reference data is not there: {_SHARED}")
    return _SHARED


@pytest.fixture(scope="session")
def photograph() -> NDArray[np.uint8]:
    """Return a real photograph, (512, 512, 3) uint8, that scikit-image ships."""
    from skimage.data import astronaut

    picture: NDArray[np.uint8] = astronaut()
    return picture


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator that is the same in every run."""
    return np.random.default_rng(20170807)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return one file of M2R1 weights a task: nearly the identity, cheap, not trained."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    model = build_model(_TINY).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("reconstruction.conv"):
                parameter.mul_(0.02)
    levels = {"sr": (2, 3, 4), "denoise": (30, 50, 70), "jpeg": (10, 20)}
    files = {}
    for task, trained in levels.items():
        info = WeightsInfo("memnet", config_to_mapping(_TINY), task, levels=trained)
        files[task] = folder / f"tiny-{task}.safetensors"
        save_weights(files[task], model, info)
    return files


@pytest.fixture
def by_level(
    tmp_path: Path, tiny_weights: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Let the zoo be tiny weights whose defaults differ by level.

    "every-sr" for all scale factors, "x4-sr" for 4 alone, "bad-jpeg" for qualities up to 40,
    "good-jpeg" for these and better ones; "any-denoise". They make different pictures.
    """
    folder = tmp_path / "by-level"
    folder.mkdir()
    levels = {
        "any-denoise": (30, 50, 70),
        "every-sr": (2, 3, 4),
        "x4-sr": (4,),
        "bad-jpeg": (5, 20, 40),
        "good-jpeg": (5, 20, 40, 60, 95),
    }
    for number, (name, trained) in enumerate(levels.items()):
        model, info = load_weights(tiny_weights[name.rpartition("-")[2]])
        with torch.no_grad():
            model.get_parameter("reconstruction.conv.bias").add_(0.05 * number)
        info = dataclasses.replace(info, levels=trained)
        save_weights(folder / f"{name}.safetensors", model, info)
    manifest = write_manifest(folder)
    document = json.loads(manifest.read_text("utf-8"))
    for entry in document["weights"].values():
        entry["default"] = True
    manifest.write_text(json.dumps(document), "utf-8")
    monkeypatch.setattr(zoo, "weights_dir", lambda: folder)
    monkeypatch.setattr(zoo, "cache_dir", lambda: tmp_path / "no-cache")
    return folder

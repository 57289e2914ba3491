from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from memnet_cli.checkpoints import load_weights
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig, PlainConfig
from tests.cli.conftest import Memnet

CONFIG = MemNetConfig(memory_blocks=2, recursions=1, width=4)
SETTINGS = ("--set", "memory_blocks=2", "--set", "recursions=1", "--set", "width=4")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return a state_dict of a small MemNet."""
    torch.manual_seed(0)
    torch.save({"state_dict": build_model(CONFIG).state_dict()}, tmp_path / "net.pth")
    return tmp_path / "net.pth"


def test_a_state_dict_becomes_weights(memnet: Memnet, saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    levels = [part for level in (10, 20, 10) for part in ("--levels", level)]
    ran = memnet("import-torch", saved, "--out", out, "--task", "jpeg", *levels, *SETTINGS)
    assert (ran.code, ran.err) == (0, "")
    assert str(out) in ran.out
    model, info = load_weights(out)
    assert (model.config, info.task, info.levels) == (CONFIG, "jpeg", (10, 20))
    torch.manual_seed(0)
    original, degraded = build_model(CONFIG).eval(), torch.rand(1, 1, 7, 9)
    with torch.no_grad():
        assert torch.equal(model(degraded), original(degraded))


def test_other_models_and_settings_in_words(memnet: Memnet, tmp_path: Path) -> None:
    config = PlainConfig(depth=3, width=2, bias=False, subtract=False)
    torch.save(build_model(config).state_dict(), tmp_path / "vdsr.pth")
    out = tmp_path / "w.safetensors"
    ran = memnet(
        "import-torch", tmp_path / "vdsr.pth", "--out", out, "--task", "sr", "--model", "plain",
        "--set", "depth=3", "--set", "width=2", "--set", "bias=false", "--set", "subtract=false",
    )  # fmt: skip
    assert ran.code == 0
    assert load_weights(out)[0].config == config


class Harmful:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_with_code_is_refused_in_one_line(memnet: Memnet, tmp_path: Path) -> None:
    path, marker = tmp_path / "harmful.pth", tmp_path / "ran"
    torch.save(Harmful(marker), path)
    ran = memnet("import-torch", path, "--out", tmp_path / "w.safetensors", "--task", "sr")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "something else than tensors" in ran.err
    assert not marker.exists()
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize(("options", "said"), [
    (("--model", "memnets"), "Did you mean 'memnet'"),
    (("--set", "memory_blocks"), "expected NAME=VALUE"),
    (("--set", "blocks=3"), "no setting 'blocks'"),
    (("--set", "memory_blocks=1000000000"), "expected 1 to 64"),
    (("--set", "memory_blocks=many"), "expected a value like 6"),
    (("--levels", "-3"), "scale factor -3 is out of range"),
    (("--out", "w.bin"), "ending in .safetensors"),
])  # fmt: skip
def test_wrong_options(
    memnet: Memnet, saved: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "w.safetensors"
    ran = memnet("import-torch", saved, "--out", out, "--task", "sr", *options)
    assert ran.code == 2
    assert said in ran.err


def test_wrong_options_are_told_without_torch(memnet_process: Memnet) -> None:
    ran = memnet_process("import-torch", "net.pth", "--out", "w.bin", "--task", "sr")
    assert ran.code == 2
    assert "ending in .safetensors" in ran.err


def test_a_state_that_does_not_fit_says_what_to_give(
    memnet: Memnet, saved: Path, tmp_path: Path
) -> None:
    ran = memnet("import-torch", saved, "--out", tmp_path / "w.safetensors", "--task", "sr")
    assert ran.code == 2
    assert "does not fit MemNet: it lacks 'blocks.0" in ran.err
    assert "--set" in ran.err

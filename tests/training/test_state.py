"""Checkpoint files by themselves."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from memnet_cli.errors import TrainingError
from memnet_cli.training import state
from memnet_cli.training.state import (
    Checkpoint,
    checkpoints,
    generator_states,
    load_newest,
    save_checkpoint,
    set_generator_states,
)


def _checkpoint(step: int) -> Checkpoint:
    return Checkpoint(
        step=step,
        seconds=1.5,
        progress=0.25,
        pixels=1000,
        config={"width": 4},
        model={"weight": torch.arange(3.0)},
        mean=None,
        optimizers=({"state": {0: {"step": torch.tensor(2.0)}}, "param_groups": []},),
        best=None,
        generators=generator_states(),
        data="pictures",
    )


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "checkpoints", _checkpoint(7), keep=2)
    assert load_newest(tmp_path / "none") is None
    found = load_newest(path.parent)
    assert found is not None
    loaded, broken = found
    assert broken == ()
    assert (loaded.step, loaded.seconds, loaded.pixels, loaded.data) == (7, 1.5, 1000, "pictures")
    assert torch.equal(loaded.model["weight"], torch.arange(3.0))
    assert loaded.optimizers[0]["state"][0]["step"] == 2.0


def test_the_newest_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    for step in (1, 5, 10, 200):
        save_checkpoint(tmp_path, _checkpoint(step), keep=2)
    steps = [int(path.name.split("-")[1]) for path in checkpoints(tmp_path)]
    assert steps == [200, 10]
    assert len(list(tmp_path.iterdir())) == 2


def test_of_one_step_the_newest_is_kept(tmp_path: Path) -> None:
    """As a run that is resumed and stopped before its next step writes them."""
    for seconds in range(20):
        checkpoint = replace(_checkpoint(3), seconds=float(seconds))
        path = save_checkpoint(tmp_path, checkpoint, keep=1 + seconds % 2)
        assert path.exists()
        os.utime(path, ns=(seconds, seconds))
        found = load_newest(tmp_path)
        assert found is not None and found[0].seconds == seconds


@pytest.mark.parametrize("change", ["cut", "flip", "empty"])
def test_a_changed_file_does_not_verify(tmp_path: Path, change: str) -> None:
    save_checkpoint(tmp_path, _checkpoint(1), keep=2)
    path = save_checkpoint(tmp_path, _checkpoint(2), keep=2)
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[:-1], "flip": bytes(flipped), "empty": b""}[change])
    found = load_newest(tmp_path)
    assert found is not None
    assert (found[0].step, found[1]) == (1, (path,))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _checkpoint(1), keep=1)
    hostile = _checkpoint(2)
    object.__setattr__(hostile, "config", Path("anything that is no plain value"))
    save_checkpoint(tmp_path, hostile, keep=1)
    with pytest.raises(TrainingError, match="holds more than tensors, numbers and texts"):
        load_newest(tmp_path)


def test_checkpoints_of_another_version_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_VERSION", 99)
    save_checkpoint(tmp_path, _checkpoint(1), keep=1)
    monkeypatch.undo()
    with pytest.raises(TrainingError, match="was written by another version of memnet"):
        load_newest(tmp_path)


def test_generators_go_on_where_they_were() -> None:
    states = generator_states()
    first = torch.rand(3)
    set_generator_states(states)
    assert torch.equal(torch.rand(3), first)

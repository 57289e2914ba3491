"""Two gloo processes on this machine against one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from memnet_cli.errors import DeviceError, UsageError
from memnet_cli.training.config import Budget, TrainingConfig
from memnet_cli.training.distributed import World, device_of, world_from_environment
from memnet_cli.training.state import Checkpoint, checkpoints
from tests.training.conftest import (
    TINY,
    Started,
    StartTraining,
    checkpoint_of,
    run,
    tiny_run,
    wait_until,
    with_recipe,
)

_STEPS = 30
#: Plain gradient steps: whatever differs stays as small as it was.
_SETTINGS = ("optimizer=sgd", "lr=1e-3", "momentum=0.9", "clip=0.2", "ema=0.9")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _environment(rank: int, port: str) -> dict[str, str]:
    """Return what torchrun tells one of two processes."""
    return {
        "WORLD_SIZE": "2",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "GLOO_SOCKET_IFNAME": "lo",
    }


def _start_two(
    start_training: StartTraining, pictures: Path, out: Path, *more: object
) -> list[Started]:
    """Start both processes of a run as torchrun would."""
    settings = [part for setting in (*TINY, *_SETTINGS) for part in ("--set", setting)]
    port = str(_free_port())
    return [
        start_training(
            *("--task", "sr", *settings, "--data", pictures, "--out", out, "--val-share", 0),
            *("--device", "cpu", "--precision", "fp32", *more),
            environment=_environment(rank, port),
        )
        for rank in range(2)
    ]


def _largest_difference(one: Checkpoint, other: Checkpoint) -> float:
    assert one.model.keys() == other.model.keys()
    return max(float((one.model[name] - other.model[name]).abs().max()) for name in one.model)


@pytest.mark.timeout(120)
def test_two_processes_equal_one_even_if_one_is_lost_on_the_way(
    pictures: Path, tmp_path: Path, start_training: StartTraining
) -> None:
    single = replace(
        with_recipe(tiny_run(pictures, tmp_path / "one"), *_SETTINGS), budget=Budget(steps=_STEPS)
    )
    pair = replace(single, out=tmp_path / "two")
    options = ("--steps", _STEPS, "--sync-bn", "--save-every", "0.001s")
    leader, other = _start_two(start_training, pictures, pair.out, *options)
    wait_until(lambda: len(checkpoints(pair.out / "checkpoints")) > 1, leader)
    other.send_signal(signal.SIGKILL)
    leader.send_signal(signal.SIGKILL)  # as torchrun does once one of them is gone
    assert [process.wait(20) for process in (leader, other)] == [-signal.SIGKILL] * 2
    cut = checkpoint_of(pair)
    assert 0 < cut.step < _STEPS
    run(single)
    again = _start_two(start_training, pictures, pair.out, *options, "--resume")
    told = [process.communicate(timeout=90) for process in again]
    assert [process.returncode for process in again] == [0, 0], told
    assert f"Going on after step {cut.step} " in told[0][1]
    assert told[1] == ("", "")
    alone, together = checkpoint_of(single), checkpoint_of(pair)
    assert together.step == alone.step == _STEPS
    assert _largest_difference(alone, cut) > 1e-3
    assert _largest_difference(alone, together) < 1e-5


_TAKES_OVER = """
import torch
from memnet_cli.training.distributed import joined, take_over, world_from_environment
world = world_from_environment()
with joined(world, torch.device("cpu")):
    tensors = [torch.full((2, 3), world.rank + 1.0), torch.full((1,), world.rank - 5.0)]
    take_over(world, tensors)
    print([tensor.unique().tolist() for tensor in tensors])
"""


_NORMALISES = """
import torch
from torch.nn import functional as F
from memnet_cli.training.distributed import joined, world_from_environment
from memnet_cli.training.synchronised import SynchronisedBatchNorm
world = world_from_environment()
whole = 100.0 + 0.1 * torch.randn(4, 2, 32, 32, generator=torch.Generator().manual_seed(0))
arguments = [torch.zeros(2), torch.ones(2), torch.ones(2), torch.zeros(2)]
expected = F.batch_norm(whole.double(), *(t.double() for t in arguments), training=True)
with joined(world, torch.device("cpu")), SynchronisedBatchNorm():
    own = slice(2 * world.rank, 2 * world.rank + 2)
    made = F.batch_norm(whole[own], *arguments, training=True)
    print(bool((made - expected[own]).abs().max() < 1e-3))
"""


def _told_by_two(script: str) -> list[str]:
    port = str(_free_port())
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, **_environment(rank, port)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    return [process.communicate(timeout=50)[0] for process in started]


@pytest.mark.timeout(60)
def test_every_process_takes_over_what_the_leading_one_has() -> None:
    assert _told_by_two(_TAKES_OVER) == ["[[1.0], [-5.0]]\n"] * 2


@pytest.mark.timeout(60)
def test_statistics_that_are_shared_keep_a_small_variance_about_a_large_mean() -> None:
    assert _told_by_two(_NORMALISES) == ["True\n"] * 2


def test_the_world_is_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert world_from_environment() == World()
    values = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    world = world_from_environment()
    assert world == World(rank=5, size=8, local_rank=1, local_size=4)
    assert not world.leads


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of(World(1, 2, 1, 2), "auto") == "cuda:1"
    with pytest.raises(DeviceError, match="4 processes were started on a machine with 2 CUDA"):
        device_of(World(3, 4, 3, 4), "auto")
    assert device_of(World(3, 4, 3, 4), "cpu") == "cpu"


def test_devices_that_processes_cannot_share_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceError, match=r"--device cuda:1 is one GPU, and 2 processes .* cuda,"):
        device_of(World(0, 2, 0, 2), "cuda:1")
    assert device_of(World(), "cuda:1") == "cuda:1"
    # one process on each of two machines: each has that GPU to itself
    assert device_of(World(1, 2, 0, 1), "cuda:1") == "cuda:1"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_of(World(1, 2, 1, 2), "auto") == "cuda:1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("mps", "auto"):
        with pytest.raises(DeviceError, match=r"2 processes .* Apple's GPUs: give --device cpu"):
            device_of(World(1, 2, 1, 2), name)
        assert device_of(World(), name) == name
    assert device_of(World(1, 2, 1, 2), "cpu") == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_of(World(1, 2, 1, 2), "auto") == "auto"


def test_a_batch_that_cannot_be_divided_is_refused(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="batch of 4 cannot be divided among 3 processes"):
        run(tiny)

"""Small pictures and small runs: a few steps of an M2R1 network with 4 maps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.training.clock import Clock
from memnet_cli.training.config import Budget, Machine, TrainingConfig
from memnet_cli.training.data import gather_data
from memnet_cli.training.distributed import World
from memnet_cli.training.events import Say
from memnet_cli.training.loop import TrainingResult, train
from memnet_cli.training.recipe_files import load_recipe
from memnet_cli.training.records import RunFolder
from memnet_cli.training.session import Session, prepare_session
from memnet_cli.training.state import Checkpoint, load_newest
from memnet_cli.training.stopping import StopRequest

#: What makes a run tiny; as --set options too.
TINY = (
    "model.memory_blocks=2",
    "model.recursions=1",
    "model.width=4",
    "batch=4",
    "patch=16",
    "ema=0.9",
)


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread: these networks are too small for more.

    And always in as many: the order of sums, and with it the last bit, depends on it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, photograph: NDArray[np.uint8]) -> Path:
    """Return a folder of six small photographs."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        top, left = 60 * (number // 3) + 20, 90 * (number % 3) + 100
        Image.fromarray(photograph[top : top + 60, left : left + 72]).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def tiny(pictures: Path, tmp_path: Path) -> TrainingConfig:
    """Return a run of six steps for super-resolution."""
    return tiny_run(pictures, tmp_path / "run")


def tiny_run(pictures: Path, out: Path) -> TrainingConfig:
    """Return a run of six steps for super-resolution."""
    return TrainingConfig(
        task="sr",
        model="memnet",
        recipe=load_recipe("fast", "memnet", TINY),
        data=(str(pictures),),
        out=out,
        budget=Budget(steps=6),
        validation_share=0.0,
        machine=Machine(device="cpu", precision="fp32"),
    )


def with_recipe(config: TrainingConfig, *settings: str, name: str = "fast") -> TrainingConfig:
    """Return the run with another recipe, as tiny."""
    return replace(config, recipe=load_recipe(name, config.model, (*TINY, *settings)))


Started = subprocess.Popen[str]
StartTraining = Callable[..., Started]


@pytest.fixture
def start_training() -> Iterator[StartTraining]:
    """Start `memnet train` in a process of its own, with one thread; killed at the end."""
    running: list[Started] = []

    def start(*arguments: object, environment: dict[str, str] | None = None) -> Started:
        process = subprocess.Popen(
            [sys.executable, "-m", "memnet_cli", "train", *map(str, arguments)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)


def wait_until(condition: Callable[[], bool], process: Started, seconds: float = 60.0) -> None:
    """Wait for something that a running process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def run(config: TrainingConfig, say: Say = lambda event: None) -> TrainingResult:
    """Train in this process."""
    return train(config, gather_data(config), say)


def session_of(config: TrainingConfig) -> Session:
    """Lay out the first session of a run, in float32 on the CPU, that says nothing."""
    return prepare_session(
        config,
        gather_data(config),
        World(),
        resolve_runtime("cpu", "fp32"),
        RunFolder(config.out),
        Clock(time.monotonic(), budget=None),
        StopRequest(),
        lambda _event: None,
    )


def checkpoint_of(config: TrainingConfig) -> Checkpoint:
    """Return the newest checkpoint of a run."""
    found = load_newest(config.out / "checkpoints")
    assert found is not None and not found[1]
    return found[0]

"""Too little memory is told in one sentence, wherever it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import pytest
import torch

from memnet_cli.errors import DeviceError
from memnet_cli.training import loop
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.keeping import keep_weights
from memnet_cli.training.records import RunFolder
from memnet_cli.training.session import Session
from memnet_cli.training.step import train_step
from memnet_cli.training.throughput import Meter
from memnet_cli.training.trainee import Trainee
from tests.training.conftest import run

_ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"),
    MemoryError("Unable to allocate 90.0 GiB for an array"),
]


@pytest.mark.parametrize("error", _ERRORS)
@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("prepare_session", "cpu for the training pictures and the networks: .* less --data"),
        ("start_or_resume", "cpu for the training pictures and the networks: .* another --device"),
        ("train_step", "cpu: divide the batch with --set accumulate=2"),
    ],
)
def test_too_little_memory_is_told(
    tiny: TrainingConfig,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    place: str,
    advice: str,
) -> None:
    def fail(*_arguments: object) -> NoReturn:
        raise error

    monkeypatch.setattr(loop, place, fail)
    with pytest.raises(DeviceError, match=f"Not enough memory on {advice}"):
        run(tiny)
    # nothing was kept: the advice can be followed with the same --out
    assert not tiny.out.exists()
    monkeypatch.undo()
    assert run(tiny).finished


def test_a_run_that_has_kept_weights_keeps_its_folder(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = train_step

    def fail(session: Session, trainee: Trainee, meter: Meter) -> None:
        if trainee.step == 3:
            keep_weights(session, trainee, "best", {})
            raise _ERRORS[0]
        step(session, trainee, meter)

    monkeypatch.setattr(loop, "train_step", fail)
    with pytest.raises(DeviceError, match="Not enough memory"):
        run(tiny)
    assert RunFolder(tiny.out).description.exists() and RunFolder(tiny.out).metrics.exists()
    monkeypatch.undo()
    assert run(replace(tiny, resume=True)).finished


def test_other_failures_stay_what_they_are(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> NoReturn:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(loop, "prepare_session", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        run(tiny)

"""What a step counts."""

from __future__ import annotations

import time

import pytest

from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.training import loop, step
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.distributed import World
from memnet_cli.training.throughput import Meter
from memnet_cli.training.trainee import Trainee, new_trainee
from tests.training.conftest import run, session_of


class _Clock:
    """A module of time that stands still but for waits for the device, of so many seconds each."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self, *waits: float) -> None:
        self.now = 0.0
        self._waits = iter(waits)

    def perf_counter(self) -> float:
        return self.now

    def wait(self, _device: object) -> None:
        self.now += next(self._waits)


def test_work_that_earlier_steps_left_counts_as_time_but_not_of_the_step_that_is_timed(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(tiny)
    trainee = new_trainee(tiny, resolve_runtime("cpu", "fp32"), World())
    clock, meter = _Clock(5.0, 1.0, 2.0), Meter()
    monkeypatch.setattr(step, "time", clock)
    monkeypatch.setattr(step, "wait_for_device", clock.wait)
    step.train_step(session, trainee, meter)
    assert (meter.seconds, meter.timed, meter.timed_data) == (8.0, 3.0, 1.0)


def test_work_that_is_left_when_steps_are_reported_counts_as_theirs(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[float] = []

    def report(_session: object, _trainee: Trainee, meter: Meter) -> None:
        reported.append(meter.seconds)

    waits = (1e3, 2e3, 3e3)  # after the first step, the fifth and the last
    clock = _Clock(*waits)
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(loop, "wait_for_device", clock.wait)
    monkeypatch.setattr(loop, "report", report)
    run(tiny)
    assert reported == pytest.approx(waits, abs=100.0)

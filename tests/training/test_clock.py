"""Budgets in time, on a machine whose speed changes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from memnet_cli.models import build_model
from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.training.clock import Clock
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.data import gather_data
from memnet_cli.training.keeping import forecast_measuring
from memnet_cli.training.recipe_files import load_recipe
from memnet_cli.training.stopping import StopRequest
from memnet_cli.training.trainee import new_trainee
from memnet_cli.training.validation import measure
from tests.training.conftest import session_of


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list whose only element is what the clock shows."""
    shown = [1000.0]
    monkeypatch.setattr("memnet_cli.training.clock.time.monotonic", lambda: shown[0])
    return shown


def test_time_for_the_last_measurement_is_kept_back(now: list[float]) -> None:
    clock = Clock(started=1000.0, budget=100.0)
    clock.note_steps(1, 1.0, 100.0)
    clock.expect_measuring(20.0)  # 25 with caution, and 2 to close: 73 to train
    now[0] = 1000.0 + 73 / 2
    assert clock.progress() == pytest.approx(0.5)
    now[0] = 1072.5
    assert clock.progress() == 1.0  # no further step fits
    assert clock.deadline() == pytest.approx(1098.0)


def test_time_for_fitting_the_result_is_kept_back_too(now: list[float]) -> None:
    clock = Clock(started=1000.0, budget=100.0)
    clock.note_steps(1, 1.0, 100.0)
    clock.expect_measuring(8.0)
    clock.expect_fitting(12.0)
    assert clock.closing() == pytest.approx(27.0)
    clock.expect_measuring(4.0)  # as a measurement on the way has taken; fitting stays as it was
    assert clock.closing() == pytest.approx(22.0)


@pytest.mark.parametrize(("model", "fits"), [("memnet", True), ("plain", False)])
def test_a_run_expects_to_fit_an_ensemble_if_there_is_one(
    tiny: TrainingConfig, model: str, fits: bool
) -> None:
    recipe = load_recipe("fast", model, ("model.width=4", "batch=4", "patch=16", "refit=500"))
    config = replace(tiny, model=model, recipe=recipe)
    session = session_of(config)
    forecast_measuring(session, new_trainee(config, session.runtime, session.world))
    assert session.clock.measuring > 0.0
    assert (session.clock.fitting > 0.0) == fits


def test_a_machine_that_slows_down_leaves_more_time_for_it(now: list[float]) -> None:
    clock = Clock(started=1000.0, budget=10000.0)
    clock.note_steps(10, 10.0, 100.0)
    clock.expect_measuring(20.0)
    for _ in range(100):
        clock.note_steps(10, 15.0, 100.0)
    assert clock.closing() == pytest.approx(25.0 * 1.5 + 2.0, rel=1e-3)
    for _ in range(100):
        clock.note_steps(10, 60.0, 400.0)  # a larger network, and the pace of before
    assert clock.closing() == pytest.approx(25.0 * 1.5 + 2.0, rel=1e-3)
    for _ in range(100):
        clock.note_steps(10, 5.0, 100.0)  # faster: nothing is taken away
    assert clock.closing() == pytest.approx(27.0)


def test_a_stall_of_the_machine_moves_the_schedule_only_a_little(now: list[float]) -> None:
    clock = Clock(started=1000.0, budget=600.0)
    clock.note_steps(100, 10.0, 100.0)
    clock.expect_measuring(100.0)
    now[0] = 1200.0
    before = clock.progress()
    clock.note_steps(2, 10.0, 100.0)  # ten seconds in which everything took fifty times as long
    assert clock.closing() <= 2.0 + 2 * 125.0
    clock.note_steps(100, 10.0, 100.0)
    for _ in range(60):
        clock.note_steps(100, 10.0, 100.0)
    assert clock.progress() == pytest.approx(before, abs=0.02)


def test_measuring_never_takes_the_time_of_training(now: list[float]) -> None:
    clock = Clock(started=1000.0, budget=100.0)
    clock.expect_measuring(1000.0)  # a slow machine, or large pictures: fewer will be measured
    assert clock.closing() == pytest.approx(40.0)
    now[0] = 1030.0
    assert clock.progress() == pytest.approx(0.5)


def test_sessions_add_up(now: list[float]) -> None:
    clock = Clock(started=1000.0, budget=100.0, earlier=40.0)
    now[0] = 1010.0
    assert clock.elapsed() == 50.0
    assert clock.seconds_left(0.5) == 50.0
    assert clock.deadline() == pytest.approx(1058.0)
    steps = Clock(1000.0, None, earlier=40.0)
    steps.begin(0.2)  # after 10 seconds of reading, which the steps did not take
    assert steps.seconds_left(0.2) is None, "nothing to go by yet"
    now[0] = 1015.0
    assert steps.seconds_left(0.4) == pytest.approx(15.0)


def test_measuring_stops_at_its_deadline_but_not_before_the_first_picture(
    tiny: TrainingConfig, pictures: Path
) -> None:
    validation = replace(
        gather_data(tiny).validation, images=gather_data(tiny).images, levels=(2, 3)
    )
    model, runtime = build_model(tiny.model_config), resolve_runtime("cpu", "fp32")
    late = measure(validation, model, runtime, 0, StopRequest(), deadline=time.monotonic() - 1)
    assert [len(late[level].images) for level in (2, 3)] == [1, 1]
    whole = measure(validation, model, runtime, 0, StopRequest(), deadline=time.monotonic() + 60)
    assert [len(whole[level].images) for level in (2, 3)] == [5, 5]
    assert whole[2].images[0].psnr == late[2].images[0].psnr
    assert measure(validation, model, runtime, 0, StopRequest("SIGTERM")) == {}
    assert model.training

"""The profile counts what the cost model and torch's own counter count, and leaves nothing out."""

from __future__ import annotations

import json
import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from memnet_cli.evaluation import peaks, speed_profile
from memnet_cli.evaluation.speed_plan import SpeedConfig, plan_speed
from memnet_cli.evaluation.speed_profile import (
    Operation,
    SpeedProfile,
    measure_profile,
    merged,
)
from memnet_cli.evaluation.speed_report import Spread, Subject
from tests.evaluation.conftest import MakeWeights


@pytest.fixture(autouse=True)
def small_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the peaks on little work: what a peak is does not matter here."""
    monkeypatch.setattr(peaks, "_CONV_SHAPES", {"cpu": ((1, 8),)})
    monkeypatch.setattr(peaks, "_MATMUL_SIDES", {"cpu": (32,)})


def profile(
    make_weights: MakeWeights, *, exit_at: str = "", precision: str = "fp32"
) -> SpeedProfile:
    config = SpeedConfig(
        models=(f"{make_weights()}{exit_at}",),
        device="cpu",
        sizes=((24, 40),),
        precisions=(precision,),
        repeats=2,
    )
    (planned,) = plan_speed(config)
    return measure_profile(planned, config)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("exit_at", ["", "@1"])
def test_every_multiply_add_of_the_model_is_some_operations(
    make_weights: MakeWeights, precision: str, exit_at: str
) -> None:
    measured = profile(make_weights, exit_at=exit_at, precision=precision)
    assert (measured.height, measured.width) == (24, 40)
    # both blocks have the convolution of four maps to one in common, which is done once
    saved = 0 if exit_at else 2 * 9 * 4
    assert measured.total.flop == (measured.subject.flop_per_pixel - saved) * 24 * 40
    names = [op.name for op in measured.operations]
    assert any(name.startswith("qconv") for name in names) == (measured.subject.precision == "int8")
    assert any("conv" in op.name for op in measured.operations if op.flop)
    assert sum(map(measured.share, measured.operations)) == pytest.approx(1.0)
    assert all(len(op.seconds.values) == 2 and op.calls > 0 for op in measured.operations)
    medians = [op.seconds.median for op in measured.operations]
    assert medians == sorted(medians, reverse=True)
    json.dumps(measured.document())


def multiply() -> None:
    left, right = torch.rand(3, 5), torch.rand(5, 7)
    torch.mm(left, right)
    torch.addmm(torch.rand(3, 7), left, right)
    torch.bmm(torch.rand(2, 3, 5), torch.rand(2, 5, 7))
    maps, weight = torch.rand(1, 4, 6, 6), torch.rand(4, 4, 3, 3)
    torch.nn.functional.conv_transpose2d(maps, weight, padding=1)


def test_flop_of_products_are_those_of_torch() -> None:
    with FlopCounterMode(display=False) as counter:
        multiply()
    with speed_profile._OperationTimer(torch.device("cpu")) as timer:
        multiply()
    assert timer.flop.total() == counter.get_total_flops()
    assert timer.calls["mm 3x5 by 5x7"] == timer.calls["addmm 3x5 by 5x7"] == 1


def test_an_operation_has_the_time_that_the_device_needs_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(calls)))
    with speed_profile._OperationTimer(torch.device("cpu")) as timer:
        torch.zeros(3).sin().sin()
    assert timer.calls["sin"] == 2
    assert timer.seconds["sin"] == 2.0  # the clock is looked at before and after each


_SUBJECT = Subject("memnet", "memnet", "jpeg", "w", "h", "cpu", "fp32", 6e6)
_CONV = Operation("conv", 3, 4_000, Spread((8.0, 10.0, 14.0)))
_RELU = Operation("relu", 5, 0, Spread((1.0, 3.0, 2.0)))


def test_ratios_by_hand() -> None:
    made = SpeedProfile({}, _SUBJECT, 10, 10, 1_000.0, Spread((11.0,)), (_CONV, _RELU))
    # together 9, 13 and 16 seconds
    assert made.total == Operation("all", 8, 4_000, Spread((9.0, 13.0, 16.0)))
    assert made.share(_CONV) == pytest.approx(10 / 13)
    assert made.floor(_CONV) == 4.0
    assert made.share_of_peak(_CONV) == pytest.approx(0.4)
    assert made.above_floor(_CONV) == 6.0
    assert made.above_floor(_RELU) == 2.0
    assert merged("x", [_RELU]) == Operation("x", 5, 0, _RELU.seconds)

"""The machine's peaks: more work at the same time is a higher rate, whatever the machine."""

from __future__ import annotations

import itertools
import time

import pytest
import torch

from memnet_cli.evaluation import peaks
from memnet_cli.evaluation.peaks import measured_conv_peak, measured_matmul_peak
from memnet_cli.restoration.devices import Runtime

_CPU = Runtime(torch.device("cpu"), "fp32")


@pytest.fixture
def steady_clock(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """A clock that every look at moves on by a second."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))


def test_conv_peak_is_the_work_of_the_largest_shape_when_all_take_a_second(
    steady_clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peaks, "_CONV_SHAPES", {"cpu": ((1, 8), (2, 8), (1, 4))})
    # 64 * 64 * 3 * 3 multiply-adds for each of 2 * 8 * 8 pixels
    assert measured_conv_peak(_CPU, seconds=30.0) == 2 * 64 * 64 * 9 * 2 * 8 * 8


def test_matmul_peak_stops_at_a_size_that_is_too_slow(
    steady_clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peaks, "_MATMUL_SIDES", {"cpu": (8, 16)})
    assert measured_matmul_peak(_CPU, seconds=30.0) == 2 * 16**3
    assert measured_matmul_peak(_CPU, seconds=0.5) == 2 * 8**3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_peaks_are_measured_in_both_precisions(precision: str, one_thread: None) -> None:
    runtime = Runtime(torch.device("cpu"), precision)
    assert measured_conv_peak(runtime, seconds=0.01) > 0
    assert measured_matmul_peak(runtime, seconds=0.01) > 0

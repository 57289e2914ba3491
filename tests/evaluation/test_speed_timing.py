"""Candidates are timed in turns."""

from __future__ import annotations

import time

import pytest
import torch

from memnet_cli.evaluation.speed_timing import interleaved


def test_rounds_are_interleaved_and_timed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    order: list[str] = []

    def work(name: str, seconds: list[float]) -> None:
        nonlocal now
        now += seconds.pop(0)
        order.append(name)

    def pause() -> None:
        nonlocal now
        now += 100.0
        order.append("pause")

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    # the first value is the warm-up, which must not count
    first, second = [50.0, 1.0, 2.0], [60.0, 4.0, 8.0]
    spreads = interleaved(
        {"a": lambda: work("a", first), "b": lambda: work("b", second)},
        2,
        torch.device("cpu"),
        between=pause,
    )
    assert order == ["a", "b", "a", "b", "pause", "a", "b", "pause"]
    assert spreads["a"].values == (1.0, 2.0)
    assert spreads["b"].values == (4.0, 8.0)

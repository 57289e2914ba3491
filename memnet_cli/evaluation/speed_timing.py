"""Timing several things fairly on a machine that has other work too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from memnet_cli.evaluation.peaks import wait_for_device
from memnet_cli.evaluation.speed_report import Spread

Key = TypeVar("Key")


def interleaved(
    calls: Mapping[Key, Callable[[], object]],
    repeats: int,
    device: torch.device,
    *,
    between: Callable[[], None] = lambda: None,
) -> dict[Key, Spread]:
    """Return the seconds of every call, measured in rounds: A B C, A B C, ...

    A load that comes and goes falls on all of them alike. Every call is made once before, so
    that kernels are chosen and memory is there.

    Args:
        calls: what to time.
        repeats: rounds.
        device: waited for before and after every call.
        between: called after every round, untimed.
    """
    for call in calls.values():
        call()
    seconds: dict[Key, list[float]] = {key: [] for key in calls}
    for _ in range(repeats):
        for key, call in calls.items():
            wait_for_device(device)
            start = time.perf_counter()
            call()
            wait_for_device(device)
            seconds[key].append(time.perf_counter() - start)
        between()
    return {key: Spread(tuple(values)) for key, values in seconds.items()}

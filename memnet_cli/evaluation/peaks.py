"""What this machine can do at best: convolution and matrix product, measured, per precision."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.nn.functional import conv2d

from memnet_cli.restoration.devices import Runtime

_MAPS = 64
#: (planes, side) of the convolution: which one is best depends on caches and number of units
_CONV_SHAPES = {
    "cpu": ((1, 64), (1, 128), (4, 64)),
    "cuda": ((64, 128), (16, 256), (4, 512), (1, 1024)),
    "mps": ((16, 64), (4, 128)),
}
#: sides of the square matrices
_MATMUL_SIDES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192), "mps": (1024, 2048)}
#: calls between two looks at the clock
_CALLS = {"cpu": 1, "cuda": 20, "mps": 10}


@dataclass(frozen=True)
class Work:
    """Something to be timed, and how many floating-point operations it is."""

    flop: int
    call: Callable[[], object]


def wait_for_device(device: torch.device) -> None:
    """Return when everything that was queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@torch.no_grad()
def measured_conv_peak(runtime: Runtime, seconds: float = 0.2) -> float:
    """Return FLOP per second of a 64->64 3x3 channels_last convolution, MemNet's only large one.

    The best single run of the best shape; ``seconds`` is about the time for all shapes together.
    """
    shapes = _CONV_SHAPES[runtime.device.type]
    weight = _random(runtime, _MAPS, _MAPS, 3, 3).to(memory_format=torch.channels_last)

    def work(shape: tuple[int, int]) -> Work:
        planes, side = shape
        maps = _random(runtime, planes, _MAPS, side, side).to(memory_format=torch.channels_last)
        flop = 2 * 9 * _MAPS * _MAPS * planes * side * side
        return Work(flop, lambda: conv2d(maps, weight, padding=1))

    return _best_rate(map(work, shapes), runtime.device, seconds / len(shapes))


@torch.no_grad()
def measured_matmul_peak(runtime: Runtime, seconds: float = 0.2) -> float:
    """Return FLOP per second of a product of square matrices: the best run of the best size."""
    sides = _MATMUL_SIDES[runtime.device.type]

    def work(side: int) -> Work:
        left, right = (_random(runtime, side, side) for _ in range(2))
        return Work(2 * side**3, lambda: left @ right)

    return _best_rate(map(work, sides), runtime.device, seconds / len(sides))


def _random(runtime: Runtime, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=runtime.device, dtype=runtime.dtype)


def _best_rate(works: Iterable[Work], device: torch.device, seconds: float) -> float:
    """Return the best FLOP per second over ``works``, each done for about ``seconds``.

    Works come smallest first: one that takes much longer than it should ends the series, as in a
    precision that the device has no units for.
    """
    best = 0.0
    for work in works:
        taken = _best_seconds(work.call, device, seconds)
        best = max(best, work.flop / taken)
        if taken > seconds:
            break
    return best


def _best_seconds(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the seconds of one call: the fastest of as many as fit into ``seconds``."""
    calls = _CALLS[device.type]
    call()  # the first call chooses and builds a kernel
    best = float("inf")
    end = time.perf_counter() + seconds
    while True:
        wait_for_device(device)
        start = time.perf_counter()
        for _ in range(calls):
            call()
        wait_for_device(device)
        now = time.perf_counter()
        best = min(best, (now - start) / calls)
        if now >= end:
            return best

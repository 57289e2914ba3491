"""How fast a run is, and how fast this machine could be."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch.nn.functional import conv2d

from memnet_cli.restoration.devices import Runtime

_MAPS = 64
_SHAPES = {"cpu": (4, 64), "cuda": (64, 128), "mps": (16, 64)}


def wait_for_device(device: torch.device) -> None:
    """Return when everything that was queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@torch.no_grad()
def measured_conv_peak(runtime: Runtime, seconds: float = 0.2) -> float:
    """Return FLOP per second of a 64->64 3x3 convolution: the best of repeated short runs."""
    count, side = _SHAPES[runtime.device.type]
    place = {"device": runtime.device, "dtype": runtime.dtype}
    planes = torch.randn(count, _MAPS, side, side, **place)  # type: ignore[call-overload]
    planes = planes.to(memory_format=torch.channels_last)
    weight = torch.randn(_MAPS, _MAPS, 3, 3, **place)  # type: ignore[call-overload]
    weight = weight.to(memory_format=torch.channels_last)
    flops = 2 * 9 * _MAPS * _MAPS * count * side * side
    repeats = 20 if runtime.device.type == "cuda" else 1
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        wait_for_device(runtime.device)
        start = time.perf_counter()
        for _ in range(repeats):
            conv2d(planes, weight, padding=1)
        wait_for_device(runtime.device)
        best = max(best, repeats * flops / (time.perf_counter() - start))
    return best


@dataclass
class Meter:
    """Sums over the steps since the last report.

    Attributes:
        steps, pixels: done, by all processes.
        seconds: in steps; the time of measuring and saving is not in it.
        timed, timed_data: seconds of the steps whose making of patches was timed, and of that.
        losses: of the steps, on the device.
    """

    steps: int = 0
    pixels: int = 0
    seconds: float = 0.0
    timed: float = 0.0
    timed_data: float = 0.0
    losses: list[torch.Tensor] = field(default_factory=list)

    def mean_loss(self) -> float:
        """Return the mean loss over the steps; waits for the device."""
        return float(torch.stack(self.losses).mean()) if self.losses else 0.0

    def data_share(self) -> float:
        """Return the share of the time that went into making patches."""
        return self.timed_data / self.timed if self.timed else 0.0

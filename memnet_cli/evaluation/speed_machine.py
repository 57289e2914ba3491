"""What a speed was measured on: facts about the machine, and its peaks."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

import psutil
import torch

from memnet_cli.evaluation.peaks import measured_conv_peak, measured_matmul_peak
from memnet_cli.evaluation.run import environment
from memnet_cli.evaluation.speed_report import Peak, Spread
from memnet_cli.restoration.devices import Runtime, fast_bf16

_MEASURES = {"convolution": measured_conv_peak, "matmul": measured_matmul_peak}


def machine_facts(device: torch.device) -> dict[str, object]:
    """Return names, counts and versions that a speed depends on, and the load at this moment."""
    cuda = device.type == "cuda"
    return {
        "cpu": _cpu_name(),
        "cpu_cores": psutil.cpu_count(logical=False),
        "cpu_threads": psutil.cpu_count(),
        "cpu_instructions": torch.backends.cpu.get_cpu_capability(),
        "memory_bytes": psutil.virtual_memory().total,
        "torch_threads": torch.get_num_threads(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if cuda else _cpu_name(),
        "bf16_units": fast_bf16(device),
        "cuda": torch.version.cuda if cuda else None,
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": environment(),
    }


def _cpu_name() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(errors="replace").splitlines() if facts.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


class PeakMeter:
    """The peaks of one device, looked at again and again during a run."""

    def __init__(self, device: torch.device, precisions: Iterable[str]) -> None:
        always = ("fp32", "bf16", "fp16") if device.type == "cuda" else ("fp32", "bf16")
        self._device = device
        wanted = (self._measured(precision) for precision in (*always, *precisions))
        self._runtimes = [Runtime(device, precision) for precision in dict.fromkeys(wanted)]
        self._looks: dict[tuple[str, str], list[float]] = {}

    def _measured(self, precision: str) -> str:
        """Return the precision whose peak stands for another: for int8, that of the rest."""
        return Runtime(self._device, precision).without_int8.precision

    def look(self) -> None:
        """Measure every peak once more."""
        for runtime in self._runtimes:
            for operation, measure in _MEASURES.items():
                looks = self._looks.setdefault((operation, runtime.precision), [])
                looks.append(measure(runtime))

    def peaks(self) -> tuple[Peak, ...]:
        """Return what was measured so far."""
        return tuple(Peak(*key, Spread(tuple(looks))) for key, looks in self._looks.items())

    def conv_peak(self, precision: str) -> float:
        """Return the highest FLOP per second of a convolution so far."""
        return max(self._looks["convolution", self._measured(precision)])

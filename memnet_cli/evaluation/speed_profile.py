"""Where the time inside a model goes: every operation that torch runs, timed one by one."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from memnet_cli.evaluation.methods import PlannedMethod
from memnet_cli.evaluation.peaks import wait_for_device
from memnet_cli.evaluation.speed_machine import PeakMeter, machine_facts
from memnet_cli.evaluation.speed_plan import SpeedConfig
from memnet_cli.evaluation.speed_report import Spread, Subject
from memnet_cli.evaluation.speed_subjects import inside_call, load


@dataclass(frozen=True)
class Operation:
    """All calls of one kind while the model runs once.

    Attributes:
        name: torch's, with the shapes of what is multiplied.
        calls: in one run of the model.
        flop: of all these calls, two for a multiply-add; 0 where nothing is multiplied.
        seconds: of all these calls, one value for every run.
    """

    name: str
    calls: int
    flop: int
    seconds: Spread


@dataclass(frozen=True)
class SpeedProfile:
    """One model at one size.

    Attributes:
        machine: what it was measured on.
        height, width: of the plane that was restored, one tile.
        conv_peak: FLOP per second of a convolution on this device in the subject's precision.
        inside: seconds of the model when its operations are not timed.
        operations: those that take longest first.
    """

    machine: dict[str, object]
    subject: Subject
    height: int
    width: int
    conv_peak: float
    inside: Spread
    operations: tuple[Operation, ...]

    @property
    def total(self) -> Operation:
        """All operations together."""
        return merged("all", self.operations)

    def share(self, operation: Operation) -> float:
        """Return the share of the time of all operations."""
        return operation.seconds.median / self.total.seconds.median

    def share_of_peak(self, operation: Operation) -> float:
        """Return the share of the convolution peak that an operation reaches."""
        return self.floor(operation) / operation.seconds.median

    def floor(self, operation: Operation) -> float:
        """Return the seconds that its multiply-adds would take at the convolution peak."""
        return operation.flop / self.conv_peak

    def above_floor(self, operation: Operation) -> float:
        """Return the seconds beyond the floor: below zero where fewer multiplications do."""
        return operation.seconds.median - self.floor(operation)

    def document(self) -> dict[str, object]:
        """Return the profile as JSON."""
        return {
            "machine": self.machine,
            **asdict(self.subject),
            "height": self.height,
            "width": self.width,
            "conv_peak_flop_per_second": self.conv_peak,
            "inside_seconds": self.inside.document(),
            "operations": [
                {
                    "name": operation.name,
                    "calls": operation.calls,
                    "flop": operation.flop,
                    "seconds": operation.seconds.document(),
                    "share_of_time": self.share(operation),
                    "share_of_conv_peak": self.share_of_peak(operation),
                    "seconds_above_floor": self.above_floor(operation),
                }
                for operation in self.operations
            ],
        }


def merged(name: str, operations: Sequence[Operation]) -> Operation:
    """Return several operations as one."""
    rounds = zip(*(operation.seconds.values for operation in operations), strict=True)
    return Operation(
        name,
        sum(operation.calls for operation in operations),
        sum(operation.flop for operation in operations),
        Spread(tuple(sum(seconds) for seconds in rounds)),
    )


def measure_profile(
    planned: PlannedMethod, config: SpeedConfig, say: Callable[[str], None] = lambda _: None
) -> SpeedProfile:
    """Time every operation of one model in one precision at one size.

    The device is waited for after each, so that nothing overlaps: on a GPU all together take
    longer than the model does.

    Raises:
        DeviceError: for a device or precision that is not there, or too little memory.
        WeightsError: for damaged weights.
    """
    (precision,), ((height, width),) = config.precisions, config.sizes
    loaded = load(planned, config.device, precision)
    device, precision = loaded.engine.runtime.device, loaded.engine.runtime.precision
    call, _ = inside_call(loaded.engine, height, width)
    _, _, height, width = call().shape
    meter = PeakMeter(device, (precision,))
    inside: list[float] = []
    runs: list[_OperationTimer] = []
    for number in range(config.repeats):
        say(f"run {number + 1} of {config.repeats}")
        meter.look()
        inside.append(_seconds(call, device)[1])
        with _OperationTimer(device) as timer:
            call()
        runs.append(timer)
    operations = [_operation(name, runs) for name in runs[0].calls]
    operations.sort(key=lambda operation: operation.seconds.median, reverse=True)
    return SpeedProfile(
        machine_facts(device),
        loaded.subject,
        height,
        width,
        meter.conv_peak(precision),
        Spread(tuple(inside)),
        tuple(operations),
    )


class _OperationTimer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts and times what reaches torch's kernels while it is entered."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.calls: Counter[str] = Counter()
        self.flop: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        call = partial(function, *args, **(kwargs or {}))
        with self:  # what is made of other operations only is timed as these
            parts = function.decompose(*args, **(kwargs or {}))
        if parts is not NotImplemented:
            return parts
        result, seconds = _seconds(call, self.device)
        name, flop = _work(function.overloadpacket.__name__, args, result)
        self.calls[name] += 1
        self.flop[name] += flop
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        return result


def _operation(name: str, runs: Sequence[_OperationTimer]) -> Operation:
    seconds = Spread(tuple(run.seconds[name] for run in runs))
    return Operation(name, runs[0].calls[name], runs[0].flop[name], seconds)


def _seconds(call: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    wait_for_device(device)
    start = time.perf_counter()
    result = call()
    wait_for_device(device)
    return result, time.perf_counter() - start


def _work(name: str, args: Sequence[object], result: object) -> tuple[str, int]:
    """Return the operation's name with the shapes that its cost depends on, and its FLOP.

    Convolutions are taken to have a stride of 1 and one group, as all of this package have.
    """
    tensors = [value for value in args if isinstance(value, Tensor)]
    if not isinstance(result, Tensor) or len(tensors) < 2:
        return name, 0
    if "conv" in name:
        maps = [value for value in tensors if value.ndim == 4]
        # in 8 bits, what is added to comes behind the weight, else before it
        weight = maps[1] if name.startswith("qconv") else maps[-1]
        outer, inner, *sides = weight.shape
        pixels = result.shape[0] * math.prod(result.shape[2:])
        text = f"{name} {'x'.join(map(str, sides))}, {inner} and {outer} maps"
        return text, 2 * weight.numel() * pixels
    if name.rstrip("_").endswith("mm"):
        left, right = tensors[-2:]
        shapes = " by ".join("x".join(map(str, value.shape)) for value in (left, right))
        return f"{name} {shapes}", 2 * result.numel() * left.shape[-1]
    return name, 0

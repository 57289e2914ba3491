"""Time the ways in which memnet_cli.models.fused can compute MemNet on a CPU, in turns.

OMP_NUM_THREADS=1 python benchmarks/restoring_kernels.py --weights memnet-m6r6-jpeg
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from memnet_cli.checkpoints import load_weights
from memnet_cli.evaluation.speed_plan import SpeedConfig, parse_size, plan_speed
from memnet_cli.models.fused import FusedMemNet
from memnet_cli.models.kernels import ONEDNN, PLAIN, WINOGRAD
from memnet_cli.models.memnet import MemNet
from memnet_cli.restoration.host_memory import reuse_freed_memory


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool, rows: int) -> Tensor:
    kernels = PLAIN if weight.shape[-1] == 1 else WINOGRAD
    return kernels.conv(x, weight, bias, relu, rows)


def _conv_into(total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, rows: int) -> Tensor:
    if weight.shape[-1] != 1:
        return WINOGRAD.conv_into(total, x, weight, bias, rows)
    for plane, maps in zip(total.flatten(2), x.flatten(2), strict=True):
        plane.addmm_(weight.flatten(1), maps)
    return total


#: A product for every memory of a gate, and torch's convolution to the one map.
_MEMORY_BY_MEMORY = replace(
    WINOGRAD, conv=_conv, conv_into=_conv_into, conv_to_few=PLAIN.conv_to_few, in_columns=False
)


def variants(model: MemNet) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return what is compared, the module itself first."""
    kernels = {
        "oneDNN's fused convolutions": ONEDNN,
        "NNPACK's Winograd convolutions": _MEMORY_BY_MEMORY,
        "+ gates and the last convolution as products": WINOGRAD,
    }
    fused = {name: FusedMemNet(model, torch.float32, chosen) for name, chosen in kernels.items()}
    module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return {"the module": module, **fused}


@torch.inference_mode()
def main() -> None:
    """Print the CPU seconds a megapixel of every variant, and how many times as fast it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True, help="a MemNet weights file, or its name")
    parser.add_argument("--size", default="250x262", help="HEIGHTxWIDTH or one side")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    (planned,) = plan_speed(SpeedConfig((given.weights,)))
    assert planned.weights is not None
    model, _ = load_weights(planned.weights)
    if not isinstance(model, MemNet) or not torch._nnpack_available():
        parser.error("expected weights of MemNet, and a torch with NNPACK")
    reuse_freed_memory()
    compared = variants(model.eval())
    plane = torch.rand(1, 1, *parse_size(given.size))
    for call in compared.values():
        call(plane)
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(given.repeats):
        for name, call in compared.items():
            start = time.process_time()
            call(plane)
            seconds[name].append(time.process_time() - start)
    first, megapixels = seconds["the module"], plane.numel() / 1e6
    for name, times in seconds.items():
        median = statistics.median(times) / megapixels
        ratios = sorted(one / other for one, other in zip(first, times, strict=True))
        print(
            f"{name}: {median:.1f} CPU s a megapixel, {statistics.median(ratios):.2f} times "
            f"as fast as the module ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()

"""Time ways to compute BN-ReLU and gates in bf16 on a CPU: what is used, and what was tried.

OMP_NUM_THREADS=1 python benchmarks/bf16_tries.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from memnet_cli.models.activation import Activation
from memnet_cli.models.kernels import ONEDNN
from memnet_cli.restoration.host_memory import reuse_freed_memory

_MAPS, _HEIGHT, _WIDTH, _MEMORIES, _REPEATS = 64, 500, 524, 7, 7


def nanoseconds(call: Callable[[], object]) -> float:
    """Return the median CPU time of a pixel."""
    call()
    seconds = []
    for _ in range(_REPEATS):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds) / (_HEIGHT * _WIDTH) * 1e9


def maps() -> Tensor:
    """Return (1, 64, H, W) bf16 maps, channels_last."""
    values = torch.randn(1, _MAPS, _HEIGHT, _WIDTH, dtype=torch.bfloat16)
    return values.contiguous(memory_format=torch.channels_last)


def activations(x: Tensor, activation: Activation) -> dict[str, Callable[[], object]]:
    """Return ways to compute BN-ReLU."""
    bound = activation.offset.to(torch.bfloat16).view(1, -1, 1, 1)
    result = torch.empty_like(x)

    def strips(rows: int) -> None:
        for top in range(0, _HEIGHT, rows):
            result[:, :, top : top + rows] = activation(x[:, :, top : top + rows])

    return {
        "BN and ReLU of floats": lambda: activation.affine(x).relu_(),
        "BN and ReLU on the bits (used)": lambda: activation(x),
        "the same in strips of 8 rows": lambda: strips(8),
        "the same in strips of 64 rows": lambda: strips(64),
        "ReLU of floats": result.relu_,
        "ReLU on the bits": lambda: result.view(torch.int16).clamp_(min=0),
        "maximum with a bound for each map": lambda: torch.maximum(x, bound, out=result),
    }


def gates(memories: list[Tensor], activation: Activation) -> dict[str, Callable[[], object]]:
    """Return ways to compute a gate over all memories."""
    weights = [torch.randn(_MAPS, _MAPS, 1, 1, dtype=torch.bfloat16) / 20 for _ in memories]
    weights = [weight.contiguous(memory_format=torch.channels_last) for weight in weights]
    bias = torch.zeros(_MAPS, dtype=torch.bfloat16)
    whole = torch.cat(weights, 1).flatten(1).T
    columns = [memory.permute(0, 2, 3, 1).reshape(-1, _MAPS) for memory in memories]
    bound, total = activation.offset.to(torch.bfloat16), torch.empty_like(columns[0])

    def convolved() -> None:
        result = ONEDNN.conv(activation(memories[0]), weights[0], bias, False, 0)
        for memory, weight in zip(memories[1:], weights[1:], strict=True):
            ONEDNN.conv_into(result, activation(memory), weight, None, 0)

    def multiplied(step: int) -> None:
        for start in range(0, len(total), step):
            part = slice(start, start + step)
            seen = torch.cat([torch.maximum(column[part], bound) for column in columns], 1)
            torch.addmm(bias, seen, whole, out=total[part])

    return {
        "gate: a 1x1 convolution for each memory (used)": convolved,
        "gate: products of all memories, 4000 pixels": lambda: multiplied(4000),
        "gate: products of all memories, 16000 pixels": lambda: multiplied(16000),
    }


@torch.inference_mode()
def main() -> None:
    """Print nanoseconds a pixel."""
    reuse_freed_memory()
    torch.manual_seed(0)
    activation = Activation(torch.rand(_MAPS), torch.randn(_MAPS))
    memories = [maps() for _ in range(_MEMORIES)]
    calls = {**activations(memories[0], activation), **gates(memories, activation)}
    for name, call in calls.items():
        print(f"{nanoseconds(call):6.1f} ns a pixel  {name}")


if __name__ == "__main__":
    main()

"""Compare torch's int8 convolution on the CPU with its float32 one, for MemNet's layer.

OMP_NUM_THREADS=1 python benchmarks/int8_convolution.py
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F

_MAPS, _SIDE, _REPEATS = 64, 256, 7
_ENGINES = ("fbgemm", "onednn")


def best_of(run: Callable[[], object]) -> float:
    """Return the shortest of some runs, in CPU seconds of this process."""
    run()
    times = []
    for _ in range(_REPEATS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def int8_convolution(maps: torch.Tensor, weight: torch.Tensor) -> Callable[[], object]:
    """Return the quantised convolution of maps that are quantised already."""
    scales, zeros = torch.full((_MAPS,), 0.002), torch.zeros(_MAPS, dtype=torch.long)
    quantised = torch.quantize_per_tensor(maps, 1 / 127, 0, torch.quint8)
    kernels = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    packed = torch.ops.quantized.conv2d_prepack(kernels, None, [1, 1], [1, 1], [1, 1], 1)
    return lambda: torch.ops.quantized.conv2d(quantised, packed, 0.01, 64)


@torch.inference_mode()
def main() -> None:
    """Print TFLOP/s of the convolution in each way, and what quantising its input adds."""
    warnings.filterwarnings("ignore", message=".*deprecated.*")
    maps = torch.rand(1, _MAPS, _SIDE, _SIDE).contiguous(memory_format=torch.channels_last)
    weight = 0.05 * torch.randn(_MAPS, _MAPS, 3, 3)
    work = 2 * 9 * _MAPS**2 * _SIDE**2
    seconds = best_of(lambda: F.conv2d(maps, weight, padding=1))
    print(f"float32, direct: {work / seconds / 1e12:.3f} TFLOP/s")
    quantising = best_of(lambda: torch.quantize_per_tensor(maps, 1 / 127, 0, torch.quint8))
    for engine in _ENGINES:
        torch.backends.quantized.engine = engine
        seconds = best_of(int8_convolution(maps, weight))
        print(
            f"int8, {engine}: {work / seconds / 1e12:.3f} TFLOP/s, "
            f"{work / (seconds + quantising) / 1e12:.3f} with its input quantised"
        )


if __name__ == "__main__":
    main()

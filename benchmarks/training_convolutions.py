"""Time a training step of MemNet with the convolutions of memnet_cli.models.gradients and without.

OMP_NUM_THREADS=1 python benchmarks/training_convolutions.py
"""

from __future__ import annotations

import copy
import statistics
import time

import torch

from memnet_cli.models import build_model
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.gradients import can_train_faster, train_faster
from memnet_cli.restoration.host_memory import reuse_freed_memory

_BATCH, _PATCH, _REPEATS = 8, 48, 5


def step(model: RestorationModel, patches: torch.Tensor) -> float:
    """Return the CPU seconds of one step, forward and backward."""
    start = time.process_time()
    loss = torch.stack([(y - patches).square().mean() for y in model.predictions(patches)]).sum()
    torch.autograd.backward(loss)
    return time.process_time() - start


def main() -> None:
    """Print the CPU seconds of a step in both ways, taken in turns, and their ratio."""
    if not can_train_faster(torch.device("cpu"), torch.float32):
        print("This CPU trains with torch's own convolutions: nothing to compare.")
        return
    reuse_freed_memory()
    torch.manual_seed(0)
    usual = build_model(MemNetConfig()).train()
    faster = copy.deepcopy(usual)
    usual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train_faster(faster)
    patches = torch.rand(_BATCH, 1, _PATCH, _PATCH)
    for model in (usual, faster):
        step(model, patches)
    pairs = [(step(usual, patches), step(faster, patches)) for _ in range(_REPEATS)]
    before, after = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"torch's convolutions {before:.2f} CPU s a step, these {after:.2f}")
    ratios = sorted(one / other for one, other in pairs)
    print(f"{statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig, NLRNConfig, PlainConfig
from memnet_cli.models.nlrn import PatchAverage
from memnet_cli.restoration import memory
from memnet_cli.restoration.memory import largest_tile, peak_bytes_per_pixel


def test_plain_chain_holds_three_activations() -> None:
    # the input of a convolution, its output and the ReLU of that live at once: 3 of 16 maps of
    # 4 bytes each
    model = build_model(PlainConfig(depth=6, width=16))
    assert peak_bytes_per_pixel(model, torch.float32) == pytest.approx(3 * 16 * 4, rel=0.02)


def test_half_precision_takes_half() -> None:
    model = build_model(MemNetConfig(memory_blocks=2, recursions=2, width=8))
    full, half = (peak_bytes_per_pixel(model, kind) for kind in (torch.float32, torch.bfloat16))
    assert half == pytest.approx(full / 2, rel=0.01)


def test_recursions_cost_no_memory_and_blocks_cost_one_map_each() -> None:
    # short-term memories are dropped once the gate has them; long-term ones stay
    def peak(blocks: int, recursions: int) -> float:
        config = MemNetConfig(memory_blocks=blocks, recursions=recursions, width=8)
        return peak_bytes_per_pixel(build_model(config), torch.float32)

    assert peak(3, 8) == pytest.approx(peak(3, 3), rel=0.02)
    assert peak(5, 3) - peak(3, 3) == pytest.approx(2 * 8 * 4, rel=0.05)


_COUNT = """
import sys
import torch
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig, REDNetConfig
from memnet_cli.restoration.memory import peak_bytes_per_pixel
configs = MemNetConfig(memory_blocks=2, recursions=2, width=8), REDNetConfig(depth=10, width=8)
for config in configs:
    for fused in (True, False):
        peak_bytes_per_pixel(build_model(config).eval(), torch.float32, fused)
print(*(name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules))
"""


def test_counting_does_not_load_torchs_compiler() -> None:
    # a second and more, at the first picture of every command
    command = [sys.executable, "-c", _COUNT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_tile_grows_with_the_memory_and_never_below_its_overlap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu = torch.device("cpu")
    sides = []
    for free in (10**6, 10**8, 10**10, 10**15):
        monkeypatch.setattr(memory, "free_bytes", lambda _device, free=free: free)
        sides.append(largest_tile(3000.0, cpu, overlap=24))
        if sides[-1] > 80:
            assert sides[-1] ** 2 * 3000 <= free
    assert sides == sorted(sides)
    assert sides[0] == 2 * 24 + 32
    assert sides[-1] == 4096


def test_patches_are_counted_as_many_at_once_as_the_device_takes() -> None:
    config = NLRNConfig(steps=2, width=8, embedding_width=4, neighbourhood=9)
    patches = PatchAverage(build_model(config).eval(), stride=18, side=25)  # type: ignore[arg-type]
    on_a_cpu = peak_bytes_per_pixel(patches, torch.float32)
    patches.model.limits_of = "cuda"
    # 104 patches at once instead of 26, of 784 in the plane that is counted
    assert 2 * on_a_cpu < peak_bytes_per_pixel(patches, torch.float32) < 8 * on_a_cpu


def test_free_memory_of_this_machine() -> None:
    assert 10**6 < memory.free_bytes(torch.device("cpu")) < 10**14

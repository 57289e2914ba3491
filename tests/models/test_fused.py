"""The fused MemNet is the module: every variant, kernel, size and exit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from memnet_cli.models import build_model, fused
from memnet_cli.models.bands import plan_bands
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.fused import FusedMemNet
from memnet_cli.models.growing import grown
from memnet_cli.models.kernels import (
    ONEDNN,
    PLAIN,
    WINOGRAD,
    Kernels,
    kernels_for,
    onednn_knows,
)
from memnet_cli.models.memnet import MemNet, MemoryBlock

CPU = torch.device("cpu")
KERNELS = [
    PLAIN,
    pytest.param(
        ONEDNN,
        marks=pytest.mark.skipif(
            not onednn_knows(torch.float32), reason="torch was built without oneDNN"
        ),
    ),
    pytest.param(
        WINOGRAD,
        marks=pytest.mark.skipif(
            not torch._nnpack_available(), reason="torch was built without NNPACK"
        ),
    ),
]
VARIANTS = [
    MemNetConfig(3, 2, 16),
    MemNetConfig(2, 3, 16, multi_supervised=False),
    MemNetConfig(3, 2, 16, long_term=False),
    MemNetConfig(3, 2, 16, short_term=False),
    MemNetConfig(2, 1, 16, preactivated_input=True),
    MemNetConfig(1, 1, 8),
    MemNetConfig(3, 2, 16, unshuffle=2, non_local=2),
    MemNetConfig(3, 1, 16, long_term=False, non_local=1),
    MemNetConfig(3, 2, 16, unshuffle=2),
    MemNetConfig(2, 1, 16, unshuffle=3, preactivated_input=True, multi_supervised=False),
]
UNSHUFFLED = MemNetConfig(2, 1, 16, unshuffle=2)


def trained(config: MemNetConfig) -> MemNet:
    """Return a network with statistics of its own, as after training."""
    torch.manual_seed(1)
    model = build_model(config)
    assert isinstance(model, MemNet)
    with torch.no_grad():
        for _ in range(3):
            model.train()(torch.rand(2, 1, 24, 24))
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def planes(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


def assert_equal(
    model: MemNet, kernels: Kernels, batch: Tensor, exit_block: int | None = None
) -> None:
    with torch.inference_mode():
        expected = model.double()(batch.double(), exit_block)
        model.float()
        result = FusedMemNet(model, torch.float32, kernels)(batch, exit_block)
    assert result.dtype == torch.float32
    change = (expected - batch).abs().max()
    assert change > 0.1
    assert (result - expected).abs().max() < 1e-5 * change


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("config", VARIANTS)
def test_every_variant_is_the_module(config: MemNetConfig, kernels: Kernels) -> None:
    assert_equal(trained(config), kernels, planes(2, 1, 33, 29))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 9), (8, 8), (64, 3)])
def test_every_size_is_the_modules(height: int, width: int, kernels: Kernels) -> None:
    assert_equal(trained(VARIANTS[0]), kernels, planes(1, 1, height, width))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("height", "width"), [(2, 9), (7, 8), (63, 3)])
def test_squares_that_the_plane_cuts_off_are_the_modules(
    height: int, width: int, kernels: Kernels
) -> None:
    assert_equal(trained(UNSHUFFLED), kernels, planes(1, 1, height, width))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("block", [1, 2, 3])
def test_every_exit_is_the_modules(block: int, kernels: Kernels) -> None:
    assert_equal(trained(VARIANTS[0]), kernels, planes(1, 1, 20, 20), exit_block=block)
    assert_equal(trained(VARIANTS[-2]), kernels, planes(1, 1, 21, 20), exit_block=block)


@pytest.mark.parametrize("multi_supervised", [True, False])
def test_recursions_that_no_gate_reads_are_not_computed(multi_supervised: bool) -> None:
    calls: list[int] = []

    def counted(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
        calls.append(weight.shape[-1])
        return PLAIN.conv(x, weight, *rest)

    kernels = replace(PLAIN, conv=counted)
    small = trained(MemNetConfig(3, 2, 16, multi_supervised=multi_supervised))
    assert_equal(grown(small, 4), kernels, planes(1, 1, 20, 20))
    # the first convolution of every recursion; the second one is added to the state
    assert calls.count(3) == 3 * 2
    calls.clear()
    large = grown(small, 4)
    block = large.blocks[1]
    assert isinstance(block, MemoryBlock)
    with torch.no_grad():
        block.gate.conv.weight[:, -32:-16] = 0.1  # the third of four recursions
    assert_equal(large, kernels, planes(1, 1, 20, 20))
    assert calls.count(3) == 2 + 3 + 2


def test_a_gate_of_zeros_is_its_bias() -> None:
    model = trained(VARIANTS[0])
    block = model.blocks[0]
    assert isinstance(block, MemoryBlock)
    with torch.no_grad():
        block.gate.conv.weight.zero_()
    assert_equal(model, PLAIN, planes(1, 1, 20, 20))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("pixels", [1, 29 * 8, 29 * 16])
@pytest.mark.parametrize("count", [1, 2])
def test_bands_of_rows_change_nothing(
    kernels: Kernels, pixels: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "_FLOAT_PIXELS", pixels)
    in_bands = replace(kernels, band_pixels=pixels)
    assert len(plan_bands(count, 33, 29, pixels)) > 1
    assert_equal(trained(VARIANTS[0]), in_bands, planes(count, 1, 33, 29))


@pytest.mark.parametrize("kernels", [PLAIN, ONEDNN])
def test_bf16_differs_no_more_than_autocast_does(kernels: Kernels) -> None:
    if kernels is ONEDNN and not onednn_knows(torch.bfloat16):
        pytest.skip("oneDNN has no bfloat16 on this CPU")
    model = trained(VARIANTS[0])
    batch = planes(1, 1, 24, 24)
    with torch.inference_mode():
        exact = model(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = model(batch)
        fast = FusedMemNet(model, torch.bfloat16, kernels)(batch)
    assert (fast - exact).square().mean() < 2 * (mixed - exact).square().mean()


def test_the_input_and_the_module_are_not_written_to() -> None:
    model = trained(VARIANTS[0])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batch = planes(1, 1, 12, 12)
    FusedMemNet(model, torch.float32, kernels_for(CPU, torch.float32))(batch)
    assert torch.equal(batch, planes(1, 1, 12, 12))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kernels", KERNELS)
@torch.no_grad()
def test_later_changes_of_the_module_do_not_reach_it(kernels: Kernels) -> None:
    model = trained(VARIANTS[0])
    fused = FusedMemNet(model, torch.float32, kernels)
    batch = planes(1, 1, 24, 24)
    before = fused(batch)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.mul_(1.5).add_(0.25)
    assert torch.equal(fused(batch), before)


def test_winograd_is_for_float32_on_a_cpu_only() -> None:
    assert kernels_for(CPU, torch.bfloat16) is not WINOGRAD
    assert kernels_for(torch.device("cuda"), torch.float32) is PLAIN

"""Convolutions for training against torch's own in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig, PlainConfig
from memnet_cli.models.gradients import can_train_faster, train_faster

needs_winograd = pytest.mark.skipif(
    not can_train_faster(torch.device("cpu"), torch.float32),
    reason="this CPU trains with torch's own convolutions",
)


def _results(conv: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """Return output and gradients of a loss that weighs every output pixel differently."""
    x = x.detach().requires_grad_()
    y = conv(x)
    weights = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view_as(y)
    loss = (y * weights.to(y.dtype)).sum()
    return [y.detach(), *torch.autograd.grad(loss, [x, *conv.parameters()])]


@needs_winograd
@pytest.mark.parametrize("size", [(2, 16, 16), (1, 1, 7), (3, 13, 1), (1, 2, 40)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_are_those_of_float64(
    size: tuple[int, int, int], layout: torch.memory_format, bias: bool
) -> None:
    torch.manual_seed(1)
    planes, height, width = size
    conv = nn.Conv2d(33, 40, 3, padding=1, bias=bias)
    x = torch.randn(planes, 33, height, width).contiguous(memory_format=layout)
    exact = _results(copy.deepcopy(conv).double(), x.double())
    train_faster(conv)
    for found, expected in zip(_results(conv, x), exact, strict=True):
        assert found.shape == expected.shape
        assert float((found - expected).abs().max() / expected.abs().max()) < 3e-5


@needs_winograd
def test_a_network_learns_the_same_from_a_step() -> None:
    torch.manual_seed(0)
    usual = build_model(MemNetConfig(memory_blocks=2, recursions=2, width=32))
    faster = copy.deepcopy(usual)
    train_faster(faster)
    x = torch.rand(2, 1, 16, 16)
    for model in (usual, faster):
        outputs = model.train().predictions(x)
        torch.autograd.backward(torch.stack([(y - x).square().sum() for y in outputs]).sum())
    assert list(usual.state_dict()) == list(faster.state_dict())
    named = zip(usual.named_parameters(), faster.parameters(), strict=True)
    largest = max(float(p.grad.norm()) for p in usual.parameters() if p.grad is not None)
    for (name, one), other in named:
        assert one.grad is not None and other.grad is not None
        # biases before a normalisation have no gradient but rounding
        difference = (other.grad - one.grad).abs() - 1e-2 * one.grad.abs()
        assert float(difference.max()) < 1e-4 * largest, name


def test_what_cannot_gain_is_left_to_torch() -> None:
    narrow = build_model(PlainConfig(depth=4, width=8))
    strided = nn.Conv2d(64, 64, 3, padding=1, stride=2)
    pointwise = nn.Conv2d(64, 64, 1)
    for module in (narrow, strided, pointwise):
        train_faster(module)
        assert all("forward" not in vars(part) for part in module.modules())
    assert not can_train_faster(torch.device("cuda"), torch.float32)
    assert not can_train_faster(torch.device("cpu"), torch.bfloat16)

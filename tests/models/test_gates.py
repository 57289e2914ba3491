"""Parts of a gate, convolved or multiplied, add up to BN, ReLU and 1x1 convolution of all maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from memnet_cli.models import gates
from memnet_cli.models.activation import Activation, activation_of
from memnet_cli.models.bands import one_band
from memnet_cli.models.gates import WholeGate
from memnet_cli.models.kernels import PLAIN, WINOGRAD, Kernels
from memnet_cli.models.layers import BatchNorm

WIDTH, MEMORIES = 4, 3


def normalised() -> BatchNorm:
    """Return a normalisation with scales of both signs, one of them zero."""
    norm = BatchNorm(WIDTH * MEMORIES).eval()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.5, 1.5, 12))
        norm.weight[5] = 0.0
        norm.bias.copy_(torch.linspace(0.6, -0.6, 12))
        norm.running_mean = torch.linspace(-0.2, 0.4, 12)
        norm.running_var = torch.linspace(0.5, 2.0, 12)
    return norm


@pytest.mark.parametrize("kernels", [PLAIN, WINOGRAD], ids=lambda kernels: kernels.name)
@pytest.mark.parametrize("columns", [7, 1000])
@pytest.mark.parametrize("groups", [[[0, 1, 2]], [[1], [0, 2]], [[2], [1], [0]]], ids=str)
@torch.no_grad()
def test_parts_add_up_to_the_gate(
    kernels: Kernels, columns: int, groups: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "_COLUMNS", columns)
    monkeypatch.setattr(gates, "_SHARED_COLUMNS", columns)
    torch.manual_seed(0)
    norm, conv = normalised(), nn.Conv2d(WIDTH * MEMORIES, WIDTH, 1)
    memories = torch.randn(MEMORIES, 2, WIDTH, 5, 9)
    together = torch.cat(list(memories), dim=1).double()
    wanted = conv.double()(norm.double()(together).relu())
    assert conv.bias is not None
    whole = WholeGate(activation_of(norm.float()), conv.float().weight, conv.bias)
    total = None
    for part, group in zip(whole.split(groups, kernels), groups, strict=True):
        total = part(total, [memories[index].clone() for index in group], one_band(5))
    assert total is not None
    torch.testing.assert_close(total.double(), wanted, rtol=1e-5, atol=1e-6)


def test_activation_is_the_normalisation_in_evaluation() -> None:
    norm, maps = normalised(), torch.randn(2, 12, 6, 5)
    activation = activation_of(norm)
    assert isinstance(activation, Activation)
    for seen in (maps, maps[:, :, 1:4]):
        torch.testing.assert_close(activation(seen), norm(seen).relu(), rtol=1e-5, atol=1e-6)

"""BN-ReLU for restoration is that of the module, of any type and for some rows of maps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memnet_cli.models.activation import activation_of
from memnet_cli.models.layers import BatchNorm

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def normalisation() -> BatchNorm:
    torch.manual_seed(0)
    norm = BatchNorm(8).eval()
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_mean):
            assert values is not None
            values.normal_()
        assert norm.running_var is not None
        norm.running_var.uniform_(0.5, 2.0)
    return norm


def expected(norm: BatchNorm, x: Tensor) -> Tensor:
    return torch.relu(norm.double()(x.double()))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [slice(None), slice(1, 5)])
@torch.no_grad()
def test_float32(layout: torch.memory_format, rows: slice) -> None:
    norm, x = normalisation(), torch.randn(2, 8, 6, 5).to(memory_format=layout)[:, :, rows]
    result = activation_of(norm)(x)
    torch.testing.assert_close(result.double(), expected(norm, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [slice(None), slice(1, 5)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_sixteen_bits(dtype: torch.dtype, layout: torch.memory_format, rows: slice) -> None:
    norm, x = normalisation(), torch.randn(2, 8, 6, 5).to(dtype)
    x = x.to(memory_format=layout)[:, :, rows]
    activation = activation_of(norm)
    result = activation(x)
    assert result.dtype == dtype
    wanted = expected(norm, x)
    assert bool((result >= 0).all())
    assert bool((wanted == 0).any())
    # the result is rounded once
    error = (result.double() - wanted).abs()
    assert bool((error <= torch.finfo(dtype).eps * wanted + 1e-5).all())


@torch.no_grad()
def test_infinity_and_zero_keep_their_place_in_sixteen_bits() -> None:
    norm = BatchNorm(1).eval()
    special = torch.tensor([-torch.inf, -1.0, -0.0, 0.0, 1.0, torch.inf], dtype=torch.bfloat16)
    result = activation_of(norm)(special.view(1, 1, 1, -1)).flatten()
    assert result[:4].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert result[5].item() == torch.inf
    assert bool((1 / result[:4] > 0).all()), "no negative zeros"

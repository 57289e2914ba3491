"""Convolutions to one map are torch's, whichever rows are there already."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memnet_cli.models.kernels import ONEDNN, PLAIN, WINOGRAD, Kernels


@pytest.mark.parametrize("kernels", [PLAIN, ONEDNN, WINOGRAD], ids=lambda kernels: kernels.name)
@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_convolution_to_one_map(kernels: Kernels, rows: int, with_bias: bool, relu: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 5, 7, 6), torch.randn(1, 5, 3, 3)
    bias: Tensor | None = torch.randn(1) if with_bias else None
    doubled = None if bias is None else bias.double()
    wanted = torch.conv2d(x.double(), weight.double(), doubled, padding=(rows, 1))
    wanted = wanted.relu() if relu else wanted
    result = kernels.conv_to_one(x, weight, bias, relu, rows)
    torch.testing.assert_close(result.double(), wanted, rtol=1e-5, atol=1e-5)

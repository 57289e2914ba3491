"""Convolutions to few maps are torch's, whichever rows are there already."""

from __future__ import annotations

import pytest
import torch

from memnet_cli.models.kernels import ONEDNN, PLAIN, WINOGRAD, Kernels


@pytest.mark.parametrize("kernels", [PLAIN, ONEDNN, WINOGRAD], ids=lambda kernels: kernels.name)
@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("maps", [1, 4])
def test_convolution_to_few_maps(kernels: Kernels, rows: int, maps: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 5, 7, 6), torch.randn(maps, 5, 3, 3), torch.randn(maps)
    wanted = torch.conv2d(x.double(), weight.double(), bias.double(), padding=(rows, 1))
    result = kernels.conv_to_few(x, weight, bias, rows)
    torch.testing.assert_close(result.double(), wanted, rtol=1e-5, atol=1e-5)

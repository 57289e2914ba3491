"""RED-Net against its paper."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.models import build_model
from memnet_cli.models.configs import REDNetConfig
from memnet_cli.models.cost import multiply_adds_per_pixel
from memnet_cli.models.rednet import REDNet, skip_sources
from tests.models.counting import conv_weights
from tests.models.reach import assert_blind_beyond_the_halo


def rednet(depth: int, width: int = 3) -> REDNet:
    """Build a float64 network with biases that are not zero."""
    torch.manual_seed(0)
    model = build_model(REDNetConfig(depth, width)).double()
    assert isinstance(model, REDNet)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.2)
    return model


def planes() -> Tensor:
    """Return random planes (2, 1, 7, 9)."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 1, 7, 9, generator=generator, dtype=torch.float64)


def literal(state: dict[str, Tensor], pairs: dict[int, int], half: int, x: Tensor) -> Tensor:
    """Write the network out; ``pairs`` are the skips of Fig. 1, layers counted from 1 to L."""
    outputs: dict[int, Tensor] = {0: x}
    for layer in range(1, half + 1):
        weight = state[f"encoder.{layer - 1}.weight"]
        bias = state[f"encoder.{layer - 1}.bias"]
        outputs[layer] = F.conv2d(outputs[layer - 1], weight, bias, padding=1).clamp(min=0)
    for layer in range(half + 1, 2 * half + 1):
        name = f"decoder.{layer - half - 1}"
        # a transposed convolution with stride 1 is a convolution with the flipped kernel
        kernel = state[f"{name}.weight"].transpose(0, 1).flip(2, 3)
        total = F.conv2d(outputs[layer - 1], kernel, state[f"{name}.bias"], padding=1)
        if layer in pairs:
            total = total + outputs[pairs[layer]]
        outputs[layer] = total if layer == 2 * half else total.clamp(min=0)
    return outputs[2 * half] + x


# written by hand from Fig. 1: the mirror of layer i is layer L - i
@pytest.mark.parametrize(("depth", "pairs"), [
    (10, {}),
    (20, {12: 8, 14: 6, 16: 4, 18: 2}),
    (30, {16: 14, 18: 12, 20: 10, 22: 8, 24: 6, 26: 4, 28: 2}),
])  # fmt: skip
def test_the_network_is_the_papers(depth: int, pairs: dict[int, int]) -> None:
    model = rednet(depth)
    expected = literal(model.state_dict(), pairs, depth // 2, planes())
    torch.testing.assert_close(model(planes()), expected, rtol=1e-10, atol=1e-10)


def test_red30_has_the_weights_that_memnets_table_2_quotes() -> None:
    with torch.device("meta"):
        model = build_model(REDNetConfig(30, 128))
    assert conv_weights(model) == 28 * 9 * 128 * 128 + 2 * 9 * 128 == 4_131_072
    assert round(conv_weights(model) / 1000) == 4131
    assert multiply_adds_per_pixel(model) == conv_weights(model)


def test_every_skip_joins_layers_that_mirror_each_other() -> None:
    for depth in range(20, 60, 2):
        pairs = skip_sources(depth)
        assert len(pairs) == (depth // 2 - 1) // 2
        assert all((end + depth // 2 + 1) + (start + 1) == depth for end, start in pairs.items())


@pytest.mark.parametrize("depth", [4, 10, 20, 30])
def test_every_parameter_gets_a_gradient(depth: int) -> None:
    model = rednet(depth, width=6)
    torch.autograd.backward(model(planes()).square().mean())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize("depth", [10, 20, 30])
def test_a_fresh_network_stays_in_the_range_of_a_picture(depth: int) -> None:
    torch.manual_seed(3)
    model = build_model(REDNetConfig(depth, 32))
    with torch.no_grad():
        residual = model(torch.rand(1, 1, 24, 24)).std()
    assert 0.05 < float(residual) < 5


@pytest.mark.parametrize("depth", [10, 30, 44])
def test_pixels_beyond_the_halo_have_no_influence(depth: int) -> None:
    assert_blind_beyond_the_halo(rednet(depth, width=2))

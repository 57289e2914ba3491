"""MemNet in 8 bits is the network nearly, and its convolutions are exact on integers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.models import build_model
from memnet_cli.models.activation import Activation
from memnet_cli.models.bands import plan_bands
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.kernels import ONEDNN, PLAIN, onednn_knows
from memnet_cli.models.layers import BatchNorm
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.quantised import (
    QuantisedRecursion,
    Ranges,
    largest_convolved,
    measured_ranges,
    quantised_memnet,
)
from memnet_cli.models.recursions import RecursionParts

WIDTH = 16
DTYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(autouse=True)
def _onednn() -> None:
    if not hasattr(torch.ops.onednn, "qconv_prepack") or not onednn_knows(torch.float32):
        pytest.skip("this torch has no oneDNN convolutions in 8 bits")


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    wanted: torch.dtype = request.param
    if not onednn_knows(wanted):
        pytest.skip(f"oneDNN has no {wanted} on this CPU")
    return wanted


def parts() -> RecursionParts:
    torch.manual_seed(0)
    weights = [torch.randn(WIDTH, WIDTH, 3, 3) / 12 for _ in range(2)]
    biases = [torch.randn(WIDTH) / 4 for _ in range(2)]
    activation = Activation(torch.rand(WIDTH) + 0.5, torch.randn(WIDTH))
    return RecursionParts(1, 1, activation, weights[0], biases[0], weights[1], biases[1])


def trained(config: MemNetConfig) -> MemNet:
    torch.manual_seed(1)
    model = build_model(config)
    assert isinstance(model, MemNet)
    for norm in model.modules():
        if isinstance(norm, BatchNorm):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_(0.0, 0.2)
            norm.running_var.uniform_(0.5, 2.0)
    return model.eval()


def exact(of: RecursionParts, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the second convolution sees, and what the recursion adds; float64."""
    seen = of.activation(state).double()
    inner = F.conv2d(seen, of.weight.double(), of.bias.double(), padding=1).relu()
    return inner, F.conv2d(inner, of.outer_weight.double(), of.outer_bias.double(), padding=1)


@pytest.mark.parametrize("count", [1, 2])
@torch.no_grad()
def test_a_recursion_is_within_its_steps(dtype: torch.dtype, count: int) -> None:
    of = parts()
    state = torch.randn(count, WIDTH, 12, 10).to(memory_format=torch.channels_last)
    state = state.to(dtype).float()  # the same for both
    inner, added = exact(of, state)
    ranges = Ranges(float(of.activation(state).max()), float(inner.max()))
    recursion = QuantisedRecursion.of(of, ranges, dtype)
    for pixels in (10**6, 10 * 4 * count):
        before = state.to(dtype)
        total = before.clone()
        bands = plan_bands(count, 12, 10, pixels)
        windows = [recursion.inner(total, band) for band in bands]
        result = torch.cat(windows, dim=2)
        assert result.dtype == torch.uint8
        # the largest error that the integers and the weights' integers allow for
        worst = 0.5 * (ranges.step(1) * of.weight.abs().sum((1, 2, 3)).max() + ranges.step(2))
        worst += 9 * WIDTH * ranges.first * 0.5 * of.weight.abs().max() / 127
        error = (result.double() * ranges.step(2) - inner).abs()
        assert float(error.max()) <= float(worst)
        assert float(error.square().mean().sqrt()) < 0.02 * float(inner.square().mean().sqrt())
        if len(bands) == 1:
            recursion.add(total, windows[0], bands[0])
            change = total.double() - before.double()
            wrong = (change - added).square().mean().sqrt()
            assert float(wrong) < 0.02 * float(added.square().mean().sqrt())


@torch.no_grad()
def test_integers_are_the_nearest(dtype: torch.dtype) -> None:
    """An identity as first convolution gives the integers themselves."""
    identity = torch.zeros(WIDTH, WIDTH, 3, 3)
    identity[range(WIDTH), range(WIDTH), 1, 1] = 1.0
    of = parts()
    plain = Activation(torch.ones(WIDTH), torch.zeros(WIDTH))
    of = replace(of, activation=plain, weight=identity, bias=torch.zeros(WIDTH))
    # so that an integer is one before and after
    ranges = Ranges(127 / 1.1, largest_convolved() / 1.1)
    recursion = QuantisedRecursion.of(of, ranges, dtype)
    values = torch.linspace(-3.0, 140.0, 16 * 24).to(dtype)
    values = values[(values.float() % 1 - 0.5).abs() > 1e-3]  # no ties
    state = values.repeat(1, WIDTH, 1, 1).to(memory_format=torch.channels_last)
    band = plan_bands(1, 1, len(values), 10**6)[0]
    result = recursion.inner(state, band)[0, 0, 0]
    assert result.tolist() == values.float().round().clamp(0, 127).int().tolist()


@torch.no_grad()
def test_sums_of_the_largest_integers_are_exact() -> None:
    """All weights and all values as large as they become, which 16 bits do not hold in pairs."""
    ones = torch.ones(WIDTH, WIDTH, 3, 3)
    of = replace(parts(), outer_weight=ones, outer_bias=torch.zeros(WIDTH))
    recursion = QuantisedRecursion.of(of, Ranges(1.0, largest_convolved() / 1.1), torch.float32)
    window = torch.full((1, WIDTH, 10, 12), largest_convolved(), dtype=torch.uint8)
    total = torch.zeros(1, WIDTH, 10, 12).contiguous(memory_format=torch.channels_last)
    recursion.add(total, window, plan_bands(1, 10, 12, 10**6)[0])
    inside = total[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(
        inside, torch.full_like(inside, 9.0 * WIDTH * largest_convolved()), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    "config",
    [
        MemNetConfig(3, 2, WIDTH),
        MemNetConfig(2, 3, WIDTH, multi_supervised=False),
        MemNetConfig(2, 2, WIDTH, long_term=False),
        MemNetConfig(2, 2, WIDTH, short_term=False),
    ],
    ids=["supervised", "basic", "NL", "NS"],
)
@torch.no_grad()
def test_every_variant_is_nearly_the_network(config: MemNetConfig, dtype: torch.dtype) -> None:
    model, planes = trained(config), torch.rand(2, 1, 24, 20)
    quantised = quantised_memnet(model, [planes], dtype, ONEDNN)
    expected = model(planes)
    change = float((expected - planes).square().mean().sqrt())
    wrong = float((quantised(planes) - expected).square().mean().sqrt())
    assert 0 < wrong < 0.05 * change


@torch.no_grad()
def test_bands_change_nothing(dtype: torch.dtype) -> None:
    model, planes = trained(MemNetConfig(2, 2, WIDTH)), torch.rand(1, 1, 40, 20)
    whole = quantised_memnet(model, [planes], dtype, ONEDNN)
    in_bands = quantised_memnet(model, [planes], dtype, replace(ONEDNN, band_pixels=20 * 8))
    torch.testing.assert_close(in_bands(planes), whole(planes), rtol=0, atol=2e-3)


@torch.no_grad()
def test_ranges_are_the_largest_values_of_all_planes() -> None:
    model = trained(MemNetConfig(2, 2, WIDTH))
    dark, bright = torch.zeros(1, 1, 12, 12), torch.rand(1, 1, 12, 12) * 4
    alone = [measured_ranges(model, [p], torch.float32, PLAIN) for p in (dark, bright)]
    both = measured_ranges(model, [dark, bright], torch.float32, PLAIN)
    assert set(both) == {(1, 1), (1, 2), (2, 1), (2, 2)}
    for key, ranges in both.items():
        assert ranges.first == max(one[key].first for one in alone)
        assert ranges.second == max(one[key].second for one in alone)

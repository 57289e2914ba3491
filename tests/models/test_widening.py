"""Networks made of others with fewer maps: what must stay the same, and be able to change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memnet_cli.errors import UsageError
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.widening import widened
from tests.models.test_memnet import VARIANTS, memnet, planes

WITH_MODULES = MemNetConfig(3, 2, 4, unshuffle=2, non_local=2)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("width", [4, 6, 8, 15, 41])
@pytest.mark.parametrize("variant", [*VARIANTS, "non-local modules"])
def test_a_widened_network_computes_the_same(variant: str, width: int, training: bool) -> None:
    narrow = memnet(VARIANTS.get(variant, WITH_MODULES)).train(training)
    wide = widened(narrow, width)
    assert wide.settings.width == width
    assert wide.training is training
    one, other = narrow.predictions(planes()), wide.predictions(planes())
    torch.testing.assert_close(other, one, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_networks_of_few_maps_are_widened_many_times_over(width: int) -> None:
    narrow = memnet(MemNetConfig(2, 2, width)).eval()
    wide = widened(narrow, 30)
    torch.testing.assert_close(wide(planes()), narrow(planes()), rtol=0.0, atol=1e-12)


def _maps(model: MemNet, x: Tensor) -> dict[str, Tensor]:
    """Return what every convolution gives, by its name."""
    maps: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: maps.update({name: out}))
        for name, module in model.named_modules()
        if name.endswith((".conv1", ".conv2", "feature.conv"))
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return maps


def test_new_maps_are_sums_and_differences_of_old_ones_whose_statistics_are_known() -> None:
    narrow = memnet(VARIANTS["multi-supervised"]).eval()
    wide = widened(narrow, 7)
    for maps in _maps(wide, planes()).values():
        new = torch.stack([maps[:, 0] + maps[:, 1], maps[:, 1] - maps[:, 2]], 1)
        torch.testing.assert_close(maps[:, 4:6], new / 2.0**0.5, rtol=0.0, atol=1e-12)
    norm = "blocks.1.recursion.norm1.0.running_"
    mean, before = (model.get_buffer(norm + "mean") for model in (wide, narrow))
    assert mean[4].item() == pytest.approx((before[0] + before[1]).item() / 2.0**0.5)
    variance, before = (model.get_buffer(norm + "var") for model in (wide, narrow))
    assert variance[5].item() == pytest.approx((before[1] + before[2]).item() / 2.0)


def test_a_widened_network_learns_with_its_new_maps() -> None:
    wide = widened(memnet(WITH_MODULES), 6).train()
    before = wide(planes()).detach()
    optimizer = torch.optim.SGD(wide.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        torch.autograd.backward(wide(planes()).square().mean())
        optimizer.step()
    for name in ("blocks.0.recursion.conv1.weight", "blocks.2.gate.conv.weight"):
        gradient = wide.get_parameter(name).grad
        assert gradient is not None
        # of what sees the new maps at once, of what gives them as soon as something sees them
        assert bool((gradient[:4, 4:].abs() > 0).all()), name
        assert bool((gradient[4:, :4].abs() > 0).any()), name
    assert not torch.equal(wide(planes()), before)


def test_fewer_maps_are_refused() -> None:
    with pytest.raises(UsageError, match="Cannot go from width 4 to 3: expected 4 feature"):
        widened(memnet(VARIANTS["basic"]), 3)

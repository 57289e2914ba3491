"""Non-local modules between memory blocks: against loops over pixels, and as parts of MemNet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from memnet_cli.errors import UsageError
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.growing import deepened, grown, shortened, shrunk, with_modules
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.non_local import NonLocalModule
from tests.models.test_memnet import VARIANTS, memnet, planes

Array = NDArray[np.float64]


def random_module(width: int) -> NonLocalModule:
    """Return a module with nothing left at its first value."""
    torch.manual_seed(3)
    module = NonLocalModule(width).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return module


def pixel_by_pixel(module: NonLocalModule, maps: Array) -> Array:
    """Restate the module with loops: (C, H, W) in and out."""
    state = {name: tensor.numpy() for name, tensor in module.state_dict().items()}

    def convolved(name: str, pixel: Array) -> Array:
        result: Array = state[f"{name}.weight"][:, :, 0, 0] @ pixel + state[f"{name}.bias"]
        return result

    _, height, width = maps.shape
    result = np.empty_like(maps)
    for y, x in np.ndindex(height, width):
        theta = convolved("theta", maps[:, y, x])
        top, left = y // 8 * 8 - 8, x // 8 * 8 - 8
        logits, values = [], []
        for row in range(top, top + 24):
            for column in range(left, left + 24):
                near = maps[:, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                psi = convolved("psi", near)
                cosine = theta @ psi / (np.linalg.norm(theta) * np.linalg.norm(psi))
                logits.append(cosine * np.exp(state["log_scale"]))
                values.append(convolved("g", near))
        weights = np.exp(np.array(logits) - max(logits))
        found = (weights / weights.sum()) @ np.array(values)
        result[:, y, x] = maps[:, y, x] + convolved("out", found)
    return result


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 20), (8, 8), (17, 11)])
def test_it_is_what_the_loops_compute(height: int, width: int) -> None:
    module = random_module(3)
    maps = torch.randn(2, 3, height, width, dtype=torch.float64)
    with torch.no_grad():
        result = module(maps)
    for one, other in zip(result, maps, strict=True):
        expected = pixel_by_pixel(module, other.numpy())
        np.testing.assert_allclose(one.numpy(), expected, atol=1e-10)
        assert np.abs(expected - other.numpy()).max() > 0.1


def test_its_gradients_are_right() -> None:
    module = random_module(2)
    maps = torch.randn(1, 2, 9, 10, dtype=torch.float64, requires_grad=True)

    def run(maps: Tensor, *parameters: Tensor) -> Tensor:
        names = [name for name, _ in module.named_parameters()]
        state = dict(zip(names, parameters, strict=True))
        result: Tensor = torch.func.functional_call(module, state, (maps,))
        return result

    inputs = (maps, *module.parameters())
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


def test_places_are_spread_between_the_memory_blocks() -> None:
    assert MemNetConfig(16, 1, non_local=3).non_local_places == (4, 8, 12)
    assert MemNetConfig(6, 6).non_local_places == ()
    for blocks in range(1, 20):
        for count in range(blocks):
            places = MemNetConfig(blocks, non_local=count).non_local_places
            assert len(set(places)) == count
            assert all(0 < place < blocks for place in places)
    with pytest.raises(UsageError, match="non_local is 6: expected 0 to 5"):
        MemNetConfig(6, non_local=6)
    with pytest.raises(UsageError, match="non_local is 1: expected 0 to 0"):
        MemNetConfig(1, non_local=1)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_a_network_given_modules_computes_the_same_and_learns_with_them(variant: str) -> None:
    model = memnet(VARIANTS[variant]).train()
    more = with_modules(model, 1)
    assert (more.settings.non_local, more.training) == (1, True)
    for one, other in zip(more.predictions(planes()), model.predictions(planes()), strict=True):
        assert torch.equal(one, other)
    optimizer = torch.optim.SGD(more.parameters(), 1e-2)
    for _ in range(2):  # what is compared counts once something is made of it
        optimizer.zero_grad()
        torch.autograd.backward(more(planes()).square().mean())
        optimizer.step()
    for name, parameter in more.non_local.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.abs().max() > 0), name


def test_recursions_of_such_a_network_can_change_and_memory_blocks_cannot() -> None:
    model = built(MemNetConfig(3, 2, 8, non_local=1))
    bigger = grown(model, 3)
    with torch.no_grad():
        assert torch.equal(bigger(planes().float()), model(planes().float()))
    assert shrunk(bigger, 2).settings == model.settings
    for change, blocks in ((deepened, 4), (shortened, 2)):
        with pytest.raises(UsageError, match="Cannot change the 3 memory blocks"):
            change(model, blocks)
    with pytest.raises(UsageError, match="Cannot change 1 non-local modules to 2"):
        with_modules(model, 2)


def built(config: MemNetConfig) -> MemNet:
    """Return a network whose non-local modules do something."""
    torch.manual_seed(4)
    model = build_model(config)
    assert isinstance(model, MemNet)
    with torch.no_grad():
        for parameter in model.non_local.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def test_a_part_that_begins_with_a_block_is_restored_as_in_the_whole() -> None:
    model = built(MemNetConfig(2, 1, 4, unshuffle=2, non_local=1))
    assert model.grid == 16
    whole = torch.rand(1, 1, 160, 160, generator=torch.Generator().manual_seed(5))
    corner = 3 * model.grid
    with torch.no_grad():
        expected, result = model(whole)[..., corner:, corner:], model(whole[..., corner:, corner:])
    inner = slice(model.halo, None)  # the borders at the other side are the whole's
    torch.testing.assert_close(result[..., inner, inner], expected[..., inner, inner])
    assert float((result - expected)[..., : model.halo, :].abs().max()) > 1e-3

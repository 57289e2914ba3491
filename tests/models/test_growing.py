"""Networks made of other networks: what must stay the same, and what must be able to change."""

from __future__ import annotations

import copy

import pytest
import torch

from memnet_cli.errors import UsageError
from memnet_cli.models.growing import deepened, grown, shortened, shrunk
from tests.models.test_memnet import VARIANTS, memnet, planes


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("variant", ["multi-supervised", "basic", "NL", "preactivated"])
def test_a_grown_network_computes_the_same(variant: str, training: bool) -> None:
    small = memnet(VARIANTS[variant]).train(training)
    big = grown(small, 5)
    assert big.settings.recursions == 5
    assert big.training is training
    # to the last bit: zero columns of a gate add zeros
    for one, other in zip(big.predictions(planes()), small.predictions(planes()), strict=True):
        assert torch.equal(one, other)


def test_a_grown_network_learns_with_its_new_recursions() -> None:
    big = grown(memnet(VARIANTS["multi-supervised"]), 4).train()
    torch.autograd.backward(big(planes()).square().mean())
    gradient = big.get_parameter("blocks.0.gate.conv.weight").grad
    assert gradient is not None
    assert bool((gradient[:, -4:].abs() > 0).any())


@pytest.mark.parametrize(("variant", "recursions"), [("NS", 5), ("multi-supervised", 1)])
def test_what_cannot_grow_says_so(variant: str, recursions: int) -> None:
    with pytest.raises(UsageError, match="Cannot grow"):
        grown(memnet(VARIANTS[variant]), recursions)


@pytest.mark.parametrize("variant", ["multi-supervised", "basic", "NL", "preactivated"])
def test_shrinking_undoes_growing(variant: str) -> None:
    small = memnet(VARIANTS[variant]).train()
    back = shrunk(grown(small, 5), small.settings.recursions)
    assert back.settings == small.settings
    assert back.training
    for (name, one), other in zip(
        back.state_dict().items(), small.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_a_shrunk_network_is_the_whole_one_whose_gates_ignore_the_later_recursions() -> None:
    whole = memnet(VARIANTS["multi-supervised"])
    recursions = whole.settings.recursions
    assert recursions > 1
    expected = copy.deepcopy(whole)
    for block in range(whole.settings.memory_blocks):
        weight = expected.get_parameter(f"blocks.{block}.gate.conv.weight")
        weight.data[:, -(recursions - 1) * whole.settings.width :] = 0.0
    got = shrunk(whole, 1)
    assert not torch.equal(got(planes()), whole(planes()))
    torch.testing.assert_close(got(planes()), expected(planes()), rtol=0.0, atol=0.0)


@pytest.mark.parametrize(
    ("variant", "recursions"), [("NS", 1), ("multi-supervised", 0), ("multi-supervised", 99)]
)
def test_what_cannot_shrink_says_so(variant: str, recursions: int) -> None:
    with pytest.raises(UsageError, match="Cannot shrink"):
        shrunk(memnet(VARIANTS[variant]), recursions)


@pytest.mark.parametrize("variant", ["multi-supervised", "basic", "NS", "preactivated"])
def test_a_deepened_network_computes_the_same(variant: str) -> None:
    small = memnet(VARIANTS[variant]).eval()
    blocks = small.settings.memory_blocks
    deep = deepened(small, blocks + 3)
    assert deep.settings.memory_blocks == blocks + 3
    assert not deep.training
    torch.testing.assert_close(deep(planes()), small(planes()), rtol=0.0, atol=1e-12)
    if small.settings.multi_supervised:
        for block in range(1, blocks + 4):
            one, other = deep(planes(), block), small(planes(), min(block, blocks))
            torch.testing.assert_close(one, other, rtol=0.0, atol=1e-12)


def test_a_deepened_network_learns_with_its_new_blocks() -> None:
    deep = deepened(memnet(VARIANTS["multi-supervised"]), 5).eval()
    torch.autograd.backward(deep(planes()).square().mean())
    for name in ("recursion.conv2.weight", "gate.conv.weight", "gate.norm.weight"):
        gradient = deep.get_parameter(f"blocks.4.{name}").grad
        assert gradient is not None
        assert bool((gradient.abs() > 0).any()), name


@pytest.mark.parametrize(("variant", "blocks"), [("NL", 5), ("multi-supervised", 2)])
def test_what_cannot_be_deepened_says_so(variant: str, blocks: int) -> None:
    with pytest.raises(UsageError, match="Cannot grow"):
        deepened(memnet(VARIANTS[variant]), blocks)


@pytest.mark.parametrize("variant", ["multi-supervised", "basic", "NS", "preactivated"])
def test_shortening_undoes_deepening(variant: str) -> None:
    small = memnet(VARIANTS[variant]).train()
    back = shortened(deepened(small, 5), small.settings.memory_blocks)
    assert back.settings == small.settings
    assert back.training
    for (name, one), other in zip(
        back.state_dict().items(), small.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-12, msg=name)


@pytest.mark.parametrize("variant", ["multi-supervised", "NL", "NS"])
def test_a_shortened_network_restores_as_the_first_blocks_of_the_whole_one(variant: str) -> None:
    whole = memnet(VARIANTS[variant]).eval()
    blocks = whole.settings.memory_blocks
    got = shortened(whole, blocks - 1)
    assert got.settings.memory_blocks == blocks - 1
    singles = [whole(planes(), block) for block in range(1, blocks)]
    for block, single in enumerate(singles, 1):
        assert torch.equal(got(planes(), block), single)
    # the whole one's average with the last block's place taken by the one before
    expected = whole.ensemble[-1] * singles[-1]
    for weight, single in zip(whole.ensemble, singles, strict=False):
        expected = expected + weight * single
    torch.testing.assert_close(got(planes()), expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("blocks", [0, 99])
def test_what_cannot_be_shortened_says_so(blocks: int) -> None:
    with pytest.raises(UsageError, match="Cannot cut"):
        shortened(memnet(VARIANTS["multi-supervised"]), blocks)

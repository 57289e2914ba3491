"""Second moments of inputs against torch's unfold and forward hooks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memnet_cli.models import build_model
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import (
    MemNetConfig,
    ModelConfig,
    NLRNConfig,
    PlainConfig,
    REDNetConfig,
)
from memnet_cli.models.memnet import MemNet, MemoryBlock
from memnet_cli.training.averaging import freeze_statistics
from memnet_cli.training.inputs import second_moments
from memnet_cli.training.muon import mirrored

_PLANES = torch.rand(2, 1, 12, 9, generator=torch.Generator().manual_seed(0))


def _hidden(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.ndim == 4 and min(p.shape[:2]) > 1]


def _unfolded(x: Tensor, side: int) -> Tensor:
    """Return (places, C side side) of all places."""
    return F.unfold(x, side, padding=side // 2).transpose(1, 2).flatten(0, 1)


def test_they_are_those_of_everything_that_a_convolution_is_given() -> None:
    model = build_model(PlainConfig(depth=4, width=5))
    seen: dict[nn.Parameter, Tensor] = {}
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(
                lambda module, inputs: seen.__setitem__(module.weight, inputs[0].detach())
            )
    weights = _hidden(model)
    found = second_moments(model, _PLANES, weights, 0)
    assert set(found) == set(weights) and len(found) == 2
    for weight, moment in found.items():
        rows = _unfolded(seen[weight], 3)
        torch.testing.assert_close(moment, rows.mT @ rows / len(rows))


def test_shared_convolutions_have_the_mean_of_all_uses_and_gates_all_memories(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    model = build_model(MemNetConfig(memory_blocks=2, recursions=3, width=4)).eval()
    assert isinstance(model, MemNet)
    block = model.blocks[1]
    assert isinstance(block, MemoryBlock)
    given: list[Tensor] = []
    block.recursion.conv1.register_forward_pre_hook(lambda _, x: given.append(x[0].clone()))
    memories: list[Tensor] = []
    add = block.gate.add

    def note(total: Tensor | None, memory: Tensor, index: int) -> Tensor:
        memories.append(memory.clone())
        result: Tensor = add(total, memory, index)
        return result

    monkeypatch.setattr(block.gate, "add", note)
    named = {name: weight for name, weight in model.named_parameters() if weight.ndim == 4}
    found = second_moments(model, _PLANES, list(named.values()), 0)
    uses = torch.cat([_unfolded(x, 3) for x in given])
    assert len(given) == 3
    torch.testing.assert_close(
        found[named["blocks.1.recursion.conv1.weight"]], (uses.mT @ uses / len(uses)).detach()
    )
    assert len(memories) == 5
    rows = _unfolded(torch.relu(block.gate.norm(torch.cat(memories, 1))), 1)
    torch.testing.assert_close(
        found[named["blocks.1.gate.conv.weight"]], (rows.mT @ rows / len(rows)).detach()
    )


def test_maps_can_be_smaller_than_the_planes() -> None:
    torch.manual_seed(0)
    model = build_model(MemNetConfig(memory_blocks=1, recursions=1, width=4, unshuffle=2)).eval()
    assert isinstance(model, MemNet)
    block = model.blocks[0]
    assert isinstance(block, MemoryBlock)
    given: list[Tensor] = []
    block.recursion.conv1.register_forward_pre_hook(lambda _, x: given.append(x[0].clone()))
    weight = model.get_parameter("blocks.0.recursion.conv1.weight")
    planes = torch.rand(2, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    found = second_moments(model, planes, [weight], 0)
    rows = _unfolded(given[0], 3)
    assert len(rows) == planes.numel() / 4
    torch.testing.assert_close(found[weight], (rows.mT @ rows / len(rows)).detach())


_CONFIGS: dict[str, ModelConfig] = {
    "memnet": MemNetConfig(memory_blocks=2, recursions=1, width=4),
    "rednet": REDNetConfig(depth=10, width=4),
    "nlrn": NLRNConfig(steps=2, width=4, embedding_width=2, neighbourhood=5),
}


def _model(kind: str) -> RestorationModel:
    return build_model(_CONFIGS[kind])


@pytest.mark.parametrize("kind", list(_CONFIGS))
def test_the_network_stays_as_it_was(kind: str) -> None:
    model = _model(kind).train()
    freeze_statistics(model)
    modes = [module.training for module in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    assert second_moments(model, _PLANES, _hidden(model), 0)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_bf16_sees_the_same() -> None:
    torch.manual_seed(0)
    model = _model("memnet").eval()
    exact = second_moments(model, _PLANES, _hidden(model), 0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = second_moments(model, _PLANES, _hidden(model), 0)
    for weight, moment in exact.items():
        assert rounded[weight].dtype == torch.float32
        assert float((rounded[weight] - moment).norm() / moment.norm()) < 0.02


def test_transposed_convolutions_are_given_what_the_same_convolution_is() -> None:
    first, second = nn.Conv2d(1, 3, 3, padding=1), nn.ConvTranspose2d(3, 5, 3, padding=1)
    x = first(_PLANES)
    (weight,) = _hidden(second)
    same = F.conv2d(x, mirrored(weight), second.bias, padding=1)
    torch.testing.assert_close(second(x), same)
    rows = _unfolded(x, 3).detach()
    found = second_moments(nn.Sequential(first, second), _PLANES, [weight], 0)
    torch.testing.assert_close(found, {weight: rows.mT @ rows / len(rows)})


def test_weights_of_other_layers_are_left_out() -> None:
    first, second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    unused = nn.Parameter(torch.zeros(4, 4, 3, 3))
    (weight,) = _hidden(second)
    found = second_moments(nn.Sequential(first, second), _PLANES, [weight, unused], 0)
    assert set(found) == {weight}


class _Sliced(nn.Module):
    """Gives a 1x1 convolution of four channels its inputs two by two, or the first two alone."""

    def __init__(self, halves: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 4, 1, 1))
        self._halves = halves

    def forward(self, x: Tensor) -> Tensor:
        twice = torch.cat([x, -x], 1)
        parts = [self.weight[:, 2 * n : 2 * n + 2] for n in range(self._halves)]
        return torch.stack([F.conv2d(twice, part) for part in parts]).sum(0)


def test_weights_whose_inputs_were_not_seen_whole_are_left_out() -> None:
    part, whole = _Sliced(1), _Sliced(2)
    assert second_moments(part, _PLANES, [part.weight], 0) == {}
    assert set(second_moments(whole, _PLANES, [whole.weight], 0)) == {whole.weight}

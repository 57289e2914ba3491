"""Networks and what optimizers know of them, from one memory layout to another."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from memnet_cli.models import build_model
from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.training import layout
from memnet_cli.training.config import Budget, TrainingConfig
from memnet_cli.training.distributed import World
from memnet_cli.training.growth import carry_over
from memnet_cli.training.layout import load_state, placed, weights_layout
from memnet_cli.training.trainee import Trainee, checkpoint_of, new_trainee, resumed_trainee
from tests.training.conftest import with_recipe

_RUNTIME = resolve_runtime("cpu", "fp32")
_LAYOUTS = (torch.channels_last, torch.contiguous_format)


def _step(trainee: Trainee, seed: int) -> None:
    """Take a step along gradients that do not depend on the layout."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in trainee.model.parameters():
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    for optimizer in trainee.optimizers:
        optimizer.step()


def test_where_batch_norm_is_wrong_in_channels_last_networks_are_contiguous() -> None:
    assert weights_layout("mps", False) is torch.contiguous_format
    assert weights_layout("cpu", True) is torch.contiguous_format
    assert weights_layout("cpu", False) is weights_layout("cuda", False) is torch.channels_last


def test_a_network_is_placed_in_the_layout_of_its_device(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(tiny.model_config)
    for wanted in _LAYOUTS:
        monkeypatch.setattr(layout, "weights_layout", lambda *_, wanted=wanted: wanted)
        again = placed(model, _RUNTIME, False)
        for weights in (p for p in again.parameters() if p.ndim == 4):
            assert weights.is_contiguous(memory_format=wanted)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
@pytest.mark.parametrize("layouts", [_LAYOUTS, _LAYOUTS[::-1]])
def test_a_run_goes_on_in_another_layout_as_in_its_own(
    tiny: TrainingConfig,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    layouts: tuple[torch.memory_format, ...],
) -> None:
    config = with_recipe(tiny, f"optimizer={optimizer}", "lr=0.01", "momentum=0.9")
    config = replace(config, budget=Budget(steps=9))
    monkeypatch.setattr(layout, "weights_layout", lambda *_: layouts[0])
    first = new_trainee(config, _RUNTIME, World())
    for seed in range(2):
        _step(first, seed)
    saved = copy.deepcopy(checkpoint_of(first, 1.0, "", "", ""))
    monkeypatch.setattr(layout, "weights_layout", lambda *_: layouts[1])
    second = resumed_trainee(config, _RUNTIME, World(), saved)
    for trainee in (first, second):
        _step(trainee, 2)
    after = dict(second.model.named_parameters())
    for name, expected in first.model.named_parameters():
        torch.testing.assert_close(after[name], expected, rtol=1e-5, atol=1e-6, msg=name)


def test_a_state_of_another_layout_gets_its_weights_and_keeps_its_precision() -> None:
    weights = [nn.Parameter(torch.rand(4, 3, 3, 3)), nn.Parameter(torch.rand(4))]
    optimizer = torch.optim.AdamW(weights)
    for weight in weights:
        weight.grad = torch.rand_like(weight)
    optimizer.step()
    moment = optimizer.state[weights[0]]["exp_avg"]
    saved = optimizer.state_dict()
    saved["state"][0]["exp_avg"] = moment.to(memory_format=torch.channels_last)
    load_state(optimizer, saved)
    loaded = optimizer.state[weights[0]]
    assert loaded["exp_avg"].stride() == weights[0].stride()
    assert torch.equal(loaded["exp_avg"], moment)
    assert float(loaded["step"]) == 1.0


def test_a_state_is_carried_over_in_the_layout_of_the_new_weights() -> None:
    old, new = (nn.Conv2d(3, 4, 3) for _ in range(2))
    old.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before, after = (torch.optim.AdamW(model.parameters(), fused=True) for model in (old, new))
    for parameter in old.parameters():
        parameter.grad = torch.rand_like(parameter)
    before.step()
    carry_over([before], old, [after], new)
    known, carried = before.state[old.weight]["exp_avg"], after.state[new.weight]["exp_avg"]
    assert torch.equal(known, carried)
    assert carried.stride() == new.weight.stride() != known.stride()

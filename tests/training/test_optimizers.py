"""Optimizers against torch's own, and gradient clipping."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from memnet_cli.errors import UsageError
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.training.muon import Muon
from memnet_cli.training.optimizers import build_optimizers, clip_gradients, set_rates
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.recipe_files import load_recipe

_CONFIG = MemNetConfig(memory_blocks=2, recursions=1, width=4)


def test_every_parameter_has_one_optimizer() -> None:
    model = build_model(_CONFIG)
    for name in ("muon", "adamw", "adam", "sgd"):
        optimizers = build_optimizers(Recipe(optimizer=name, weight_decay=0.1), model, False)
        owned = [p for o in optimizers for group in o.param_groups for p in group["params"]]
        assert sorted(map(id, owned)) == sorted(map(id, model.parameters()))
    muon, side = build_optimizers(Recipe(optimizer="muon", lr=0.02, side_lr=1e-3), model, False)
    assert isinstance(muon, Muon)
    hidden = {id(p) for p in muon.param_groups[0]["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in hidden}
    assert names == {
        f"blocks.{m}.{part}.weight"
        for m in (0, 1)
        for part in ("recursion.conv1", "recursion.conv2", "gate.conv")
    }
    # the first convolution is given 4 channels here and the last one makes 4: still not hidden
    unshuffled = build_model(MemNetConfig(memory_blocks=2, recursions=1, width=5, unshuffle=2))
    hidden_there, _ = build_optimizers(Recipe(optimizer="muon"), unshuffled, False)
    assert len(hidden_there.param_groups[0]["params"]) == len(hidden)
    # and its non-local modules' four are hidden
    other = MemNetConfig(memory_blocks=2, recursions=1, width=5, unshuffle=2, non_local=1)
    hidden_there, _ = build_optimizers(Recipe(optimizer="muon"), build_model(other), False)
    assert len(hidden_there.param_groups[0]["params"]) == len(hidden) + 4
    set_rates([muon, side], 0.5)
    assert muon.param_groups[0]["lr"] == pytest.approx(0.01)
    assert side.param_groups[0]["lr"] == pytest.approx(5e-4)


def test_muon_without_anything_to_train_is_refused() -> None:
    model = build_model(MemNetConfig(memory_blocks=2, recursions=1, width=4, unshuffle=2))
    with pytest.raises(UsageError, match="this network has none: give --set optimizer=adamw"):
        build_optimizers(Recipe(optimizer="muon"), model, False)


def test_only_convolutions_decay() -> None:
    (sgd,) = build_optimizers(load_recipe("paper", "memnet"), build_model(_CONFIG), False)
    weights, others = sgd.param_groups
    assert (weights["weight_decay"], others["weight_decay"]) == (1e-4, 0.0)
    assert all(p.ndim == 4 for p in weights["params"])
    assert (weights["momentum"], weights["lr"]) == (0.9, 0.1)


@pytest.mark.parametrize(
    ("kind", "lr", "expected"),
    [
        ("norm", 0.1, [0.3, -0.4]),  # of norm 0.5
        ("value", 0.1, [0.5, -0.5]),
        ("adjustable", 0.25, [2.0, -2.0]),  # 0.5 / 0.25
        ("adjustable", 0.01, [3.0, -4.0]),  # 0.5 / 0.01 limits nothing here
    ],
)
def test_gradients_are_limited(kind: str, lr: float, expected: list[float]) -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0, -4.0]])
    clip_gradients(layer, Recipe(clip=0.5, clip_kind=kind), lr)
    assert layer.weight.grad.flatten().tolist() == pytest.approx(expected, rel=1e-4)

"""Optimizers against torch's own, and gradient clipping."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.training.optimizers import (
    Muon,
    build_optimizers,
    clip_gradients,
    orthogonalised,
    set_rates,
)
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.recipe_files import load_recipe

_CONFIG = MemNetConfig(memory_blocks=2, recursions=1, width=4)


def _weights(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def test_muon_takes_the_steps_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    shapes = ((8, 16, 3, 3), (8, 16, 3, 3), (32, 4, 1, 1))
    own = _weights(*shapes)
    flat = [nn.Parameter(weight.detach().clone().flatten(1)) for weight in own]
    ours = Muon(own, lr=0.05, momentum=0.9, weight_decay=0.1, dtype=torch.float32)
    theirs = torch.optim.Muon(flat, lr=0.05, momentum=0.9, weight_decay=0.1)
    generator = torch.Generator().manual_seed(4)
    for _ in range(4):
        for weight, matrix in zip(own, flat, strict=True):
            weight.grad = torch.randn(weight.shape, generator=generator)
            matrix.grad = weight.grad.flatten(1).clone()
        ours.step()
        theirs.step()  # type: ignore[no-untyped-call]
    for weight, matrix in zip(own, flat, strict=True):
        moved = (matrix - weight.flatten(1)).detach().abs().max()
        assert float(moved) < 0.01  # theirs computes in bfloat16; the weights moved by 0.2


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8)])
def test_updates_are_nearly_orthogonal(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices, torch.float32))
    assert float(values.min()) > 0.6 and float(values.max()) < 1.3


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
    set_rates([muon, side], 0.5)
    assert muon.param_groups[0]["lr"] == pytest.approx(0.01)
    assert side.param_groups[0]["lr"] == pytest.approx(5e-4)


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

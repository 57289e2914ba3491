"""The running mean of weights, and BN statistics."""

from __future__ import annotations

import pytest
import torch

from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.training.averaging import freeze_statistics, recalibrate, update_mean

_CONFIG = MemNetConfig(memory_blocks=2, recursions=1, width=4)


def test_the_mean_moves_by_one_minus_the_decay() -> None:
    mean, model = build_model(_CONFIG), build_model(_CONFIG)
    before = {name: tensor.clone() for name, tensor in mean.state_dict().items()}
    update_mean(mean, model, 0.9, step=1000)
    for name, tensor in mean.state_dict().items():
        expected = 0.9 * before[name] + 0.1 * model.state_dict()[name]
        assert torch.allclose(tensor, expected, atol=1e-6), name
    update_mean(mean, model, 0.999, step=1)  # (1 + 1) / (10 + 1): early steps count more
    first = 2 / 11 * (0.9 * before["ensemble"] + 0.1 * model.state_dict()["ensemble"])
    assert torch.allclose(
        mean.state_dict()["ensemble"], first + 9 / 11 * model.state_dict()["ensemble"]
    )


def test_recalibrated_statistics_are_those_of_the_batches() -> None:
    model = build_model(_CONFIG).eval()
    batches = [torch.rand(2, 1, 8, 8) for _ in range(3)]
    with torch.no_grad():
        features = torch.stack([model.get_submodule("feature")(batch) for batch in batches])
    recalibrate(model, batches)
    norm = model.get_submodule("blocks.0.recursion.norm1.0")
    running = norm.get_buffer("running_mean")
    assert torch.allclose(running, features.mean((0, 1, 3, 4)), atol=1e-6)
    variances = torch.stack([one.transpose(0, 1).flatten(1).var(1) for one in features])
    assert torch.allclose(norm.get_buffer("running_var"), variances.mean(0), rtol=1e-4)
    assert not model.training
    assert norm.momentum == pytest.approx(0.1)


def test_frozen_statistics_are_those_of_restoring() -> None:
    model = build_model(_CONFIG)
    model(torch.rand(2, 1, 8, 8))
    before = {n: t.clone() for n, t in model.state_dict().items() if "running" in n}
    freeze_statistics(model.train())
    trained = model(torch.linspace(0, 1, 64).reshape(1, 1, 8, 8))
    trained.sum().backward()
    assert torch.equal(trained, model.eval()(torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    weight = model.get_parameter("blocks.0.recursion.norm1.0.weight")
    assert weight.grad is not None and bool(weight.grad.any())

"""Ensemble weights in closed form against scipy, and what they are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from memnet_cli.checkpoints import load_weights
from memnet_cli.errors import UsageError
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.memnet import MemNet
from memnet_cli.training.config import Budget, TrainingConfig
from memnet_cli.training.recipe_files import load_recipe
from memnet_cli.training.refitting import refit_ensemble
from tests.training.conftest import run, with_recipe


def small() -> MemNet:
    torch.manual_seed(2)
    model = build_model(MemNetConfig(memory_blocks=3, recursions=1, width=4))
    assert isinstance(model, MemNet)
    for _ in range(3):
        model.train()(torch.rand(2, 1, 16, 16))
    return model


def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    clean = [torch.rand(3, 1, 16, 16, generator=generator) for _ in range(2)]
    return [(one, one + 0.1 * torch.randn(one.shape, generator=generator)) for one in clean]


def test_the_weights_are_the_best_that_sum_to_one() -> None:
    model, batches = small().eval(), pairs()
    with torch.no_grad():
        outputs = [model.predictions(degraded) for _, degraded in batches]
    errors = [
        (out[-1] - clean).square().mean((1, 2, 3)).numpy()
        for out, (clean, _) in zip(outputs, batches, strict=True)
    ]

    def weighted_error(weights: np.ndarray) -> float:
        total = 0.0
        for out, (clean, _), now in zip(outputs, batches, errors, strict=True):
            mean = sum(float(w) * y for w, y in zip(weights, out[:-1], strict=True))
            assert isinstance(mean, torch.Tensor)
            total += float(((mean - clean).square().mean((1, 2, 3)).numpy() / now).sum())
        return total

    sums_to_one = {"type": "eq", "fun": lambda weights: weights.sum() - 1.0}
    best = minimize(weighted_error, np.full(3, 1 / 3), constraints=sums_to_one, tol=1e-12)
    refit_ensemble(model.train(), batches)
    assert model.training
    fitted = model.ensemble.detach().numpy()
    assert fitted.sum() == pytest.approx(1.0, abs=1e-6)
    assert weighted_error(fitted) <= float(best.fun) * (1 + 1e-3)


def test_nothing_but_the_ensemble_changes() -> None:
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    refit_ensemble(model, pairs())
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {"ensemble"}


def test_a_run_of_no_steps_refits_given_weights(tiny: TrainingConfig) -> None:
    run(tiny)
    first, before = load_weights(tiny.out / "last.safetensors")
    config = replace(
        with_recipe(tiny, "refit=3"),
        init=(tiny.out / "last.safetensors",),
        out=tiny.out / "refitted",
        budget=Budget(steps=0),
    )
    result = run(config)
    assert result.finished and result.scores and result.step == 0
    second, info = load_weights(config.out / "last.safetensors")
    assert info.steps == before.steps
    assert isinstance(first, MemNet) and isinstance(second, MemNet)
    assert second.ensemble.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert not torch.equal(first.ensemble, second.ensemble)
    for name, tensor in second.state_dict().items():
        assert name == "ensemble" or torch.equal(tensor, first.state_dict()[name]), name


@pytest.mark.parametrize("settings", [("drawn=1.0",), ("hardest_of=4",)])
def test_the_ensemble_is_fitted_to_photographs_as_they_are(
    tiny: TrainingConfig, settings: tuple[str, ...]
) -> None:
    run(tiny)
    fitted = []
    for name, chosen in (("plain", ()), ("chosen", settings)):
        config = replace(
            with_recipe(tiny, "refit=2", *chosen),
            init=(tiny.out / "last.safetensors",),
            out=tiny.out / name,
            budget=Budget(steps=0),
        )
        run(config)
        model, _ = load_weights(config.out / "last.safetensors")
        assert isinstance(model, MemNet)
        fitted.append(model.ensemble)
    assert torch.equal(fitted[0], fitted[1])


def test_refitting_is_for_weights_that_have_an_ensemble() -> None:
    with pytest.raises(UsageError, match="refit is -1"):
        load_recipe("fast", "memnet", ("refit=-1",))

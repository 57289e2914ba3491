"""The whitened step against closed forms: rotated, stretched and white inputs."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from memnet_cli.errors import TrainingError
from memnet_cli.training import loop, whitening
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.distributed import World
from memnet_cli.training.muon import Muon
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.session import Session
from memnet_cli.training.step import train_step
from memnet_cli.training.throughput import Meter
from memnet_cli.training.trainee import Trainee
from memnet_cli.training.whitening import WhitenedMuon, look_at_inputs
from tests.training.conftest import run, with_recipe

_ROWS, _COLUMNS = 6, 18
_SHAPE = (_ROWS, 2, 3, 3)


def _recipe(damping: float) -> Recipe:
    return Recipe(optimizer="muon", whitened=True, damping=damping, lr=0.1, momentum=0.9)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _moment(stretch: Tensor) -> Tensor:
    turned: Tensor = torch.linalg.qr(_random(_COLUMNS, _COLUMNS, seed=1)).Q
    return (turned * stretch) @ turned.mT


def _step(gradient: Tensor, moment: Tensor | None, damping: float = 1e-6) -> Tensor:
    """Return how a first step changes a weight of zero, as a matrix."""
    weight = nn.Parameter(torch.zeros(_SHAPE))
    weight.grad = gradient.view(_SHAPE).clone()
    optimizer = WhitenedMuon([weight], _recipe(damping), torch.float32)
    if moment is not None:
        optimizer.see({weight: moment})
    optimizer.step()
    return weight.detach().flatten(1)


def _plain(gradient: Tensor) -> Tensor:
    weight = nn.Parameter(torch.zeros(_SHAPE))
    weight.grad = gradient.view(_SHAPE).clone()
    Muon([weight], _recipe(0.1), torch.float32).step()
    return weight.detach().flatten(1)


def test_for_white_or_unknown_inputs_the_step_is_muons() -> None:
    gradient = _random(_ROWS, _COLUMNS)
    for moment in (None, torch.eye(_COLUMNS), 7.0 * torch.eye(_COLUMNS)):
        torch.testing.assert_close(_step(gradient, moment), _plain(gradient), rtol=1e-4, atol=1e-5)


def test_strong_damping_leaves_muons_step() -> None:
    gradient, moment = _random(_ROWS, _COLUMNS), _moment(torch.logspace(-2, 2, _COLUMNS))
    apart = (_step(gradient, moment, 1e4) - _plain(gradient)).abs().max()
    assert float(apart) < 1e-3 < float((_step(gradient, moment) - _plain(gradient)).abs().max())


def test_outputs_change_as_much_as_by_muon_and_equally_in_every_direction() -> None:
    gradient, moment = _random(_ROWS, _COLUMNS), _moment(torch.logspace(-2, 2, _COLUMNS))
    root = torch.linalg.cholesky(moment)
    change, plain = _step(gradient, moment) @ root, _plain(gradient) @ root
    assert float(change.norm()) == pytest.approx(float(plain.norm()), rel=1e-3)
    ratio = torch.linalg.svdvals(change)
    assert float(ratio.max() / ratio.min()) < 1.8  # as near to orthogonal as five iterations bring
    uneven = torch.linalg.svdvals(plain)
    assert float(uneven.max() / uneven.min()) > 2.5


def _fall(gradient: Tensor, step: Tensor, root: Tensor) -> float:
    """Return the fall per change of the outputs, the largest of all directions."""
    return -float((gradient * step).sum() / torch.linalg.matrix_norm(step @ root, 2))


def test_it_falls_faster_for_the_same_change_of_the_outputs() -> None:
    # the gradient of a regression is (error) E[x x^T], a sum over inputs
    moment = _moment(torch.logspace(-3, 1, _COLUMNS))
    gradient = _random(_ROWS, _COLUMNS) @ moment
    root = torch.linalg.cholesky(moment)
    falls = [_fall(gradient, step, root) for step in (_step(gradient, moment), _plain(gradient))]
    assert falls[0] > falls[1] > 0


def _error_after(optimizer: Muon, weight: nn.Parameter, inputs: Tensor) -> float:
    """Return the squared error that a hundred steps of regression leave."""
    truth = _random(_ROWS, _COLUMNS, seed=4)
    for step in range(100):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 100)
        loss = (inputs @ (weight.flatten(1) - truth).mT).square().mean()
        (weight.grad,) = torch.autograd.grad(loss, weight)
        optimizer.step()
    return loss.item()


def test_a_regression_on_alike_inputs_is_learned_in_fewer_steps() -> None:
    root = torch.linalg.cholesky(_moment(torch.logspace(-3, 1, _COLUMNS)))
    inputs = _random(400, _COLUMNS, seed=3) @ root.mT
    plain, white = (nn.Parameter(torch.zeros(_SHAPE)) for _ in range(2))
    optimizer = WhitenedMuon([white], _recipe(1e-2), torch.float32)
    optimizer.see({white: inputs.mT @ inputs / len(inputs)})
    left = _error_after(Muon([plain], _recipe(0.1), torch.float32), plain, inputs)
    assert _error_after(optimizer, white, inputs) < 0.2 * left


def test_later_looks_count_a_fifth_and_saving_keeps_them() -> None:
    weight = nn.Parameter(torch.zeros(_SHAPE))
    optimizer = WhitenedMuon([weight], _recipe(0.1), torch.float32)
    optimizer.see({weight: torch.eye(_COLUMNS)})
    optimizer.see({weight: 3.0 * torch.eye(_COLUMNS)})
    other = WhitenedMuon([weight], _recipe(0.1), torch.float32)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    torch.testing.assert_close(other.state[weight]["inputs"], 1.4 * torch.eye(_COLUMNS))


def test_inputs_that_are_loaded_count_at_once() -> None:
    gradient, moment = _random(_ROWS, _COLUMNS), _moment(torch.logspace(-2, 2, _COLUMNS))
    weight = nn.Parameter(torch.zeros(_SHAPE))
    optimizer = WhitenedMuon([weight], _recipe(1e-6), torch.float32)
    optimizer.see({weight: torch.eye(_COLUMNS)})
    start = copy.deepcopy(optimizer.state_dict())
    for inputs in (torch.eye(_COLUMNS), moment):
        start["state"][0] = {"inputs": inputs}
        optimizer.load_state_dict(copy.deepcopy(start))
        with torch.no_grad():
            weight.zero_()
        weight.grad = gradient.view(_SHAPE).clone()
        optimizer.step()
    torch.testing.assert_close(weight.detach().flatten(1), _step(gradient, moment))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_inputs_that_are_no_numbers_are_passed_over(value: float) -> None:
    gradient, moment = _random(_ROWS, _COLUMNS), _moment(torch.logspace(-2, 2, _COLUMNS))
    weights = [nn.Parameter(torch.zeros(_SHAPE)) for _ in range(2)]
    optimizer = WhitenedMuon(weights, _recipe(1e-6), torch.float32)
    optimizer.see({weights[0]: moment})
    for weight in weights:  # the second one's were never known
        optimizer.see({weight: torch.full_like(moment, value)})
        weight.grad = gradient.view(_SHAPE).clone()
    optimizer.step()
    expected = _step(gradient, moment), _plain(gradient)
    for weight, step in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach().flatten(1), step)


def test_a_whitened_run_that_broke_down_is_told_so(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(session: Session, trainee: Trainee, meter: Meter) -> None:
        train_step(session, trainee, meter)
        if trainee.step == 2:
            with torch.no_grad():
                next(trainee.model.parameters()).fill_(float("nan"))

    monkeypatch.setattr(loop, "train_step", breaking)
    monkeypatch.setattr(whitening, "_EVERY", 1)  # before the steps are reported
    with pytest.raises(TrainingError, match=r"Training broke down by step 5 .*lower --set lr="):
        run(with_recipe(tiny, "optimizer=muon", "whitened=true"))


def test_inputs_are_looked_at_every_fiftieth_step() -> None:
    model = nn.Conv2d(1, 4, 3, padding=1)
    (weight,) = (p for p in model.parameters() if p.ndim == 4)
    optimizer = WhitenedMuon([weight], _recipe(0.1), torch.float32)
    planes = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    look_at_inputs([optimizer], model, planes, 49, World())
    assert not optimizer.state[weight]
    look_at_inputs([optimizer], model, planes, 50, World())
    middle = optimizer.state[weight]["inputs"][4, 4]
    assert float(middle) == pytest.approx(float(planes[:4].square().mean()), rel=1e-5)


def test_until_the_next_look_all_steps_change_the_outputs_as_much_as_the_first() -> None:
    moment = _moment(torch.logspace(-2, 2, _COLUMNS))
    root = torch.linalg.cholesky(moment)
    weight = nn.Parameter(torch.zeros(_SHAPE))
    optimizer = WhitenedMuon([weight], _recipe(1e-6), torch.float32)
    changes = []
    for seed in range(4):
        if seed in {0, 3}:
            optimizer.see({weight: moment})
        before = weight.detach().clone()
        weight.grad = _random(*_SHAPE, seed=seed)
        optimizer.step()
        changes.append(float(((weight.detach() - before).flatten(1) @ root).norm()))
    assert changes[1:3] == pytest.approx([changes[0]] * 2, rel=1e-3)
    assert changes[3] != pytest.approx(changes[0], rel=1e-3)

"""Muon against torch's own and against the singular values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memnet_cli.training.muon import Muon, mirrored, orthogonalised
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.whitening import WhitenedMuon


def _weights(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def test_muon_takes_the_steps_of_torch() -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    shapes = ((8, 16, 3, 3), (8, 16, 3, 3), (32, 4, 1, 1))
    own = _weights(*shapes)
    flat = [nn.Parameter(weight.detach().clone().flatten(1)) for weight in own]
    recipe = Recipe(optimizer="muon", lr=0.05, momentum=0.9, weight_decay=0.1)
    ours = Muon(own, recipe, torch.float32)
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


@pytest.mark.parametrize("kind", [Muon, WhitenedMuon])
def test_transposed_convolutions_move_as_the_convolutions_that_do_the_same(
    kind: type[Muon],
) -> None:
    recipe = Recipe(optimizer="muon", lr=0.05, momentum=0.9, weight_decay=0.1)
    (transposed,) = _weights((6, 4, 3, 3))
    convolution = nn.Parameter(mirrored(transposed.detach()).clone())
    optimizers = (
        kind([transposed], recipe, torch.float32, {transposed}),
        kind([convolution], recipe, torch.float32),
    )
    x, truth = (torch.randn(2, n, 9, 9, generator=torch.Generator().manual_seed(n)) for n in (6, 4))
    for _ in range(3):
        outputs = F.conv_transpose2d(x, transposed, padding=1), F.conv2d(x, convolution, padding=1)
        torch.testing.assert_close(*outputs)
        for optimizer, output in zip(optimizers, outputs, strict=True):
            (weight,) = optimizer.param_groups[0]["params"]
            (weight.grad,) = torch.autograd.grad((output - truth).square().mean(), weight)
            if isinstance(optimizer, WhitenedMuon):
                optimizer.see({weight: _moment(x)})
            optimizer.step()
    assert float((transposed - mirrored(convolution)).detach().abs().max()) < 1e-4


def _moment(x: Tensor) -> Tensor:
    rows = F.unfold(x, 3, padding=1).transpose(1, 2).flatten(0, 1)
    return rows.mT @ rows / len(rows)


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8)])
def test_updates_are_nearly_orthogonal(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices, torch.float32))
    assert float(values.min()) > 0.6 and float(values.max()) < 1.3

"""Muon, momentum made orthogonal, in a precision that suits the device."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from memnet_cli.training.recipe import Recipe

#: Quintic Newton-Schulz iteration of Jordan et al. (2024), as in torch.optim.Muon.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(Optimizer):
    """Momentum whose update is made orthogonal, for convolutions as (out, in k k) matrices.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024). The same
    arithmetic as ``torch.optim.Muon`` with Nesterov momentum; that one computes in bfloat16,
    which takes seconds a step on a CPU without units for it, and one matrix at a time.

    Args:
        weights: four axes each.
        recipe: has the rate, the momentum and the weight decay.
        dtype: of the matrix products.
        transposed: those of transposed convolutions with stride 1, moved as the convolutions that
            do the same.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        recipe: Recipe,
        dtype: torch.dtype,
        transposed: Collection[nn.Parameter] = (),
    ) -> None:
        super().__init__(
            weights,
            {"lr": recipe.lr, "momentum": recipe.momentum, "weight_decay": recipe.weight_decay},
        )
        self.dtype = dtype
        self._transposed = frozenset(transposed)

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            moved = [weight for weight in group["params"] if weight.grad is not None]
            moved.sort(key=self._shape)
            for _, same in groupby(moved, key=self._shape):
                self._step_together(list(same), group)

    @torch.no_grad()
    def _step_together(self, weights: list[nn.Parameter], group: Mapping[str, Any]) -> None:
        """Update weights of one shape with one batch of matrix products."""
        directions = []
        for weight in weights:
            assert weight.grad is not None
            state = self.state[weight]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            mean = state["momentum_buffer"]
            mean.lerp_(weight.grad, 1.0 - group["momentum"])
            direction = weight.grad.lerp(mean, group["momentum"])
            directions.append(self._convolution(weight, direction).flatten(1))
        updates = self._updates(weights, torch.stack(directions))
        rows, columns = updates.shape[1:]
        rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        for weight, update in zip(weights, updates, strict=True):
            weight.mul_(1.0 - group["lr"] * group["weight_decay"])
            moved = self._convolution(weight, update.view(self._shape(weight)))
            weight.sub_(moved, alpha=rate)

    def _convolution(self, weight: nn.Parameter, values: Tensor) -> Tensor:
        """Return what belongs to a weight as (out, in, k, k), or such values as it has them."""
        return mirrored(values) if weight in self._transposed else values

    def _shape(self, weight: nn.Parameter) -> torch.Size:
        return self._convolution(weight, weight).shape

    def _updates(self, weights: list[nn.Parameter], directions: Tensor) -> Tensor:
        """Return the steps at a rate of 1 for (B, rows, columns) of as many weights."""
        return orthogonalised(directions, self.dtype)


def mirrored(kernel: Tensor) -> Tensor:
    """Turn (in, out, k, k) of a transposed convolution with stride 1 into that of a convolution.

    That is (out, in, k, k), mirrored both ways; done twice, it is as it was.
    """
    return kernel.transpose(0, 1).flip(2, 3)


def orthogonalised(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring the singular values of (B, rows, columns) near 1; they keep their directions."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.to(dtype)
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result.to(matrices.dtype)

"""The recipes' optimizers, gradient clipping, and Muon in a precision that suits the device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
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
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            moved = [weight for weight in group["params"] if weight.grad is not None]
            moved.sort(key=lambda weight: weight.shape)
            for _, same in groupby(moved, key=lambda weight: weight.shape):
                self._step_together(list(same), group)

    @torch.no_grad()
    def _step_together(self, weights: list[nn.Parameter], group: Mapping[str, Any]) -> None:
        """Update weights of one shape with one batch of matrix products."""
        directions = []
        for weight in weights:
            assert weight.grad is not None
            state = self.state[weight]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            mean = state["momentum_buffer"]
            mean.lerp_(weight.grad, 1.0 - group["momentum"])
            directions.append(weight.grad.lerp(mean, group["momentum"]).flatten(1))
        updates = orthogonalised(torch.stack(directions), self.dtype)
        rows, columns = updates.shape[1:]
        rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        for weight, update in zip(weights, updates, strict=True):
            weight.mul_(1.0 - group["lr"] * group["weight_decay"])
            weight.sub_(update.view(weight.shape), alpha=rate)


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


def build_optimizers(recipe: Recipe, model: nn.Module, fast_bf16: bool) -> list[Optimizer]:
    """Return the optimizers of all parameters; each group knows its peak rate as ``peak``.

    Weight decay is for the weights of convolutions alone. Muon takes convolutions between
    hidden layers; the first, the last, biases and normalisations go to AdamW at ``side_lr``.
    """
    parameters = list(model.parameters())
    weights = [p for p in parameters if p.ndim == 4]
    others = [p for p in parameters if p.ndim != 4]
    if recipe.optimizer == "muon":
        hidden = [p for p in weights if min(p.shape[:2]) > 1]
        others += [p for p in weights if min(p.shape[:2]) == 1]
        dtype = torch.bfloat16 if fast_bf16 else torch.float32
        first = Muon(hidden, recipe.lr, recipe.momentum, recipe.weight_decay, dtype)
        side = torch.optim.AdamW(
            others, recipe.side_lr, recipe.betas, weight_decay=0.0, fused=_fused(others)
        )
        optimizers: list[Optimizer] = [first, side]
    else:
        groups = [
            {"params": weights, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizers = [_classic(recipe, [group for group in groups if group["params"]])]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def _fused(parameters: list[nn.Parameter]) -> bool:
    return parameters[0].device.type in {"cpu", "cuda"}


def _classic(recipe: Recipe, groups: list[dict[str, Any]]) -> Optimizer:
    fused = _fused(groups[0]["params"])
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.lr, recipe.momentum, fused=fused)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, recipe.lr, recipe.betas, fused=fused)


def set_rates(optimizers: Iterable[Optimizer], factor: float) -> None:
    """Set every learning rate to its peak times ``factor``."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor


def clip_gradients(model: nn.Module, recipe: Recipe, lr: float) -> None:
    """Limit the gradients as the recipe says.

    "adjustable" is that of VDSR (Kim et al., CVPR 2016, section 3.2), which MemNet uses: every
    value to [-clip / lr, clip / lr], so that the largest step stays the same as lr falls.
    """
    if recipe.clip <= 0:
        return
    if recipe.clip_kind == "norm":
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    else:
        limit = recipe.clip / max(lr, 1e-12) if recipe.clip_kind == "adjustable" else recipe.clip
        nn.utils.clip_grad_value_(model.parameters(), limit)

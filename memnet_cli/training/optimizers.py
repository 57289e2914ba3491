"""The recipes' optimizers, their rates, and gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from memnet_cli.errors import UsageError
from memnet_cli.models.base import RestorationModel
from memnet_cli.training.muon import Muon
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.whitening import WhitenedMuon


def build_optimizers(recipe: Recipe, model: RestorationModel, fast_bf16: bool) -> list[Optimizer]:
    """Return the optimizers of all parameters; each group knows its peak rate as ``peak``.

    Weight decay is for the weights of convolutions alone. Muon takes convolutions between
    hidden layers; the first, the last, biases and normalisations go to AdamW at ``side_lr``.

    Raises:
        UsageError: with muon for a network without such convolutions.
    """
    parameters = list(model.parameters())
    weights = [p for p in parameters if p.ndim == 4]
    others = [p for p in parameters if p.ndim != 4]
    if recipe.optimizer == "muon":
        pixels = model.pixels_in_one  # what the first convolution is given and the last one makes
        hidden = [p for p in weights if min(p.shape[:2]) > pixels]
        if not hidden:
            raise UsageError(
                "Muon trains convolutions between hidden layers of more maps than a square has "
                "pixels, and this network has none: give --set optimizer=adamw, or a larger "
                "--set model.width=..."
            )
        others += [p for p in weights if min(p.shape[:2]) <= pixels]
        dtype = torch.bfloat16 if fast_bf16 else torch.float32
        first = (WhitenedMuon if recipe.whitened else Muon)(
            hidden, recipe, dtype, _transposed(model)
        )
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


def _transposed(model: nn.Module) -> set[nn.Parameter]:
    """Return the weights of transposed convolutions."""
    layers = (layer for layer in model.modules() if isinstance(layer, nn.ConvTranspose2d))
    return {p for layer in layers for p in layer.parameters() if p.ndim == 4}


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

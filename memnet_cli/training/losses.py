"""What is minimised: the papers' l2, l1, or Charbonnier, over all supervised outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from memnet_cli.training.recipe import Recipe


def _distance(restored: Tensor, clean: Tensor, recipe: Recipe) -> Tensor:
    error = restored.float() - clean
    if recipe.loss == "l2":
        values = 0.5 * error.square()
    elif recipe.loss == "l1":
        values = error.abs()
    else:
        values = torch.sqrt(error.square() + recipe.epsilon**2)
    return values.sum() / len(clean) if recipe.loss_sum else values.mean()


def supervised_loss(predictions: Sequence[Tensor], clean: Tensor, recipe: Recipe) -> Tensor:
    """Return eq. 12 of MemNet with any distance; eq. 4 for a model of one output.

    alpha weighs the final output, 1 - alpha the mean of the single ones; alpha = 1 / (M + 1)
    unless the recipe says otherwise (section 5.1).

    Args:
        predictions: (y_1, ..., y_M, y), each (N, 1, H, W), or (y,).
        clean: (N, 1, H, W) float32 in [0, 1].
        recipe: ``loss``, ``epsilon``, ``loss_sum`` and ``alpha``.
    """
    *single, final = predictions
    if not single:
        return _distance(final, clean, recipe)
    alpha = recipe.alpha or 1.0 / (len(single) + 1)
    parts = torch.stack([_distance(restored, clean, recipe) for restored in single])
    return alpha * _distance(final, clean, recipe) + (1.0 - alpha) * parts.mean()


def loss_of_white_for_black(recipe: Recipe) -> float:
    """Return the loss of an output that is 1 wherever the picture is 0.

    No picture in [0, 1] has a larger one, whatever the clean picture and the number of outputs.
    """
    black = torch.zeros(1, 1, recipe.patch, recipe.patch)
    return float(supervised_loss((torch.ones_like(black),), black, recipe))

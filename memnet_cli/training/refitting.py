"""MemNet's ensemble weights in closed form, once the network itself is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from memnet_cli.models.memnet import MemNet

#: A patch counts by one over its mean square error, as its PSNR does, but no error below that of
#: rounding to 8 bits.
_LEAST_ERROR = (1.0 / 255.0) ** 2 / 12.0
#: How strongly the weights are held where they are, as a share of the mean squared residual.
_RIDGE = 1e-4


@torch.no_grad()
def refit_ensemble(model: MemNet, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Set the weights w_m of eq. 11 to the least-squares fit of sum w_m y_m to the clean patches.

    The weights sum to 1. Every patch counts by one over the error of its prediction of now, so
    that easy and hard levels gain alike. In training, the loss on the average (eq. 12) has
    1 / (M + 1) of the weight, and a run in which the network changes to its end leaves the average
    behind; this makes up for it.

    Args:
        model: multi-supervised; used in evaluation, and left in the mode that it was in.
        pairs: clean and degraded patches, (N, 1, H, W) each, on the model's device.
    """
    was_training = model.training
    model.eval()
    blocks = model.settings.memory_blocks
    gram = torch.zeros(blocks, blocks, dtype=torch.float64)
    target = torch.zeros(blocks, dtype=torch.float64)
    for clean, degraded in pairs:
        *single, final = model.predictions(degraded)
        # on the CPU, since Apple's GPUs have no float64
        residuals = torch.stack([(y - degraded).flatten(1) for y in single]).cpu().double()
        wanted = (clean - degraded).flatten(1).cpu().double()
        squares = (final - clean).cpu().double().square()
        error = squares.flatten(1).mean(1).clamp(min=_LEAST_ERROR)
        scaled = residuals / error[:, None]
        gram += torch.einsum("kni,lni->kl", scaled, residuals)
        target += torch.einsum("kni,ni->k", scaled, wanted)
    model.ensemble.copy_(_summing_to_one(gram, target, model.ensemble.cpu().double()))
    model.train(was_training)


def _summing_to_one(gram: Tensor, target: Tensor, before: Tensor) -> Tensor:
    """Solve for weights w with sum 1: least squares, with a pull towards ``before``."""
    blocks = len(target)
    pull = _RIDGE * gram.diagonal().mean()
    system = torch.zeros(blocks + 1, blocks + 1, dtype=torch.float64)
    system[:blocks, :blocks] = gram + pull * torch.eye(blocks, dtype=torch.float64)
    system[:blocks, blocks] = system[blocks, :blocks] = gram.diagonal().mean()
    right = torch.cat([target + pull * before, gram.diagonal().mean()[None]])
    solution: Tensor = torch.linalg.solve(system, right)
    return solution[:blocks]

"""The running mean of the weights, and BN statistics that fit it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from memnet_cli.models.layers import BatchNorm


@torch.no_grad()
def update_mean(mean: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the mean's weights and BN buffers towards the model's.

    The decay rises from 2/11, at step 1, to ``decay`` over the first steps, so that a short run is
    not held back by the weights that it started from.
    """
    decay = min(decay, (1 + step) / (10 + step))
    means, values = list(mean.state_dict().values()), list(model.state_dict().values())
    get_ema_multi_avg_fn(decay)(means, values, step)  # type: ignore[no-untyped-call]


def freeze_statistics(model: nn.Module) -> None:
    """Let every BN use its running statistics and leave them as they are; all else trains."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.eval()


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of every BN to their plain mean over ``batches``."""
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    usual = [norm.momentum for norm in norms]
    was_training = model.training
    model.train()
    for number, batch in enumerate(batches, start=1):
        for norm in norms:
            norm.momentum = 1.0 / number
        model(batch)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    model.train(was_training)

"""What a network costs: its multiply-adds, counted on the operations that run."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from memnet_cli.models.base import RestorationModel

_SIDE = 64


def multiply_adds_per_pixel(model: RestorationModel, exit_block: int | None = None) -> int:
    """Return the multiply-adds of convolutions and matrix products for one pixel of the input.

    Shared weights count each time they are applied. A copy of the model runs on torch's meta
    device, which computes shapes alone; padded borders count like any other pixel.

    Args:
        model: any network of this package.
        exit_block: count MemNet up to this memory block only, as in its ``forward``.
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    planes = torch.empty(1, 1, _SIDE, _SIDE, device="meta", dtype=_dtype(model))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _ = shadow(planes) if exit_block is None else shadow(planes, exit_block=exit_block)
    return int(counter.get_total_flops()) // (2 * _SIDE * _SIDE)


def _dtype(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype

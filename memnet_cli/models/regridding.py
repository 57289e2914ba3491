"""MemNet on squares of pixels of another side, made of one on squares of this side."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from memnet_cli.errors import UsageError
from memnet_cli.models.growing import another
from memnet_cli.models.memnet import MemNet


@torch.no_grad()
def regridded(model: MemNet, unshuffle: int) -> MemNet:
    """Return a model on squares of ``unshuffle`` pixels a side that does nearly the same to them.

    Its first convolution sees the squares resampled to the side that the model knows, by area, and
    what its last one gives is resampled back, so that to the new network a picture looks as one of
    ``unshuffle`` / old side times as many pixels a side did to the old one, shrunk to its size.
    For super-resolution that is a start: enlarged by 4, on squares of 4, a picture has as much
    detail a square as enlarged by 2, on squares of 2. What lies between the memory blocks stays.

    Raises:
        UsageError: for a model with BN before the first convolution, whose statistics are of
            single pixels.
    """
    old = model.settings
    if old.preactivated_input:
        raise UsageError(
            f"Cannot go from squares of {old.unshuffle} pixels a side to {unshuffle} with "
            "preactivated_input: expected a network without it."
        )
    other = another(model, dataclasses.replace(old, unshuffle=unshuffle))
    state = model.state_dict()
    seen = _by_area(unshuffle, old.unshuffle).to(model.feature.conv.weight)
    given = _by_area(old.unshuffle, unshuffle).to(model.feature.conv.weight)
    inward, outward = "feature.conv.weight", "reconstruction.conv."
    state[inward] = torch.einsum("okyx,kn->onyx", state[inward], seen)
    for name in (outward + "weight", outward + "bias"):
        state[name] = torch.einsum("nk,k...->n...", given, state[name])
    other.load_state_dict(state)
    return other


def _by_area(side: int, wanted: int) -> Tensor:
    """Return the (wanted^2, side^2) weights that resample a square of pixels, row by row."""
    edges = torch.arange(wanted + 1, dtype=torch.float64) / wanted
    others = torch.arange(side + 1, dtype=torch.float64) / side
    low = torch.maximum(edges[:-1, None], others[None, :-1])
    high = torch.minimum(edges[1:, None], others[None, 1:])
    line = (high - low).clamp_min(0.0) * wanted
    return torch.kron(line, line)

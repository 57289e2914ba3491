"""MemNet with more feature maps, made of one with fewer (Net2WiderNet; Chen et al., ICLR 2016)."""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.errors import UsageError
from memnet_cli.models.growing import another
from memnet_cli.models.memnet import MemNet


@torch.no_grad()
def widened(model: MemNet, width: int) -> MemNet:
    """Return a model with more feature maps that computes the same function.

    A new map is the sum or the difference of the same two old ones in every layer, over the root
    of two: BN-ReLU makes something new of it, and its statistics are known but for what the two
    have in common. Whatever sees it starts with zero weight for it. (Net2WiderNet divides the
    weights among copies, which learn the same from there unless noise is added.)

    Raises:
        UsageError: if ``width`` is less than the model has.
    """
    old = model.settings
    if width < old.width:
        raise UsageError(
            f"Cannot go from width {old.width} to {width}: expected {old.width} feature "
            "maps or more."
        )
    other = another(model, dataclasses.replace(old, width=width))
    mixture = _mixture(old.width, width).to(model.feature.conv.weight)
    target = other.state_dict()
    for name, tensor in model.state_dict().items():
        if tensor.shape == target[name].shape:
            target[name] = tensor
        elif ".norm" in name:
            target[name] = _normalised(name, tensor, mixture)
        else:
            target[name] = _convolved(tensor, target[name].shape, mixture)
    other.load_state_dict(target)
    return other


def _mixture(old: int, new: int) -> Tensor:
    """Return (new, old), what of the old maps every map is made of: first the old ones."""
    mixture = torch.zeros(new, old, dtype=torch.float64)
    mixture[:old] = torch.eye(old)
    share = math.sqrt(0.5)
    for row in range(old, new):
        # the next one, then the one after it, ..., never the map itself but where it is alone
        other = row + 1 + (row // old - 1) % max(1, old - 1)
        mixture[row, row % old] = share
        mixture[row, other % old] += (-1.0) ** row * share
    return mixture


def _normalised(name: str, tensor: Tensor, mixture: Tensor) -> Tensor:
    """Return what BN has for all maps of each memory, of what it had for the old ones."""
    # variances add up by the squares; of scales and biases these are a mean
    matrix = mixture if name.endswith("running_mean") else mixture.square()
    return (tensor.view(-1, mixture.shape[1]) @ matrix.T).flatten()


def _convolved(tensor: Tensor, shape: torch.Size, mixture: Tensor) -> Tensor:
    """Return the weight or bias of that shape: a side that grows is one of maps."""
    new, old = mixture.shape
    if tensor.shape[0] != shape[0]:
        tensor = torch.einsum("no,o...->n...", mixture, tensor)
    if tensor.shape[1:] != shape[1:]:
        memories = tensor.chunk(tensor.shape[1] // old, 1)  # a gate sees several, all else one
        tensor = torch.cat([F.pad(seen, (0, 0, 0, 0, 0, new - old)) for seen in memories], 1)
    return tensor

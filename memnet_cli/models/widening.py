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

#: Convolutions that give feature maps, and those that see them.
_GIVING = ("feature.conv", ".conv1", ".conv2", "gate.conv", ".g", ".out")
_SEEING = (".conv1", ".conv2", "gate.conv", "reconstruction.conv", ".theta", ".psi", ".g", ".out")


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
        layer, _, field = name.rpartition(".")
        if tensor.shape == target[name].shape:
            target[name] = tensor
        elif "norm" in layer:
            target[name] = _normalised(field, tensor, mixture)
        else:
            target[name] = _convolved(layer, tensor, mixture)
    other.load_state_dict(target)
    return other


def _mixture(old: int, new: int) -> Tensor:
    """Return (new, old), what of the old maps every map is made of: first the old ones."""
    mixture = torch.eye(old, dtype=torch.float64).repeat(-(-new // old), 1)[:new] / math.sqrt(2.0)
    for row in range(old, new):
        other = (row + row // old) % old  # the next one, then the one after it, ...
        mixture[row, other] += (-1.0) ** row / math.sqrt(2.0)
    mixture[:old] = torch.eye(old, dtype=torch.float64)
    return mixture


def _normalised(field: str, tensor: Tensor, mixture: Tensor) -> Tensor:
    """Return what BN has for all maps of each memory, of what it had for the old ones."""
    if field == "running_var":
        matrix = mixture.square()
    elif field == "running_mean":
        matrix = mixture
    else:
        matrix = mixture.abs() / mixture.abs().sum(1, keepdim=True)
    return (tensor.view(-1, mixture.shape[1]) @ matrix.T).flatten()


def _convolved(layer: str, tensor: Tensor, mixture: Tensor) -> Tensor:
    """Return the weight or bias of a convolution that gives or sees all maps."""
    new, old = mixture.shape
    if layer.endswith(_GIVING):
        tensor = torch.einsum("no,o...->n...", mixture, tensor)
    if tensor.dim() > 1 and layer.endswith(_SEEING):
        memories = tensor.chunk(tensor.shape[1] // old, 1)  # a gate sees several, all else one
        tensor = torch.cat([F.pad(seen, (0, 0, 0, 0, 0, new - old)) for seen in memories], 1)
    return tensor

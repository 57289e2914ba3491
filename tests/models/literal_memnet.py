"""Equations 1 to 12 of MemNet's paper, word for word: slow, memories concatenated, own code.

Reads the state dict by name; shares nothing with the package.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-5


@dataclass(frozen=True)
class Literal:
    """A MemNet as the paper writes it."""

    state: dict[str, Tensor]
    blocks: int
    recursions: int
    training: bool
    multi_supervised: bool = True
    preactivated_input: bool = False
    long_term: bool = True
    short_term: bool = True

    def tau(self, name: str, x: Tensor) -> Tensor:
        """BN, then ReLU."""
        if self.training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        else:
            mean = self.state[f"{name}.running_mean"]
            variance = self.state[f"{name}.running_var"]
        shaped = (1, -1, 1, 1)
        normed = (x - mean.view(shaped)) / (variance.view(shaped) + EPS).sqrt()
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return (normed * weight.view(shaped) + bias.view(shaped)).clamp(min=0)

    def conv(self, name: str, x: Tensor) -> Tensor:
        """Convolve with the same size."""
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def residual(self, block: int, recursion: int, h: Tensor) -> Tensor:
        """Eq. 6: W2 tau(W1 tau(H)) + H."""
        unit = f"blocks.{block}.recursion"
        inner = self.conv(f"{unit}.conv1", self.tau(f"{unit}.norm1.{recursion}", h))
        return self.conv(f"{unit}.conv2", self.tau(f"{unit}.norm2.{recursion}", inner)) + h

    def memory_block(self, block: int, before: list[Tensor]) -> Tensor:
        """Eq. 4 to 10."""
        short, h = [], before[-1]
        for recursion in range(self.recursions):
            h = self.residual(block, recursion, h)
            short.append(h)
        long = before if self.long_term else []
        gate_input = torch.cat([*long, *(short if self.short_term else short[-1:])], dim=1)
        gate = f"blocks.{block}.gate"
        return self.conv(f"{gate}.conv", self.tau(f"{gate}.norm", gate_input))

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return (y_1, ..., y_M, y), or (y,) for the basic network."""
        before = [
            self.conv("feature.conv", self.tau("feature.norm", x) if self.preactivated_input else x)
        ]
        for block in range(self.blocks):
            before.append(self.memory_block(block, before))
        memories = before[1:] if self.multi_supervised else before[-1:]
        single = [
            self.conv("reconstruction.conv", self.tau(f"reconstruction.norms.{index}", memory)) + x
            for index, memory in enumerate(memories)
        ]
        if not self.multi_supervised:
            return (single[0],)
        weighted = [w * y for w, y in zip(self.state["ensemble"], single, strict=True)]
        return (*single, torch.stack(weighted).sum(0))

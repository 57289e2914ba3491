"""One recursion of a memory block for restoration: x + conv2(BN-ReLU(conv1(BN-ReLU(x))))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from memnet_cli.models.activation import Activation
from memnet_cli.models.bands import Band
from memnet_cli.models.kernels import Kernels


class Recursion(Protocol):
    """Both convolutions of a recursion, each for a band of rows at a time."""

    def inner(self, state: Tensor, band: Band) -> Tensor:
        """Return (N, C, rows, W) that the second convolution sees of a state (N, C, H, W)."""
        ...

    def add(self, rows: Tensor, window: Tensor, band: Band) -> None:
        """Add the second convolution of a window, ``inner`` with its neighbours, to the rows."""
        ...


@dataclass(frozen=True)
class RecursionParts:
    """What a recursion computes, the second BN folded into the first convolution; float32.

    Attributes:
        block, number: which recursion of which memory block this is, both from 1.
        activation: the first BN-ReLU.
        weight, bias: (C, C, 3, 3) and (C,), of the first convolution; a ReLU follows.
        outer_weight, outer_bias: of the second convolution, the same for all of a block.
    """

    block: int
    number: int
    activation: Activation
    weight: Tensor
    bias: Tensor
    outer_weight: Tensor
    outer_bias: Tensor


#: Makes recursions of their parts.
Builder = Callable[[RecursionParts], Recursion]


@dataclass(frozen=True)
class FloatRecursion:
    """A recursion in a floating-point type; attributes as of its parts."""

    kernels: Kernels
    activation: Activation
    weight: Tensor
    bias: Tensor
    outer_weight: Tensor
    outer_bias: Tensor

    def inner(self, state: Tensor, band: Band) -> Tensor:
        """Return what the second convolution sees of a band."""
        window = band.window(self.activation(state[:, :, band.seen]))
        window = window.contiguous(memory_format=self.kernels.layout)
        return self.kernels.conv(window, self.weight, self.bias, True, band.padding)

    def add(self, rows: Tensor, window: Tensor, band: Band) -> None:
        """Add what the second convolution makes of a window."""
        self.kernels.conv_into(rows, window, self.outer_weight, self.outer_bias, band.padding)


def in_float(dtype: torch.dtype, kernels: Kernels) -> Builder:
    """Return what makes recursions of a floating-point type."""

    def build(parts: RecursionParts) -> FloatRecursion:
        weights = (
            weight.to(dtype).contiguous(memory_format=kernels.layout)
            for weight in (parts.weight, parts.outer_weight)
        )
        inner, outer = weights
        biases = (parts.bias.to(dtype), parts.outer_bias.to(dtype))
        return FloatRecursion(kernels, parts.activation, inner, biases[0], outer, biases[1])

    return build

"""MemNet's 3x3 convolutions in 8 bits, for CPUs: oneDNN's, fast where there are VNNI units.

A convolution sees integers times a step that was measured beforehand, and its weights are integers
from -127 to 127 with a step for each map that they make. Its sums are exact: a CPU without VNNI
units adds two products in 16 bits, which cuts off sums of integers beyond 127, and so it is given
none beyond within the measured range. The state that the recursions add to, the gates, FENet and
ReconNet stay in floating point, so that errors do not add up along the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor

from memnet_cli.models.activation import Activation
from memnet_cli.models.bands import Band
from memnet_cli.models.fused import FusedMemNet
from memnet_cli.models.kernels import Kernels
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.recursions import FloatRecursion, Recursion, RecursionParts, in_float

#: Largest integers: what a BN-ReLU makes, weights, and what a convolution makes where sums of that
#: are exact, and elsewhere.
_ACTIVATED, _WEIGHT, _CONVOLVED, _CONVOLVED_WITHOUT_VNNI = 127, 127, 255, 127
#: Kept above the largest value that was measured.
_HEADROOM = 1.1


@dataclass(frozen=True)
class Ranges:
    """Largest values that the two convolutions of a recursion see; the smallest are zero."""

    first: float = 0.0
    second: float = 0.0

    def step(self, convolution: int) -> float:
        """Return what one integer stands for before the first or second (1, 2) convolution."""
        largest, integers = (
            (self.first, _ACTIVATED) if convolution == 1 else (self.second, largest_convolved())
        )
        return max(largest * _HEADROOM, 1e-6) / integers


#: Ranges by (block, recursion), both from 1.
AllRanges = dict[tuple[int, int], Ranges]


@dataclass(frozen=True)
class _ObservedRecursion:
    """A recursion that notes the largest values it sees."""

    inside: FloatRecursion
    key: tuple[int, int]
    ranges: AllRanges

    def inner(self, state: Tensor, band: Band) -> Tensor:
        activated = self.inside.activation(state[:, :, band.seen])
        result = self.inside.inner(state, band)
        seen = self.ranges.get(self.key, Ranges())
        self.ranges[self.key] = Ranges(
            max(seen.first, float(activated.max())), max(seen.second, float(result.max()))
        )
        return result

    def add(self, rows: Tensor, window: Tensor, band: Band) -> None:
        self.inside.add(rows, window, band)


def measured_ranges(
    model: MemNet, planes: Sequence[Tensor], dtype: torch.dtype, kernels: Kernels
) -> AllRanges:
    """Return the ranges of every recursion on (N, 1, H, W) degraded planes."""
    ranges: AllRanges = {}
    floats = in_float(dtype, kernels)

    def build(parts: RecursionParts) -> Recursion:
        inside = floats(parts)
        assert isinstance(inside, FloatRecursion)
        return _ObservedRecursion(inside, (parts.block, parts.number), ranges)

    observed = FusedMemNet(model, dtype, kernels, build)
    for plane in planes:
        observed(plane)
    return ranges


@dataclass(frozen=True)
class _QuantisedConv:
    """A 3x3 convolution of integers.

    Attributes:
        step: of what it sees.
        weight: as oneDNN packs it.
        weight_steps: (C,), one for each map that is made.
        bias: (C,) float32.
    """

    step: float
    weight: Tensor
    weight_steps: Tensor
    bias: Tensor
    zeros: Tensor = field(repr=False)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, step: float) -> _QuantisedConv:
        steps = weight.abs().amax((1, 2, 3)).clamp(min=1e-12) / _WEIGHT
        integers = (weight / steps[:, None, None, None]).round().to(torch.int8)
        packed = torch.ops.onednn.qconv_prepack(
            integers, steps, step, 0, [1, 1], [1, 1], [1, 1], 1, None
        )
        return cls(step, packed, steps, bias.float(), torch.zeros(len(steps), dtype=torch.int32))

    def rectified(self, window: Tensor, step: float, rows: int) -> Tensor:
        """Return its ReLU as integers with another step; zeros around as in ``Kernels.conv``."""
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(
            window, self.step, 0, self.weight, self.weight_steps, self.zeros, self.bias,
            [1, 1], [rows, 1], [1, 1], 1, step, 0, torch.uint8, "relu", [], "",
        )  # fmt: skip
        return result

    def add_to(self, total: Tensor, window: Tensor, rows: int) -> None:
        """Add it to maps of a floating-point type."""
        torch.ops.onednn.qconv2d_pointwise.binary(
            window, self.step, 0, self.weight, self.weight_steps, self.zeros, total, self.bias,
            [1, 1], [rows, 1], [1, 1], 1, 1.0, 0, total.dtype, 1.0, 0,
            "sum", 1.0, "none", [], "",
        )  # fmt: skip


@cache
def largest_convolved() -> int:
    """Return the largest integer of what a convolution makes that the next one adds up exactly.

    Raises:
        RuntimeError, AttributeError, NotImplementedError: where torch or the CPU has no such sums.
    """
    maps, side = 64, 8
    convolution = _QuantisedConv.of(
        torch.ones(maps, maps, 3, 3, dtype=torch.float32), torch.zeros(maps), 1.0
    )
    window = torch.full((1, maps, side, side), _CONVOLVED, dtype=torch.uint8)
    total = torch.zeros(1, maps, side, side, dtype=torch.float32)
    total, window = (one.contiguous(memory_format=torch.channels_last) for one in (total, window))
    convolution.add_to(total, window, 1)
    wanted = 9.0 * maps * _CONVOLVED
    exact = bool((total[:, :, 1:-1, 1:-1] - wanted).abs().max() < 1e-3 * wanted)
    return _CONVOLVED if exact else _CONVOLVED_WITHOUT_VNNI


@dataclass(frozen=True)
class QuantisedRecursion:
    """A recursion whose convolutions see integers.

    Attributes:
        activation: BN in steps of the first convolution, moved as ``_integers`` wants it.
        first, second: the convolutions.
    """

    activation: Activation
    first: _QuantisedConv
    second: _QuantisedConv

    @classmethod
    def of(cls, parts: RecursionParts, ranges: Ranges, dtype: torch.dtype) -> QuantisedRecursion:
        """Make it of its parts, for maps of a type."""
        step = ranges.step(1)
        moved = 128.0 if dtype == torch.bfloat16 else 0.5
        activation = Activation(
            parts.activation.scale / step, parts.activation.offset / step + moved
        )
        first = _QuantisedConv.of(parts.weight, parts.bias, step)
        second = _QuantisedConv.of(parts.outer_weight, parts.outer_bias, ranges.step(2))
        return cls(activation, first, second)

    def inner(self, state: Tensor, band: Band) -> Tensor:
        """Return what the second convolution sees of a band, uint8."""
        window = band.window(_integers(self.activation.affine(state[:, :, band.seen])))
        window = window.contiguous(memory_format=torch.channels_last)
        return self.first.rectified(window, self.second.step, band.padding)

    def add(self, rows: Tensor, window: Tensor, band: Band) -> None:
        """Add what the second convolution makes of a window."""
        window = window.contiguous(memory_format=torch.channels_last)
        self.second.add_to(rows, window, band.padding)


def _integers(x: Tensor) -> Tensor:
    """Return ReLU as integers from 0 to 127, uint8; ``x`` is overwritten.

    bfloat16 comes with 128 added, where its last bit is one: it is rounded already, and what is
    left of its bits is the integer. float32 comes with 0.5 added, and is cut off.
    """
    if x.dtype == torch.bfloat16:
        bits = x.view(torch.int16)
        return bits.clamp_(0x4300, 0x4300 + _ACTIVATED).to(torch.int8).view(torch.uint8)
    return x.clamp_(0.0, _ACTIVATED + 0.5).to(torch.int8).view(torch.uint8)


def quantised_memnet(
    model: MemNet, planes: Sequence[Tensor], dtype: torch.dtype, kernels: Kernels
) -> FusedMemNet:
    """Return a MemNet with 3x3 convolutions in 8 bits, for CPUs.

    Args:
        model: in evaluation.
        planes: (N, 1, H, W) degraded as those that it is for; they tell the ranges.
        dtype: of everything else, float32 or bfloat16.
        kernels: for everything else; channels_last.

    Raises:
        RuntimeError, AttributeError, NotImplementedError: where torch or the CPU lacks them.
    """
    ranges = measured_ranges(model, planes, dtype, kernels)

    def build(parts: RecursionParts) -> Recursion:
        return QuantisedRecursion.of(parts, ranges[parts.block, parts.number], dtype)

    return FusedMemNet(model, dtype, replace(kernels, name="oneDNN int8"), build)

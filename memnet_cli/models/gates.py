"""MemNet's gate for restoration: what some of the memories add to the 1x1 convolution of all.

The convolution over all memories (paper, eq. 9) is a sum of one over each, so that a memory which
no later gate needs is dropped once it is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from memnet_cli.models.activation import Activation
from memnet_cli.models.bands import Band
from memnet_cli.models.kernels import Kernels

#: Columns of a matrix product: what it needs of some memories stays in the cache.
_COLUMNS = 2000
#: The same for several threads, which wait for each other after every operation.
_SHARED_COLUMNS = 32000


class Gate(Protocol):
    """The part of a gate that belongs to some of its memories."""

    def __call__(
        self, total: Tensor | None, memories: Sequence[Tensor], bands: Sequence[Band]
    ) -> Tensor:
        """Return ``total`` with what (N, C, H, W) memories add; None stands for the bias."""
        ...


@dataclass(frozen=True)
class ConvolvedGate:
    """One convolution for each memory and band.

    Attributes:
        activations: one for each memory.
        weights: (K, C, 1, 1), one for each memory.
        bias: (K,), of the whole gate.
    """

    kernels: Kernels
    activations: tuple[Activation, ...]
    weights: tuple[Tensor, ...]
    bias: Tensor

    def __call__(
        self, total: Tensor | None, memories: Sequence[Tensor], bands: Sequence[Band]
    ) -> Tensor:
        """Return ``total`` with what the memories add; None stands for the bias."""
        for part in zip(memories, self.activations, self.weights, strict=True):
            total = self._add(total, *part, bands)
        assert total is not None
        return total

    def _add(
        self,
        total: Tensor | None,
        memory: Tensor,
        activation: Activation,
        weight: Tensor,
        bands: Sequence[Band],
    ) -> Tensor:
        conv = self.kernels.conv
        if total is None and len(bands) == 1:
            return conv(activation(memory), weight, self.bias, False, 0)
        result = torch.empty_like(memory) if total is None else total
        for band in bands:
            activated = activation(memory[:, :, band.rows])
            part = result[:, :, band.rows]
            if total is None:
                part.copy_(conv(activated, weight, self.bias, False, 0))
            else:
                self.kernels.conv_into(part, activated, weight, None, 0)
        return result


@dataclass(frozen=True)
class MultipliedGate:
    """One matrix product for all memories and a few pixels at a time, in the NCHW layout.

    ReLU(s x + b) is max(s x, -b) + b, and b goes through the gate into its bias.

    Attributes:
        scale: (n C, 1), s of the n memories one after the other.
        bound: (n C, 1), -b.
        weight: (K, n C).
        bias: (K, 1), of the whole gate, with what all its b add.
    """

    scale: Tensor
    bound: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(
        self, total: Tensor | None, memories: Sequence[Tensor], bands: Sequence[Band]
    ) -> Tensor:
        """Return ``total`` with what the memories add; None stands for the bias."""
        result = torch.empty_like(memories[0]) if total is None else total
        for index, plane in enumerate(result.flatten(2)):
            maps = [memory[index].flatten(1) for memory in memories]
            step = _COLUMNS if torch.get_num_threads() == 1 else _SHARED_COLUMNS
            for start in range(0, plane.shape[1], step):
                columns = slice(start, start + step)
                part, seen = plane[:, columns], self._activated([m[:, columns] for m in maps])
                if total is None:
                    torch.addmm(self.bias, self.weight, seen, out=part)
                else:
                    part.addmm_(self.weight, seen)
        return result

    def _activated(self, maps: Sequence[Tensor]) -> Tensor:
        """Return max(s x, -b), (n C, columns)."""
        activated = maps[0].new_empty(len(self.scale), maps[0].shape[1])
        parts = zip(activated.chunk(len(maps)), maps, self.scale.chunk(len(maps)), strict=True)
        for part, memory, scale in parts:
            torch.mul(memory, scale, out=part)
        return torch.maximum(activated, self.bound, out=activated)


@dataclass(frozen=True)
class WholeGate:
    """A gate as the module has it.

    Attributes:
        activation: of the n memories, (n C,).
        weight: (K, n C, 1, 1), of the type to compute with.
        bias: (K,), of the same type.
    """

    activation: Activation
    weight: Tensor
    bias: Tensor

    def reads(self, index: int) -> bool:
        """Say whether the weights of a memory are other than zero; on the meta device, yes."""
        weights = self._weights()[:, index]
        return weights.is_meta or bool(weights.any())

    def split(self, groups: Sequence[Sequence[int]], kernels: Kernels) -> tuple[Gate, ...]:
        """Return a part for each group of memories.

        Each of the n is in one group, or its weights are zero.
        """
        if kernels.in_columns:
            return self._multiplied(groups)
        memories, weights = self._memories(), self._weights()
        return tuple(
            ConvolvedGate(
                kernels,
                tuple(memories[index] for index in group),
                tuple(
                    weights[:, index, :, None, None].contiguous(memory_format=kernels.layout)
                    for index in group
                ),
                self.bias,
            )
            for group in groups
        )

    def _multiplied(self, groups: Sequence[Sequence[int]]) -> tuple[Gate, ...]:
        memories, weights = self._memories(), self._weights()
        bias = self.bias + self.weight.flatten(1) @ self.activation.offset
        return tuple(
            MultipliedGate(
                torch.cat([memories[index].scale for index in group])[:, None],
                -torch.cat([memories[index].offset for index in group])[:, None],
                weights[:, list(group)].flatten(1),
                bias[:, None],
            )
            for group in groups
        )

    def _memories(self) -> list[Activation]:
        width = self.weight.shape[0]
        values = (self.activation.scale, self.activation.offset)
        parts = zip(*(value.view(-1, width) for value in values), strict=True)
        return [Activation(scale, offset) for scale, offset in parts]

    def _weights(self) -> Tensor:
        """Return (K, n, C)."""
        width = self.weight.shape[0]
        return self.weight.reshape(width, -1, width)

"""MemNet for restoration only: the same function with fewer passes over memory.

Normalisations that follow a convolution are folded into it, sums are made in place, nothing is
kept longer than a later gate needs it, and on the CPU a layer is computed for a band of rows after
the other, so that only what outlives the layer is as large as the plane. The convolutions run on
what measures fastest; see docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.models.bands import Band, one_band, plan_bands, with_neighbours
from memnet_cli.models.kernels import Kernels
from memnet_cli.models.layers import BatchNorm
from memnet_cli.models.memnet import MemNet, MemoryBlock

Bands = Sequence[Band]


@dataclass(frozen=True)
class _Activation:
    """BN-ReLU with the statistics of evaluation, as one scale and offset for each map."""

    scale: Tensor
    offset: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        whole = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
        if x.dtype == self.scale.dtype and not whole:
            # some rows of NCHW maps, for which batch_norm has no fast path
            return torch.addcmul(_maps(self.offset), x, _maps(self.scale)).relu_()
        zero, one = torch.zeros_like(self.offset), torch.ones_like(self.scale)
        normed = F.batch_norm(x, zero, one, self.scale, self.offset, False, 0.0, 0.0)
        return normed.relu_()


def _activation(norm: BatchNorm, part: slice = slice(None)) -> _Activation:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return _Activation(scale[part], (norm.bias - norm.running_mean * scale)[part])


@dataclass(frozen=True)
class _Recursion:
    """BN-ReLU-conv1-BN-ReLU of one recursion, the second BN folded into the convolution."""

    activation: _Activation
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class _Gate:
    """BN-ReLU and the slice of the 1x1 convolution for one of the memories."""

    activation: _Activation
    weight: Tensor


@dataclass(frozen=True)
class _Block:
    recursions: tuple[_Recursion, ...]
    weight: Tensor
    bias: Tensor
    gates: tuple[_Gate, ...]
    gate_bias: Tensor


class FusedMemNet:
    """A MemNet in evaluation, made for one device and one type; later changes do not reach it.

    Called like the module: (N, 1, H, W) float32 in and out, on the model's device.
    """

    @torch.no_grad()
    def __init__(self, model: MemNet, dtype: torch.dtype, kernels: Kernels) -> None:
        self.kernels = kernels
        self.dtype = dtype
        self.settings = model.settings
        self.feature = model.feature
        self.ensemble = model.ensemble.detach() if model.settings.multi_supervised else None
        self.blocks = tuple(self._block(b) for b in model.blocks if isinstance(b, MemoryBlock))
        weight, bias = _parameters(model.reconstruction.conv)
        self.reconstruction = (weight.to(dtype), bias.to(dtype))
        self.outputs = tuple(_activation(n) for n in _norms(model.reconstruction.norms))

    def _ready(self, weight: Tensor) -> Tensor:
        return weight.to(self.dtype).contiguous(memory_format=self.kernels.layout)

    def _block(self, block: MemoryBlock) -> _Block:
        unit, gate, width = block.recursion, block.gate, self.settings.width
        inner, inner_bias = _parameters(unit.conv1)
        outer, outer_bias = _parameters(unit.conv2)
        mixing, mixing_bias = _parameters(gate.conv)
        recursions = []
        for norm1, norm2 in zip(_norms(unit.norm1), _norms(unit.norm2), strict=True):
            after = _activation(norm2)
            weight = inner * after.scale[:, None, None, None]
            bias = inner_bias * after.scale + after.offset
            recursions.append(
                _Recursion(_activation(norm1), self._ready(weight), bias.to(self.dtype))
            )
        parts = [slice(start, start + width) for start in range(0, mixing.shape[1], width)]
        gates = tuple(
            _Gate(_activation(gate.norm, part), self._ready(mixing[:, part])) for part in parts
        )
        return _Block(
            tuple(recursions),
            self._ready(outer),
            outer_bias.to(self.dtype),
            gates,
            mixing_bias.to(self.dtype),
        )

    def _add(
        self, total: Tensor | None, memory: Tensor, block: _Block, index: int, bands: Bands
    ) -> Tensor:
        gate, conv = block.gates[index], self.kernels.conv
        if total is None and len(bands) == 1:
            return conv(gate.activation(memory), gate.weight, block.gate_bias, False, 0)
        result = torch.empty_like(memory) if total is None else total
        for band in bands:
            activated = gate.activation(memory[:, :, band.rows])
            part = result[:, :, band.rows]
            if total is None:
                part.copy_(conv(activated, gate.weight, block.gate_bias, False, 0))
            else:
                self.kernels.conv_into(part, activated, gate.weight, None, 0)
        return result

    def _inner(self, recursion: _Recursion, state: Tensor, bands: Bands) -> list[Tensor]:
        """Return what the second convolution of a recursion sees, band by band."""
        return [
            self.kernels.conv(
                self._window(band, recursion.activation(state[:, :, band.seen])),
                recursion.weight,
                recursion.bias,
                True,
                band.padding,
            )
            for band in bands
        ]

    def _window(self, band: Band, seen: Tensor) -> Tensor:
        return band.window(seen).contiguous(memory_format=self.kernels.layout)

    def _memory(self, block: _Block, earlier: list[Tensor], bands: Bands) -> Tensor:
        """Return B_m from what its gate sees of [B_0, ..., B_{m-1}]."""
        total: Tensor | None = None
        longs = len(earlier) if self.settings.long_term else 0
        for index in range(longs):
            total = self._add(total, earlier[index], block, index, bands)
        # the sums are made in place, and the block's input is still needed
        state = earlier[-1].clone(memory_format=torch.preserve_format)
        for number, recursion in enumerate(block.recursions):
            inner = self._inner(recursion, state, bands)
            for band, window in zip(bands, with_neighbours(inner), strict=True):
                rows = state[:, :, band.rows]
                self.kernels.conv_into(rows, window, block.weight, block.bias, band.padding)
            del inner, window
            if self.settings.short_term:
                total = self._add(total, state, block, longs + number, bands)
        if not self.settings.short_term:
            total = self._add(total, state, block, longs, bands)
        assert total is not None
        return total

    def _memories(self, x: Tensor, bands: Bands) -> Iterator[Tensor]:
        first = self.feature(x).to(self.dtype).contiguous(memory_format=self.kernels.layout)
        memories = [first]
        del first
        for block in self.blocks:
            memory = self._memory(block, memories, bands)
            if not self.settings.long_term:
                memories.clear()
            memories.append(memory)
            yield memory

    def _prediction(self, x: Tensor, memory: Tensor, output: int, bands: Bands) -> Tensor:
        weight, bias = self.reconstruction
        restored = x.clone()
        for band in bands:
            window = self._window(band, self.outputs[output](memory[:, :, band.seen]))
            restored[:, :, band.rows] += F.conv2d(window, weight, bias, padding=(band.padding, 1))
        return restored

    @torch.inference_mode()
    def __call__(self, x: Tensor, exit_block: int | None = None) -> Tensor:
        """Restore (N, 1, H, W); ``exit_block`` as in MemNet's forward."""
        planes, _, height, width = x.shape
        in_bands = self.kernels.in_bands
        bands = plan_bands(planes, height, width) if in_bands else one_band(height)
        restored = torch.zeros_like(x)
        for block, memory in enumerate(self._memories(x, bands)):
            last = block == len(self.blocks) - 1
            if exit_block == block + 1 or (last and self.ensemble is None):
                return self._prediction(x, memory, block if exit_block else 0, bands)
            if exit_block is None and self.ensemble is not None:
                restored += self.ensemble[block] * self._prediction(x, memory, block, bands)
        return restored


def _maps(values: Tensor) -> Tensor:
    return values[:, None, None]


def _parameters(conv: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert conv.bias is not None
    return conv.weight, conv.bias


def _norms(modules: torch.nn.ModuleList) -> list[BatchNorm]:
    return [module for module in modules if isinstance(module, BatchNorm)]

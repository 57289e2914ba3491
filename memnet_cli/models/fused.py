"""MemNet for restoration only: the same function with fewer passes over memory.

Normalisations that follow a convolution are folded into it, sums are made in place, and nothing is
kept longer than a later gate needs it. The convolutions run on what measures fastest; see
docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.models.layers import BatchNorm
from memnet_cli.models.memnet import MemNet, MemoryBlock

#: conv(x, weight, bias, relu): same size; conv_into(total, x, weight, bias): adds to ``total``.
Conv = Callable[[Tensor, Tensor, Tensor | None, bool], Tensor]
ConvInto = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Kernels:
    """A way to compute convolutions with 3x3 or 1x1 weights that keep the size.

    Attributes:
        name: as it is reported.
        layout: memory format of the maps.
        conv, conv_into: see above.
    """

    name: str
    layout: torch.memory_format
    conv: Conv
    conv_into: ConvInto


def _plain_conv(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    result = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
    return result.relu_() if relu else result


def _plain_conv_into(total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return total.add_(F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2))


def _winograd_conv(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    if weight.shape[-1] == 1:
        return _plain_conv(x, weight, bias, relu)
    result: Tensor = torch._nnpack_spatial_convolution(x, weight, bias, [1, 1], [1, 1])
    return result.relu_() if relu else result


def _winograd_conv_into(total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if weight.shape[-1] != 1 or bias is not None:
        return total.add_(_winograd_conv(x, weight, bias, False))
    for plane, maps in zip(total.flatten(2), x.flatten(2), strict=True):
        plane.addmm_(weight.flatten(1), maps)
    return total


def _onednn_conv(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    padding = [weight.shape[-1] // 2] * 2
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, [1, 1], [1, 1], 1, "relu" if relu else "none", [], ""
    )
    return result


def _onednn_conv_into(total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    padding = [weight.shape[-1] // 2] * 2
    result: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
        total, x, weight, bias, padding, [1, 1], [1, 1], 1, "add", 1.0, None, [], None
    )
    return result


PLAIN = Kernels("torch convolutions", torch.channels_last, _plain_conv, _plain_conv_into)
ONEDNN = Kernels("oneDNN fused", torch.channels_last, _onednn_conv, _onednn_conv_into)
WINOGRAD = Kernels("NNPACK Winograd", torch.contiguous_format, _winograd_conv, _winograd_conv_into)


def onednn_knows(dtype: torch.dtype) -> bool:
    """Say whether this CPU and this torch have oneDNN convolutions of a type."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def kernels_for(device: torch.device, dtype: torch.dtype) -> Kernels:
    """Choose the kernels for a device and the type of the maps.

    Measured on two AVX2 cores in float32, share of the time of the plain module: NNPACK's Winograd
    0.68, oneDNN with fused ReLU and sum 0.93. NNPACK knows float32 only.
    """
    if device.type != "cpu":
        return PLAIN
    if dtype == torch.float32 and torch._nnpack_available():
        return WINOGRAD
    return ONEDNN if onednn_knows(dtype) else PLAIN


@dataclass(frozen=True)
class _Activation:
    """BN-ReLU with the statistics of evaluation, as one scale and offset for each map."""

    scale: Tensor
    offset: Tensor

    def __call__(self, x: Tensor) -> Tensor:
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

    def _add(self, total: Tensor | None, memory: Tensor, block: _Block, index: int) -> Tensor:
        gate = block.gates[index]
        activated = gate.activation(memory)
        if total is None:
            return self.kernels.conv(activated, gate.weight, block.gate_bias, False)
        return self.kernels.conv_into(total, activated, gate.weight, None)

    def _memory(self, block: _Block, earlier: list[Tensor]) -> Tensor:
        """Return B_m from what its gate sees of [B_0, ..., B_{m-1}]."""
        total: Tensor | None = None
        longs = len(earlier) if self.settings.long_term else 0
        for index in range(longs):
            total = self._add(total, earlier[index], block, index)
        # the sums are made in place, and the block's input is still needed
        state = earlier[-1].clone(memory_format=torch.preserve_format)
        for number, recursion in enumerate(block.recursions):
            activated = recursion.activation(state)
            activated = self.kernels.conv(activated, recursion.weight, recursion.bias, True)
            state = self.kernels.conv_into(state, activated, block.weight, block.bias)
            del activated
            if self.settings.short_term:
                total = self._add(total, state, block, longs + number)
        if not self.settings.short_term:
            total = self._add(total, state, block, longs)
        assert total is not None
        return total

    def _memories(self, x: Tensor) -> Iterator[Tensor]:
        first = self.feature(x).to(self.dtype).contiguous(memory_format=self.kernels.layout)
        memories = [first]
        del first
        for block in self.blocks:
            memory = self._memory(block, memories)
            if not self.settings.long_term:
                memories.clear()
            memories.append(memory)
            yield memory

    def _prediction(self, x: Tensor, memory: Tensor, output: int) -> Tensor:
        weight, bias = self.reconstruction
        return x + F.conv2d(self.outputs[output](memory), weight, bias, padding=1).float()

    @torch.inference_mode()
    def __call__(self, x: Tensor, exit_block: int | None = None) -> Tensor:
        """Restore (N, 1, H, W); ``exit_block`` as in MemNet's forward."""
        restored = torch.zeros_like(x)
        for block, memory in enumerate(self._memories(x)):
            last = block == len(self.blocks) - 1
            if exit_block == block + 1 or (last and self.ensemble is None):
                return self._prediction(x, memory, block if exit_block else 0)
            if exit_block is None and self.ensemble is not None:
                restored += self.ensemble[block] * self._prediction(x, memory, block)
        return restored


def _parameters(conv: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert conv.bias is not None
    return conv.weight, conv.bias


def _norms(modules: torch.nn.ModuleList) -> list[BatchNorm]:
    return [module for module in modules if isinstance(module, BatchNorm)]

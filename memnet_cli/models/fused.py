"""MemNet for restoration only: the same function with fewer passes over memory.

Normalisations that follow a convolution are folded into it, sums are made in place, nothing is
kept longer than a later gate needs it nor computed if none does, and on the CPU a layer is computed
for a band of rows after the other, so that only what outlives the layer is as large as the plane.
The convolutions run on what measures fastest; see docs/performance.md.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from memnet_cli.models.activation import Activation, activation_of
from memnet_cli.models.bands import Band, one_band, plan_bands, with_neighbours
from memnet_cli.models.gates import Gate, WholeGate
from memnet_cli.models.kernels import Kernels
from memnet_cli.models.layers import BatchNorm, from_the_picture, to_channels, to_planes
from memnet_cli.models.memnet import GateUnit, MemNet, MemoryBlock
from memnet_cli.models.recursions import Builder, Recursion, RecursionParts, in_float

Bands = Sequence[Band]
#: Of a band of what ReconNet sees, which is float32.
_FLOAT_PIXELS = 1 << 17


@dataclass(frozen=True)
class _Block:
    """Recursions, and the gate after each that has one."""

    recursions: tuple[Recursion, ...]
    gates: tuple[Gate | None, ...]


@dataclass(frozen=True)
class _Output:
    """BN-ReLU before ReconNet's convolution, and the block's share of the ensemble (eq. 11)."""

    activation: Activation
    share: float


class FusedMemNet:
    """A MemNet in evaluation, made for one device and one type; later changes do not reach it.

    Called like the module: (N, 1, H, W) float32 in and out, on the model's device.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: MemNet,
        dtype: torch.dtype,
        kernels: Kernels,
        build: Builder | None = None,
    ) -> None:
        """Prepare the weights; ``build`` makes recursions that are not of the type ``dtype``."""
        self.kernels = kernels
        self.dtype = dtype
        self.settings = model.settings
        self.feature = copy.deepcopy(model.feature)
        self.feature.to(memory_format=kernels.layout)  # type: ignore[call-overload]
        blocks = [block for block in model.blocks if isinstance(block, MemoryBlock)]
        build = build or in_float(dtype, kernels)
        self.blocks = tuple(self._block(b, n, build) for n, b in enumerate(blocks, 1))
        weight, bias = _parameters(model.reconstruction.conv)
        self.reconstruction = (weight.detach().clone(), bias.detach().clone())
        self.non_local = {
            int(place): _in_type(module, dtype) for place, module in model.non_local.items()
        }
        self.outputs = _outputs(model)

    def _block(self, block: MemoryBlock, place: int, build: Builder) -> _Block:
        unit = block.recursion
        inner, inner_bias = _parameters(unit.conv1)
        outer, outer_bias = _parameters(unit.conv2)
        norms = list(zip(_norms(unit.norm1), _norms(unit.norm2), strict=True))
        gates = self._gates(block.gate, len(norms))
        recursions = []
        for number, (norm1, norm2) in enumerate(norms[: len(gates)], 1):
            after = activation_of(norm2)
            weight = inner * after.scale[:, None, None, None]
            bias = inner_bias * after.scale + after.offset
            parts = RecursionParts(
                place, number, activation_of(norm1), weight, bias, outer, outer_bias
            )
            recursions.append(build(parts))
        return _Block(tuple(recursions), gates)

    def _gates(self, gate: GateUnit, recursions: int) -> tuple[Gate | None, ...]:
        """Return what is added after each recursion; all long-term memories after the last.

        Short-term memories of weight zero, which a grown network has until it is trained, are
        left out, and so is every recursion behind the last one that is read.
        """
        weight, bias = _parameters(gate.conv)
        whole = WholeGate(activation_of(gate.norm), weight.to(self.dtype), bias.to(self.dtype))
        count = weight.shape[1] // weight.shape[0]
        longs = count - (recursions if self.settings.short_term else 1)
        first = recursions - (count - longs) + 1
        numbered = dict(enumerate(range(longs, count), first))
        read = [number for number, index in numbered.items() if whole.reads(index)] or [first]
        groups = [[numbered[number]] for number in read]
        groups[-1] = [*range(longs), *groups[-1]]
        parts = dict(zip(read, whole.split(groups, self.kernels), strict=True))
        return tuple(parts.get(number) for number in range(1, read[-1] + 1))

    def _bands(self, x: Tensor, pixels: int | None) -> Bands:
        """Return bands of about ``pixels``; the whole plane where the kernels want no bands."""
        planes, _, height, width = x.shape
        if pixels is None or self.kernels.band_pixels is None:
            return one_band(height)
        return plan_bands(planes, height, width, pixels)

    def _window(self, band: Band, seen: Tensor) -> Tensor:
        return band.window(seen).contiguous(memory_format=self.kernels.layout)

    def _memory(self, block: _Block, earlier: list[Tensor], bands: Bands) -> Tensor:
        """Return B_m from what its gate sees of [B_0, ..., B_{m-1}]."""
        total: Tensor | None = None
        longs = earlier if self.settings.long_term else []
        # the sums are made in place, and the block's input is still needed
        state = earlier[-1].clone(memory_format=torch.preserve_format)
        for number, recursion in enumerate(block.recursions, 1):
            inner = [recursion.inner(state, band) for band in bands]
            for band, window in zip(bands, with_neighbours(inner), strict=True):
                recursion.add(state[:, :, band.rows], window, band)
            del inner, window
            gate = block.gates[number - 1]
            if gate is not None:
                last = number == len(block.recursions)
                total = gate(total, [*longs, state] if last else [state], bands)
        assert total is not None
        return total

    def _memories(self, x: Tensor, bands: Bands) -> Iterator[Tensor]:
        first = (
            from_the_picture(self.feature, x)
            .to(self.dtype)
            .contiguous(memory_format=self.kernels.layout)
        )
        memories = [first]
        del first
        for number, block in enumerate(self.blocks):
            memory = self._memory(block, memories, bands)
            if number in self.non_local:
                attended: Tensor = self.non_local[number](memory)
                memory = attended.contiguous(memory_format=self.kernels.layout)
            if not self.settings.long_term:
                memories.clear()
            memories.append(memory)
            yield memory

    def _restored(
        self, x: Tensor, memories: Sequence[Tensor], outputs: Sequence[_Output]
    ) -> Tensor:
        """Return the weighted sum of what ReconNet makes of some memories (eq. 11).

        Its convolution is linear and the same for all: it is computed once, of their sum, and in
        float32: strong noise is as large as the picture, and bfloat16 has 8 bits for it.
        """
        weight, bias = self.reconstruction
        share = sum(output.share for output in outputs)
        restored = x * share
        for band in self._bands(x, _FLOAT_PIXELS):
            window = self._window(band, _weighted(memories, outputs, band))
            restored[:, :, band.rows] += self.kernels.conv_to_few(
                window, weight, bias * share, band.padding
            )
        return restored

    @torch.inference_mode()
    def __call__(self, x: Tensor, exit_block: int | None = None) -> Tensor:
        """Restore (N, 1, H, W); ``exit_block`` as in MemNet's forward."""
        side = self.settings.unshuffle
        return to_planes(self._run(to_channels(x, side), exit_block), side, *x.shape[2:])

    def _run(self, x: Tensor, exit_block: int | None) -> Tensor:
        bands = self._bands(x, self.kernels.band_pixels)
        restored = torch.zeros_like(x)
        waiting: list[Tensor] = []
        outputs: list[_Output] = []
        for block, memory in enumerate(self._memories(x, bands), 1):
            output = self.outputs[block - 1]
            if exit_block == block and output is not None:
                return self._restored(x, [memory], [replace(output, share=1.0)])
            if output is not None:
                waiting.append(memory)
                outputs.append(output)
            # all are kept for the gates anyway, or none
            if waiting and (block == len(self.blocks) or not self.settings.long_term):
                restored += self._restored(x, waiting, outputs)
                waiting.clear()
                outputs.clear()
        return restored


def _weighted(memories: Sequence[Tensor], outputs: Sequence[_Output], band: Band) -> Tensor:
    """Return the weighted sum of what ReconNet's convolution sees, float32."""
    total = outputs[0].activation(memories[0][:, :, band.seen]).mul_(outputs[0].share)
    for memory, output in zip(memories[1:], outputs[1:], strict=True):
        total.add_(output.activation(memory[:, :, band.seen]), alpha=output.share)
    return total.float()


def _outputs(model: MemNet) -> tuple[_Output | None, ...]:
    """Return what is predicted from each block; of a basic MemNet, from the last one only."""
    activations = [activation_of(norm) for norm in _norms(model.reconstruction.norms)]
    if not model.settings.multi_supervised:
        return (*[None] * (model.settings.memory_blocks - 1), _Output(activations[0], 1.0))
    # the meta device, where memory is counted, has no values
    shares = [1.0] * len(activations) if model.ensemble.is_meta else model.ensemble.tolist()
    return tuple(map(_Output, activations, shares))


def _in_type(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Return a copy of a non-local module with its convolutions in a type, its scale as it is."""
    copied = copy.deepcopy(module)
    for layer in copied.children():
        layer.to(dtype)
    return copied


def _parameters(conv: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert conv.bias is not None
    return conv.weight.clone(), conv.bias.clone()  # which a training step would change


def _norms(modules: torch.nn.ModuleList) -> list[BatchNorm]:
    return [module for module in modules if isinstance(module, BatchNorm)]

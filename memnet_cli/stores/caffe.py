"""Turn the MemNet that its authors released for Caffe into this program's weights; numpy only.

Where each fact comes from:

- Names of layers, their types and connections: the texts in the authors' repository
  (github.com/tyshiwo/MemNet), test/MemNet_M6R6_80C64/MemNet_M6R6_80C64_deploy.prototxt with its
  M10R10 sibling, and those for training in caffe_files/. There every convolution has a bias,
  BN-ReLU stands before the first one too, a concat lists the long-term memories (oldest first) and
  then the short-term ones, and ``conv_end_{m}`` shares ``Recon_w`` and ``Recon_b``. For training
  the recursions share their convolutions as ``conv{m}_wa``, ``_ba``, ``_wb``, ``_bb``; a snapshot
  holds a copy of a shared parameter in each layer.
- Blobs of BatchNorm are mean and variance, each times a scale factor, and that factor: Caffe's
  src/caffe/layers/batch_norm_layer.cpp. A BatchNorm has no weight and bias; the Scale layer after
  it has.
- An output that several layers read is called ``{blob}_{layer}_{i}_split_{k}`` in a snapshot:
  Caffe's src/caffe/util/insert_splits.cpp.
- Shapes of old files have 1s in front: ``Blob::ShapeEquals`` in Caffe's src/caffe/blob.cpp.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores.caffe_format import DEFAULT_EPSILON, Layer, read_caffemodel

Array = NDArray[np.float32]
#: Canonical names of docs/weights.md -> float32 arrays.
State = dict[str, Array]


def import_memnet(path: Path) -> tuple[MemNetConfig, State]:
    """Read a MemNet of any M, R and width from a .caffemodel file in the authors' layout.

    Returns:
        The config, and the arrays under the names that weights files have.

    Raises:
        WeightsError: if the file is no caffemodel or holds another network.
    """
    return _Network(path, read_caffemodel(path)).converted()


def _without_leading_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(itertools.dropwhile(lambda size: size == 1, shape))


class _Network:
    """The layers of a file, each checked when it is taken."""

    def __init__(self, path: Path, layers: Mapping[str, Layer]) -> None:
        self.path = path
        self.layers = layers
        self.taken: set[str] = set()
        self.config = self._config()

    def converted(self) -> tuple[MemNetConfig, State]:
        """Return config and state; nothing of the file may be left over."""
        state = self._features()
        for block in range(self.config.memory_blocks):
            state |= self._block(block)
        state |= self._reconstruction()
        for name, layer in self.layers.items():
            if layer.blobs and name not in self.taken:
                raise self._error(f"has the layer {name[:60]!r}, which such a MemNet has not")
        for name, array in state.items():
            if not np.isfinite(array).all():
                raise self._error(f"holds values for '{name}' that are not finite")
        return self.config, state

    def _error(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self.path} {what}: expected the MemNet of the authors' Caffe release."
        )

    def _layer(self, name: str, kind: str, blobs: int) -> Layer:
        layer = self.layers.get(name)
        if layer is None:
            raise self._error(f"lacks the layer '{name}'")
        if layer.type != kind or len(layer.blobs) != blobs:
            raise self._error(
                f"has a layer '{name}' of type {layer.type[:60]!r} with {len(layer.blobs)} "
                f"parameters instead of '{kind}' with {blobs}"
            )
        self.taken.add(name)
        return layer

    def _config(self) -> MemNetConfig:
        width = self._layer("conv1", "Convolution", 2).blobs[0].shape[:1]
        blocks = sum(bool(re.fullmatch(r"conv_transition_\d\d", name)) for name in self.layers)
        recursions = sum(bool(re.fullmatch(r"conv01_\d\d_a", name)) for name in self.layers)
        try:
            return MemNetConfig(
                memory_blocks=max(blocks, 1),
                recursions=max(recursions, 1),
                width=int(width[0]) if width else 0,
                preactivated_input="bn_conv1" in self.layers,
            )
        except UsageError as error:
            raise WeightsError(
                f"{self.path} describes a MemNet that cannot be built: {error}"
            ) from None

    def _blob(self, layer: Layer, index: int, shape: tuple[int, ...]) -> Array:
        blob = layer.blobs[index]
        if _without_leading_ones(blob.shape) != _without_leading_ones(shape):
            raise self._error(
                f"has shape {list(blob.shape)} in '{layer.name}' instead of {list(shape)}"
            )
        return blob.reshape(shape)

    def _convolution(self, name: str, shape: tuple[int, int, int, int]) -> State:
        layer = self._layer(name, "Convolution", 2)
        return {"weight": self._blob(layer, 0, shape), "bias": self._blob(layer, 1, shape[:1])}

    def _shared(self, names: Sequence[str], shape: tuple[int, int, int, int]) -> State:
        """Return the one convolution that all these layers hold a copy of."""
        first = self._convolution(names[0], shape)
        for name in names[1:]:
            for kind, blob in self._convolution(name, shape).items():
                if not np.array_equal(blob, first[kind]):
                    raise self._error(
                        f"has another {kind} in '{name}' than in '{names[0]}', which share it"
                    )
        return first

    def _norm(self, name: str, channels: int) -> State:
        """Return the normalisation before the layer ``name``: its BatchNorm and its Scale."""
        norm = self._layer(f"bn_{name}", "BatchNorm", 3)
        scale = self._layer(f"scale_{name}", "Scale", 2)
        factor = float(self._blob(norm, 2, (1,))[0])
        if not 0.0 < factor < math.inf:
            raise self._error(f"has no statistics in '{norm.name}' (scale factor {factor:g})")
        if not np.isclose(norm.epsilon, DEFAULT_EPSILON, rtol=1e-4, atol=0.0):
            raise self._error(f"has eps {norm.epsilon:g} in '{norm.name}' instead of 1e-05")
        # that everything is finite is checked in the end
        with np.errstate(over="ignore", invalid="ignore"):
            mean, variance = (self._blob(norm, i, (channels,)) / np.float32(factor) for i in (0, 1))
        if (variance < 0.0).any():
            raise self._error(f"has a negative variance in '{norm.name}'")
        return {
            "weight": self._blob(scale, 0, (channels,)),
            "bias": self._blob(scale, 1, (channels,)),
            "running_mean": mean,
            "running_var": variance,
        }

    def _features(self) -> State:
        state = _named("feature.conv", self._convolution("conv1", (self.config.width, 1, 3, 3)))
        if self.config.preactivated_input:
            state |= _named("feature.norm", self._norm("conv1", 1))
        return state

    def _block(self, block: int) -> State:
        width, recursions = self.config.width, self.config.recursions
        target, m = f"blocks.{block}", f"{block + 1:02}"
        state: State = {}
        for index, letter in enumerate("ab", start=1):
            names = [f"conv{m}_{r:02}_{letter}" for r in range(1, recursions + 1)]
            shared = self._shared(names, (width, width, 3, 3))
            state |= _named(f"{target}.recursion.conv{index}", shared)
            for r, name in enumerate(names):
                norm = self._norm(name, width)
                state |= _named(f"{target}.recursion.norm{index}.{r}", norm)
        self._check_memories(block)
        memories = (self.config.long_terms(block) + self.config.short_terms) * width
        gate = f"conv_transition_{m}"
        state |= _named(f"{target}.gate.norm", self._norm(gate, memories))
        state |= _named(f"{target}.gate.conv", self._convolution(gate, (width, memories, 1, 1)))
        return state

    def _check_memories(self, block: int) -> None:
        """Refuse another order of the memories than the gates here have."""
        m = f"{block + 1:02}"
        memories = [
            "conv1",
            *(f"conv_transition_{earlier:02}" for earlier in range(1, block + 1)),
            *(f"eltwise{m}_{r:02}" for r in range(1, self.config.recursions + 1)),
        ]
        bottoms = self._layer(f"concat{m}", "Concat", 0).bottoms
        if len(bottoms) != len(memories) or not all(
            re.fullmatch(rf"{memory}(_{memory}_0_split_\d+)?", bottom)
            for memory, bottom in zip(memories, bottoms, strict=True)
        ):
            raise self._error(f"joins other memories in 'concat{m}', or in another order")

    def _reconstruction(self) -> State:
        width = self.config.width
        blocks = [f"{block:02}" for block in range(1, self.config.memory_blocks + 1)]
        ends = [f"conv_end_{m}" for m in blocks]
        state = _named("reconstruction.conv", self._shared(ends, (1, width, 3, 3)))
        for block, name in enumerate(ends):
            state |= _named(f"reconstruction.norms.{block}", self._norm(name, width))
        shares = [self._layer(f"weight_output_end_{m}", "Scale", 1) for m in blocks]
        state["ensemble"] = np.concatenate([self._blob(layer, 0, (1,)) for layer in shares])
        return state


def _named(prefix: str, state: State) -> State:
    return {f"{prefix}.{name}": array for name, array in state.items()}

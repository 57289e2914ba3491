"""Write MemNet as its authors do: a Caffe network with random parameters, as text and as binary.

One list of layers gives both, so that another engine can run what is imported here. The list is
written down after MemNet_M6R6_80C64_deploy.prototxt in github.com/tyshiwo/MemNet (see
memnet_cli.stores.caffe); only M, R and the width differ.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
#: How numbers stand in the file: as Caffe writes them, one by one, as doubles, or as before 2015.
Encoding = Literal["packed", "unpacked", "double", "legacy"]


@dataclass(frozen=True)
class CaffeLayer:
    """One layer: what its text says and what its parameters are."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    top: str
    text: str = ""
    blobs: tuple[Array, ...] = ()
    #: names of shared parameters, in text and binary
    params: tuple[str, ...] = ()
    #: more fields of the binary message
    extra: bytes = field(default=b"", repr=False)


class _Builder:
    def __init__(self, width: int, rng: np.random.Generator) -> None:
        self.width = width
        self.rng = rng
        self.layers: list[CaffeLayer] = []

    def random(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Array:
        return self.rng.uniform(low, high, shape).astype(np.float32)

    def add(self, name: str, kind: str, *bottoms: str, top: str = "", **rest: object) -> str:
        layer = CaffeLayer(name, kind, bottoms, top or name, **rest)  # type: ignore[arg-type]
        self.layers.append(layer)
        return layer.top

    def weights(self, out: int, inputs: int, size: int) -> tuple[Array, Array]:
        spread = 1.5 / np.sqrt(inputs * size * size)
        return self.random(out, inputs, size, size) * np.float32(spread), self.random(out)

    def activated(self, name: str, relu: str, bottom: str, channels: int) -> str:
        """Add BatchNorm, Scale and ReLU, the latter two in place."""
        factor = np.float32(self.rng.uniform(0.5, 1000.0))
        statistics = (
            self.random(channels) * factor,
            self.random(channels, low=0.2, high=2.0) * factor,
            factor.reshape(1),
        )
        norm = self.add(f"bn_{name}", "BatchNorm", bottom, blobs=statistics)
        scale = (self.random(channels, low=0.3), self.random(channels))
        text = "scale_param { bias_term: true }"
        self.add(f"scale_{name}", "Scale", norm, top=norm, text=text, blobs=scale)
        return self.add(relu, "ReLU", norm, top=norm)

    def convolution(
        self,
        name: str,
        bottom: str,
        weights: tuple[Array, Array],
        params: tuple[str, ...] = (),
    ) -> str:
        out, _, size, _ = weights[0].shape
        text = (
            f"convolution_param {{ num_output: {out} kernel_size: {size} stride: 1 "
            f"pad: {size // 2} }}"
        )
        return self.add(name, "Convolution", bottom, text=text, blobs=weights, params=params)

    def added(self, name: str, *bottoms: str) -> str:
        return self.add(name, "Eltwise", *bottoms, text="eltwise_param { operation: SUM }")

    def block(self, m: int, long_terms: list[str]) -> str:
        width, state = self.width, long_terms[-1]
        shared = {letter: self.weights(width, width, 3) for letter in "ab"}
        short_terms = []
        for r in range(1, self.recursions + 1):
            previous = state
            for letter in "ab":
                number = f"{m:02}_{r:02}_{letter}"
                state = self.activated(f"conv{number}", f"relu{number}", state, width)
                names = (f"conv{m:02}_w{letter}", f"conv{m:02}_b{letter}")
                state = self.convolution(f"conv{number}", state, shared[letter], names)
            state = self.added(f"eltwise{m:02}_{r:02}", previous, state)
            short_terms.append(state)
        memories = [*long_terms, *short_terms]
        state = self.add(f"concat{m:02}", "Concat", *memories, text="concat_param { axis: 1 }")
        channels = len(memories) * width
        name = f"conv_transition_{m:02}"
        state = self.activated(name, f"relu_transition_{m:02}", state, channels)
        return self.convolution(name, state, self.weights(width, channels, 1))

    recursions: int = 0


def memnet_layers(
    blocks: int, recursions: int, width: int, rng: np.random.Generator, preactivated: bool = True
) -> list[CaffeLayer]:
    """Return the layers of a MemNet with random parameters, in the authors' order."""
    net = _Builder(width, rng)
    net.recursions = recursions
    first = net.activated("conv1", "relu1", "data", 1) if preactivated else "data"
    long_terms = [net.convolution("conv1", first, net.weights(width, 1, 3))]
    for m in range(1, blocks + 1):
        long_terms.append(net.block(m, long_terms))
    reconstruction = net.weights(1, width, 3)
    outputs = []
    for m, memory in enumerate(long_terms[1:], start=1):
        state = net.activated(f"conv_end_{m:02}", f"relu_end_{m:02}", memory, width)
        state = net.convolution(f"conv_end_{m:02}", state, reconstruction, ("Recon_w", "Recon_b"))
        state = net.added(f"HR_recovery_{m:02}", "data", state)
        name, text = f"weight_output_end_{m:02}", "scale_param { bias_term: false }"
        outputs.append(net.add(name, "Scale", state, text=text, blobs=(net.random(1),)))
    net.added("HR_recovery", *outputs)
    return net.layers


def prototxt(layers: list[CaffeLayer], height: int, width: int) -> str:
    """Return the deploy text for pictures of one size."""
    lines = ['name: "MemNet"', 'input: "data"']
    lines += [f"input_dim: {size}" for size in (1, 1, height, width)]
    for layer in layers:
        params = "".join(f' param {{ name: "{name}" }}' for name in layer.params)
        bottoms = "".join(f' bottom: "{name}"' for name in layer.bottoms)
        lines.append(
            f'layer {{ name: "{layer.name}" type: "{layer.type}"{bottoms} top: "{layer.top}"'
            f"{params} {layer.text} }}"
        )
    return "\n".join(lines)


def as_snapshot(layers: list[CaffeLayer]) -> list[CaffeLayer]:
    """Return what Caffe saves while training: labels, losses, and a Split after shared outputs."""
    readers: dict[str, int] = {}
    for layer in layers:
        for bottom in layer.bottoms:
            # what is computed in place has one reader after the other
            readers[bottom] = readers.get(bottom, 0) + (layer.top != bottom)
    shared = {name for name, count in readers.items() if count > 1}
    given: dict[str, int] = {}

    def split(name: str) -> str:
        if name not in shared:
            return name
        given[name] = given.get(name, -1) + 1
        return f"{name}_{name}_0_split_{given[name]}"

    saved = [CaffeLayer("data", "HDF5Data", (), "data")]
    for layer in layers:
        saved.append(replace(layer, bottoms=tuple(map(split, layer.bottoms))))
        if layer.top in shared and layer.top == layer.name:
            saved.append(
                CaffeLayer(f"{layer.name}_{layer.name}_0_split", "Split", (layer.top,), "")
            )
    return [*saved, CaffeLayer("loss_7", "EuclideanLoss", ("HR_recovery", "label"), "loss_7")]


def varint(value: int) -> bytes:
    """Return the protobuf encoding of an unsigned integer."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def message(number: int, content: bytes) -> bytes:
    """Return a field of bytes, a string or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def integer(number: int, value: int) -> bytes:
    """Return a field with an integer."""
    return varint(number << 3) + varint(value)


def fixed32(number: int, value: float) -> bytes:
    """Return a field with a float."""
    return varint(number << 3 | 5) + struct.pack("<f", value)


def _blob(array: Array, encoding: Encoding) -> bytes:
    values = array.ravel().tolist()
    if encoding == "legacy":
        sizes = (*(1,) * (4 - array.ndim), *array.shape)
        shape = b"".join(integer(number, size) for number, size in enumerate(sizes, start=1))
    elif encoding == "unpacked":
        shape = message(7, b"".join(integer(1, size) for size in array.shape))
    else:
        shape = message(7, message(1, b"".join(map(varint, array.shape))))
    if encoding == "unpacked":
        data = b"".join(fixed32(5, value) for value in values)
    elif encoding == "double":
        data = message(8, struct.pack(f"<{len(values)}d", *values))
    else:
        data = message(5, struct.pack(f"<{len(values)}f", *values))
    # a gradient, of which nothing may be taken
    return data + message(6, bytes(8)) + shape


def layer_message(layer: CaffeLayer, encoding: Encoding = "packed") -> bytes:
    """Return the content of a LayerParameter."""
    return b"".join((
        message(1, layer.name.encode()),
        message(2, layer.type.encode()),
        *(message(3, name.encode()) for name in layer.bottoms),
        message(4, layer.top.encode()),
        fixed32(5, 1.0),
        *(message(6, message(1, name.encode()) + fixed32(3, 0.1)) for name in layer.params),
        *(message(7, _blob(blob, encoding)) for blob in layer.blobs),
        integer(10, 0),
        layer.extra,
    ))  # fmt: skip


def caffemodel(layers: list[CaffeLayer], encoding: Encoding = "packed") -> bytes:
    """Return the binary NetParameter."""
    name = message(1, b"MemNet")
    return name + b"".join(message(100, layer_message(layer, encoding)) for layer in layers)

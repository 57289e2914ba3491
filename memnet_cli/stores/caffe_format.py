"""Read the layers of a .caffemodel file, without Caffe and without the protobuf package.

Such a file is one protobuf message: encoded as protobuf.dev/programming-guides/encoding says, with
the field numbers of src/caffe/proto/caffe.proto in github.com/BVLC/caffe. Only four kinds of
messages matter here (NetParameter, LayerParameter, BlobProto, BlobShape): reading them is shorter
than carrying a schema, and every length is checked against what is really there.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import WeightsError

#: Caffe's default, BatchNormParameter.eps.
DEFAULT_EPSILON = 1e-5
#: The largest file read; the largest of the authors' release, M10R10, has some 32 MB.
_MAX_BYTES = 256 * 1024 * 1024
#: The most layers, or parts of one layer; M10R10 has some 1,100 layers.
_MAX_PARTS = 10_000

# wire types
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
# fields of caffe.proto
_NET_LAYER = 100
_LAYER_NAME, _LAYER_TYPE, _LAYER_BOTTOM, _LAYER_BLOBS, _LAYER_BATCH_NORM = 1, 2, 3, 7, 139
_BLOB_LEGACY_SHAPE = (1, 2, 3, 4)
_BLOB_DATA, _BLOB_SHAPE, _BLOB_DOUBLE_DATA = 5, 7, 8
_SHAPE_DIM = 1
_BATCH_NORM_EPSILON = 3

_Value = int | memoryview
_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Layer:
    """One layer of a trained network.

    Attributes:
        name: of the layer.
        type: for instance "Convolution".
        bottoms: names of its inputs.
        blobs: its parameters, float32, in the shapes that the file gives.
        epsilon: added to the variance, for BatchNorm.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    blobs: tuple[NDArray[np.float32], ...]
    epsilon: float


class _DamagedError(Exception):
    """The bytes are not the message that they should be."""


def read_caffemodel(path: Path) -> dict[str, Layer]:
    """Return the layers of a .caffemodel file by name, in the file's order.

    Raises:
        WeightsError: if there is no such file, or it is no caffemodel, damaged, or too large.
    """
    try:
        about = path.stat()
        if stat.S_ISFIFO(about.st_mode) or stat.S_ISCHR(about.st_mode):
            raise WeightsError(f"{path} is no file on a disk: expected a caffemodel.")
        size = about.st_size
        data = path.read_bytes() if size <= _MAX_BYTES else b""
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.") from None
    if size > _MAX_BYTES:
        raise WeightsError(
            f"{path} has {size} bytes: expected a caffemodel of at most {_MAX_BYTES}."
        )
    try:
        layers: dict[str, Layer] = {}
        for number, value in _fields(memoryview(data)):
            if number == _NET_LAYER:
                layer = _layer(_message(value))
                if layer.name in layers or len(layers) == _MAX_PARTS:
                    raise _DamagedError
                layers[layer.name] = layer
    except _DamagedError:
        raise WeightsError(
            f"{path} is not a caffemodel, or it is cut off: expected Caffe's binary format."
        ) from None
    if not layers:
        raise WeightsError(
            f"{path} holds no layers: expected a caffemodel written by Caffe in 2015 or later."
        )
    return layers


def _layer(message: memoryview) -> Layer:
    name = kind = ""
    bottoms: list[str] = []
    blobs: list[NDArray[np.float32]] = []
    epsilon = DEFAULT_EPSILON
    for number, value in _fields(message):
        if number == _LAYER_NAME:
            name = _text(value)
        elif number == _LAYER_TYPE:
            kind = _text(value)
        elif number == _LAYER_BOTTOM:
            _append(bottoms, _text(value))
        elif number == _LAYER_BLOBS:
            _append(blobs, _blob(_message(value)))
        elif number == _LAYER_BATCH_NORM:
            epsilon = _epsilon(_message(value))
    return Layer(name, kind, tuple(bottoms), tuple(blobs), epsilon)


def _blob(message: memoryview) -> NDArray[np.float32]:
    # packed or one by one, the bytes of the values are the same
    single, double = bytearray(), bytearray()
    shape: list[int] = []
    legacy: dict[int, int] = {}
    for number, value in _fields(message):
        if number == _BLOB_DATA:
            single += _message(value)
        elif number == _BLOB_DOUBLE_DATA:
            double += _message(value)
        elif number == _BLOB_SHAPE:
            shape = _dimensions(_message(value))
        elif number in _BLOB_LEGACY_SHAPE:
            legacy[number] = _number(value)
    if legacy:
        shape = [legacy.get(number, 0) for number in _BLOB_LEGACY_SHAPE]
    width, dtype = (8, "<f8") if double else (4, "<f4")
    stored = double or single
    if not stored or len(shape) > 8 or math.prod(shape) * width != len(stored):
        raise _DamagedError
    with np.errstate(over="ignore"):  # whoever uses the values checks that they are finite
        return np.frombuffer(stored, dtype).astype(np.float32).reshape(shape)


def _dimensions(message: memoryview) -> list[int]:
    sizes: list[int] = []
    for number, value in _fields(message):
        if number != _SHAPE_DIM:
            continue
        if isinstance(value, int):
            _append(sizes, value)
            continue
        position = 0
        while position < len(value):
            size, position = _varint(value, position)
            _append(sizes, size)
    return sizes


def _epsilon(message: memoryview) -> float:
    epsilon = DEFAULT_EPSILON
    for number, value in _fields(message):
        if number == _BATCH_NORM_EPSILON:
            stored = _message(value)
            if len(stored) != 4:
                raise _DamagedError
            epsilon = float(np.frombuffer(stored, "<f4")[0])
    return epsilon


def _fields(message: memoryview) -> Iterator[tuple[int, _Value]]:
    """Yield (number, value) of every field: an int for a varint, else the field's bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise _DamagedError
        if kind == _VARINT:
            integer, position = _varint(message, position)
            yield number, integer
            continue
        if kind == _LENGTH:
            size, position = _varint(message, position)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        else:
            raise _DamagedError
        if size > len(message) - position:
            raise _DamagedError
        yield number, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the variable-length integer at ``position``, at most 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise _DamagedError
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _DamagedError


def _message(value: _Value) -> memoryview:
    if isinstance(value, int):
        raise _DamagedError
    return value


def _number(value: _Value) -> int:
    if not isinstance(value, int):
        raise _DamagedError
    return value


def _text(value: _Value) -> str:
    return bytes(_message(value)).decode("utf-8", errors="replace")


def _append(parts: list[_Part], part: _Part) -> None:
    """Add a part; memory must not grow much beyond the file that asks for it."""
    if len(parts) == _MAX_PARTS:
        raise _DamagedError
    parts.append(part)

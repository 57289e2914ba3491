"""The reader of .caffemodel files, above all on bytes that are not one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memnet_cli.errors import WeightsError
from memnet_cli.stores.caffe_format import read_caffemodel
from tests.stores.caffe_writer import (
    CaffeLayer,
    caffemodel,
    fixed32,
    integer,
    layer_message,
    message,
    varint,
)

_BLOB = np.arange(6, dtype=np.float32).reshape(2, 3)
_LAYER = CaffeLayer("ip", "InnerProduct", ("data", "more"), "ip", blobs=(_BLOB, _BLOB[0]))
_SOUND = caffemodel([_LAYER])


def layer_with(blob: bytes) -> bytes:
    """Return a network of one layer of one blob."""
    return message(100, message(1, b"a") + message(7, blob))


def test_a_layer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(_SOUND)
    (layer,) = read_caffemodel(path).values()
    assert (layer.name, layer.type, layer.bottoms) == ("ip", "InnerProduct", ("data", "more"))
    assert np.array_equal(layer.blobs[0], _BLOB)
    assert np.array_equal(layer.blobs[1], _BLOB[0])
    assert layer.epsilon == 1e-5


@pytest.mark.parametrize("data", [
    b"\x89PNG\r\n\x1a\n" + bytes(50),
    b"\xff" * 40,  # a varint without end
    b"\x0b\x0c",  # a group, which is no longer used
    _SOUND[:-1],
    _SOUND[:-30],
    varint(100 << 3 | 2) + varint(2**60) + b"abc",
    varint(100 << 3 | 2) + b"\xff" * 9 + b"\x7f",
    integer(100, 3),
    message(100, integer(1, 3)),
    message(100, integer(7, 3)),
    layer_with(message(7, message(1, varint(3))) + message(5, bytes(8))),
    layer_with(message(7, message(1, varint(2**63))) + message(5, bytes(8))),
    layer_with(message(7, message(1, varint(2**32) * 2)) + message(5, b"")),
    layer_with(message(7, message(1, b"\x80")) + message(5, bytes(8))),
    layer_with(message(7, integer(1, 1) * 9) + message(5, bytes(4))),
    layer_with(message(7, integer(1, 0)) + message(5, b"")),
    layer_with(integer(5, 1)),
    layer_with(message(5, bytes(7))),
    layer_with(b""),
    message(100, message(139, message(3, bytes(3)))),
    message(100, message(1, b"a")) * 2,
    message(100, message(3, b"") * 10_001),
    message(100, message(7, message(7, integer(1, 1)) + fixed32(5, 1.0)) * 10_001),
])  # fmt: skip
def test_what_is_no_caffemodel_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.caffemodel"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"bad\.caffemodel is not a caffemodel"):
        read_caffemodel(path)


@pytest.mark.parametrize("data", [b"", message(1, b"old net") + message(2, layer_message(_LAYER))])
def test_a_file_without_layers_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "empty.caffemodel"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"holds no layers.*2015 or later"):
        read_caffemodel(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.caffemodel"):
        with pytest.raises(WeightsError, match="Cannot read"):
            read_caffemodel(path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.caffemodel"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(WeightsError, match=f"{2**40} bytes: expected"):
        read_caffemodel(path)


def test_a_shape_allocates_nothing_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "claims.caffemodel"
    path.write_bytes(layer_with(message(7, message(1, varint(2**40))) + message(5, bytes(400))))
    tracemalloc.start()
    with pytest.raises(WeightsError):
        read_caffemodel(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def damaged() -> Iterator[st.SearchStrategy[bytes]]:
    """Yield random bytes, and the sound file with some of its bytes changed."""
    yield st.binary(max_size=200)
    places = st.dictionaries(st.integers(0, len(_SOUND) - 1), st.integers(0, 255), max_size=4)
    yield places.map(lambda changes: bytes(changes.get(i, byte) for i, byte in enumerate(_SOUND)))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(*damaged()))
def test_any_bytes_give_layers_or_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.caffemodel"
    path.write_bytes(data)
    try:
        layers = read_caffemodel(path)
    except WeightsError:
        return
    assert sum(blob.nbytes for layer in layers.values() for blob in layer.blobs) <= len(data)

"""Import of the authors' Caffe layout, against another engine that runs Caffe networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from memnet_cli.errors import WeightsError
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores.caffe import import_memnet
from tests.stores.caffe_writer import (
    CaffeLayer,
    Encoding,
    as_snapshot,
    caffemodel,
    fixed32,
    memnet_layers,
    message,
    prototxt,
)

Change = Callable[[list[CaffeLayer]], list[CaffeLayer]]


def run_opencv(
    folder: Path, layers: list[CaffeLayer], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Run the network with OpenCV, which reads text and parameters by itself."""
    text, binary = folder / "deploy.prototxt", folder / "opencv.caffemodel"
    text.write_text(prototxt(layers, *x.shape[2:]))
    binary.write_bytes(caffemodel(layers))
    cv2.setNumThreads(1)
    net = cv2.dnn.readNetFromCaffe(str(text), str(binary))
    net.setInput(x)
    return np.asarray(net.forward(), np.float32)


def run_imported(path: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    config, state = import_memnet(path)
    model = build_model(config).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(x)).numpy(), np.float32)


def write(folder: Path, layers: list[CaffeLayer], encoding: Encoding = "packed") -> Path:
    path = folder / "net.caffemodel"
    path.write_bytes(caffemodel(layers, encoding))
    return path


@pytest.mark.parametrize(("blocks", "recursions", "width", "preactivated"), [
    (2, 2, 8, True), (3, 2, 8, True), (2, 3, 5, True), (6, 6, 8, True), (2, 2, 8, False),
    pytest.param(10, 10, 64, True, marks=pytest.mark.slow, id="the largest of the release"),
])  # fmt: skip
def test_the_imported_network_computes_what_opencv_does(
    tmp_path: Path,
    rng: np.random.Generator,
    blocks: int,
    recursions: int,
    width: int,
    preactivated: bool,
) -> None:
    layers = memnet_layers(blocks, recursions, width, rng, preactivated)
    x = rng.uniform(0.0, 1.0, (1, 1, 13, 18)).astype(np.float32)
    path = write(tmp_path, as_snapshot(layers))
    expected = run_opencv(tmp_path, layers, x)
    assert np.abs(expected - x).max() > 0.1
    assert np.abs(run_imported(path, x) - expected).max() < 1e-5
    config, _ = import_memnet(path)
    assert config == MemNetConfig(blocks, recursions, width, preactivated_input=preactivated)


@pytest.mark.parametrize("encoding", ["unpacked", "double", "legacy"])
def test_every_encoding_says_the_same(
    tmp_path: Path, rng: np.random.Generator, encoding: Encoding
) -> None:
    layers = memnet_layers(2, 2, 8, rng)
    _, expected = import_memnet(write(tmp_path, layers))
    _, state = import_memnet(write(tmp_path, layers, encoding))
    assert state.keys() == expected.keys()
    for name, array in state.items():
        assert array.shape == expected[name].shape
        assert np.array_equal(array, expected[name])


def test_every_name_of_the_state_is_that_of_the_model(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    config, state = import_memnet(write(tmp_path, memnet_layers(2, 3, 4, rng)))
    expected = build_model(config).state_dict()
    assert {name: array.shape for name, array in state.items()} == {
        name: tuple(tensor.shape) for name, tensor in expected.items()
    }
    assert all(array.dtype == np.float32 for array in state.values())


def test_statistics_are_divided_by_their_scale_factor(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    layers = memnet_layers(1, 1, 4, rng)
    mean, variance, factor = next(layer.blobs for layer in layers if layer.name == "bn_conv1")
    _, state = import_memnet(write(tmp_path, layers))
    assert state["feature.norm.running_mean"] == pytest.approx(mean / factor)
    assert state["feature.norm.running_var"] == pytest.approx(variance / factor)


def without(name: str) -> Change:
    return lambda layers: [layer for layer in layers if layer.name != name]


def with_blob(name: str, index: int, change: Callable[[NDArray[np.float32]], object]) -> Change:
    def changed(layer: CaffeLayer) -> CaffeLayer:
        blobs = list(layer.blobs)
        blobs[index] = np.asarray(change(blobs[index]), np.float32)
        return replace(layer, blobs=tuple(blobs))

    return lambda layers: [changed(layer) if layer.name == name else layer for layer in layers]


def altered(name: str, **fields: object) -> Change:
    return lambda layers: [
        replace(layer, **fields) if layer.name == name else layer  # type: ignore[arg-type]
        for layer in layers
    ]


def one_nan(blob: NDArray[np.float32]) -> NDArray[np.float32]:
    changed = blob.copy()
    changed.flat[-1] = np.nan
    return changed


_OTHER = np.zeros((4, 4, 3, 3), np.float32)


@pytest.mark.parametrize(("change", "said"), [
    (without("conv1"), "lacks the layer 'conv1'"),
    (without("bn_conv1"), "has the layer 'scale_conv1', which such a MemNet has not"),
    (without("conv02_01_b"), "lacks the layer 'conv02_01_b'"),
    (without("conv01_02_a"), "other memories in 'concat01'"),
    (without("bn_conv_transition_02"), "lacks the layer 'bn_conv_transition_02'"),
    (without("conv_end_01"), "lacks the layer 'conv_end_01'"),
    (without("weight_output_end_02"), "lacks the layer 'weight_output_end_02'"),
    (without("concat01"), "lacks the layer 'concat01'"),
    (altered("scale_conv_end_01", type="Bias"), "'scale_conv_end_01' of type 'Bias'"),
    (altered("bn_conv01_01_a", blobs=()), "'BatchNorm' with 0 parameters instead"),
    (altered("conv1", blobs=(np.float32(1), np.float32(1))), "width is 0"),
    (altered("conv1", blobs=(np.zeros((2000, 1, 3, 3), np.float32),) * 2), "cannot be built"),
    (with_blob("conv01_01_a", 0, lambda blob: blob[:, :3]),
     r"shape \[4, 3, 3, 3\] in 'conv01_01_a' instead of \[4, 4, 3, 3\]"),
    (with_blob("conv_transition_02", 0, lambda blob: blob[:, :-4]), "shape .* in 'conv_trans"),
    (with_blob("conv01_02_a", 0, lambda blob: blob + 1e-6), "another weight in 'conv01_02_a'"),
    (with_blob("conv02_02_b", 1, lambda blob: -blob), "another bias in 'conv02_02_b'"),
    (with_blob("conv_end_02", 0, lambda blob: -blob), "another weight in 'conv_end_02'"),
    (with_blob("bn_conv1", 2, np.zeros_like), r"no statistics in 'bn_conv1' \(scale factor 0\)"),
    (with_blob("bn_conv1", 2, one_nan), "no statistics in 'bn_conv1'"),
    (with_blob("bn_conv1", 2, lambda _: [np.inf]), "no statistics in 'bn_conv1'"),
    (with_blob("bn_conv1", 1, np.negative), "negative variance in 'bn_conv1'"),
    (with_blob("scale_conv1", 0, one_nan), "'feature.norm.weight' that are not finite"),
    (with_blob("conv_transition_01", 0, one_nan), "gate.conv.weight' that are not finite"),
    (lambda layers: [*layers, CaffeLayer("extra", "Convolution", (), "x", blobs=(_OTHER,))],
     "has the layer 'extra'"),
    (altered("concat02", bottoms=(
        "conv_transition_01", "conv1", "eltwise02_01", "eltwise02_02")), "another order"),
    (altered("concat02", bottoms=("conv1", "conv_transition_01")), "other memories"),
    (altered("bn_conv1", extra=message(139, fixed32(3, 1e-3))), "eps 0.001 in 'bn_conv1'"),
    (lambda _: [CaffeLayer("fc6", "InnerProduct", ("data",), "fc6")],
     "lacks the layer 'conv1'"),
])  # fmt: skip
def test_another_network_is_refused(
    tmp_path: Path, rng: np.random.Generator, change: Change, said: str
) -> None:
    path = write(tmp_path, as_snapshot(change(memnet_layers(2, 2, 4, rng))))
    with pytest.raises(WeightsError, match=rf"net\.caffemodel .*{said}"):
        import_memnet(path)


def test_a_stated_default_epsilon_is_fine(tmp_path: Path, rng: np.random.Generator) -> None:
    layers = memnet_layers(1, 1, 4, rng)
    stated = altered("bn_conv1", extra=message(139, fixed32(3, 1e-5)))(layers)
    _, state = import_memnet(write(tmp_path, stated))
    assert state["feature.norm.weight"].shape == (1,)

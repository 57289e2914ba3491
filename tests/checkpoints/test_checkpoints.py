"""Weights files: round trips, and everything that can be wrong with one."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from memnet_cli.checkpoints import (
    WeightsInfo,
    check_purpose,
    load_weights,
    read_config,
    read_info,
    save_arrays,
    save_weights,
)
from memnet_cli.checkpoints.header import FORMAT_VERSION
from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig, PlainConfig

CONFIG = MemNetConfig(memory_blocks=2, recursions=1, width=4)
INFO = WeightsInfo(
    model="memnet",
    config=config_to_mapping(CONFIG),
    task="sr",
    levels=(2, 3, 4),
    training_sets=("BSD200",),
    training_images=("0123456789abcdef",),
    recipe="a recipe\nof two lines, with ü",
    steps=123,
    pixels_seen=10**12,
    patch=48,
    scores={"Set5": {"3": {"psnr": 34.09, "ssim": 0.9248}}},
    licence="MIT",
    source="https://example.org/weights",
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return a sound file of small MemNet weights for super-resolution."""
    torch.manual_seed(0)
    save_weights(tmp_path / "sound.safetensors", build_model(CONFIG), INFO)
    return tmp_path / "sound.safetensors"


def rewritten(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    """Write the sound file's tensors and metadata with some of them replaced."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()} | dict(tensors)  # noqa: SIM118
        changed = file.metadata() | dict(metadata)
    target = path.with_name("changed.safetensors")
    save_file(state, target, metadata=changed)
    return target


def test_weights_survive_a_round_trip(weights: Path, tmp_path: Path) -> None:
    model, info = load_weights(weights)
    assert info == INFO == read_info(weights)
    assert read_config(weights, info) == model.config == CONFIG
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    save_weights(tmp_path / "again.safetensors", model, info)
    again, info = load_weights(tmp_path / "again.safetensors")
    assert info == INFO
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_loaded_weights_compute_the_same(weights: Path) -> None:
    torch.manual_seed(0)
    original = build_model(CONFIG).eval()
    loaded, _ = load_weights(weights)
    degraded = torch.rand(1, 1, 9, 7)
    with torch.no_grad():
        assert torch.equal(loaded(degraded), original(degraded))


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8 are Linux's")
def test_a_file_whose_name_is_not_utf_8_loads(weights: Path, tmp_path: Path) -> None:
    named = weights.rename(tmp_path / os.fsdecode(b"caf\xe9.safetensors"))
    model, info = load_weights(named)
    assert info == INFO
    taught = replace(info, source=f"memnet train, taught by {named.name}")
    save_weights(tmp_path / "taught.safetensors", model, taught)
    assert read_info(tmp_path / "taught.safetensors").source.endswith("caf\\udce9.safetensors")
    save_arrays(tmp_path / "arrays.safetensors", {}, taught)


def test_loaded_weights_can_be_trained(weights: Path) -> None:
    model, _ = load_weights(weights)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.get_parameter("feature.conv.weight").clone()
    torch.autograd.backward(model(torch.rand(2, 1, 8, 8)).square().mean())
    optimizer.step()
    assert not torch.equal(model.get_parameter("feature.conv.weight"), before)


def test_half_precision_files_load_as_float32(weights: Path) -> None:
    half = {name: t.half() for name, t in build_model(CONFIG).state_dict().items()}
    model, _ = load_weights(rewritten(weights, half, {}))
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}


def test_a_missing_file_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights file .*memnet models"):
        read_info(tmp_path / "absent.safetensors")


def test_a_folder_is_no_weights_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Cannot read"):
        read_info(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 8, 200, -1])
def test_a_cut_off_file_is_refused(weights: Path, kept: int) -> None:
    data = weights.read_bytes()
    weights.write_bytes(data[:kept])
    with pytest.raises(WeightsError, match=r"cut off|damaged"):
        load_weights(weights)


@pytest.mark.parametrize("content", [
    b"\x89PNG\r\n\x1a\n" + bytes(100),
    b"PK\x03\x04" + bytes(100),
    struct.pack("<Q", 2**62) + b"{}",
    struct.pack("<Q", 4) + b"[1]\n",
    struct.pack("<Q", 4) + b"{\xff\xfe}",
    struct.pack("<Q", 8) + b'{"a": 1}',
    struct.pack("<Q", 24) + b'{"__metadata__":[1,2,3]}',
    struct.pack("<Q", 30) + b'{"__metadata__":{"model":1.5}}',
    struct.pack("<Q", 100_000) + b"[" * 100_000,
])  # fmt: skip
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"foreign\.safetensors"):
        read_config(path, read_info(path))
    with pytest.raises(WeightsError, match=r"foreign\.safetensors"):
        load_weights(path)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
def test_a_pickle_is_not_opened_and_the_way_out_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="memnet import-torch"):
        load_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(weights: Path, value: float) -> None:
    path = rewritten(weights, {"ensemble": torch.tensor([0.5, value])}, {})
    with pytest.raises(WeightsError, match=r"'ensemble' that are not finite"):
        load_weights(path)


def test_variances_below_0_are_refused(weights: Path) -> None:
    name = next(name for name in load_file(weights) if name.endswith("running_var"))
    path = rewritten(weights, {name: -torch.ones_like(load_file(weights)[name])}, {})
    with pytest.raises(WeightsError, match=f"variances in '{name}' below 0"):
        load_weights(path)


def test_a_wrong_shape_is_named(weights: Path) -> None:
    path = rewritten(weights, {"ensemble": torch.zeros(3)}, {})
    with pytest.raises(WeightsError, match=r"'ensemble' has shape \[3\], expected \[2\]"):
        load_weights(path)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.uint8])
def test_a_wrong_type_is_named(weights: Path, dtype: torch.dtype) -> None:
    path = rewritten(weights, {"ensemble": torch.zeros(2, dtype=dtype)}, {})
    with pytest.raises(WeightsError, match="holds 'ensemble' as"):
        load_weights(path)


def test_surplus_and_missing_tensors_are_named(weights: Path) -> None:
    with pytest.raises(WeightsError, match="unknown 'extra'"):
        load_weights(rewritten(weights, {"extra": torch.zeros(2)}, {}))
    basic = json.dumps(config_to_mapping(CONFIG) | {"recursions": 2})
    with pytest.raises(WeightsError, match="lacks 'blocks"):
        load_weights(rewritten(weights, {}, {"config": basic}))


def test_a_newer_format_asks_for_an_update(weights: Path) -> None:
    path = rewritten(weights, {}, {"format_version": str(FORMAT_VERSION + 1)})
    with pytest.raises(WeightsError, match="update memnet"):
        read_info(path)


@pytest.mark.parametrize(("key", "value"), [
    ("config", "not json"), ("config", "[]"), ("levels", '["x"]'), ("levels", "3"),
    ("levels", "[[1]]"), ("levels", "[true]"), ("levels", "[-3, 0]"), ("levels", "[10000000000]"),
    ("task", "evil"), ("steps", '"many"'), ("steps", "-5"), ("pixels_seen", "true"),
    ("scores", '{"Set5": 3}'), ("scores", '{"Set5": {"2": {"psnr": "high"}}}'),
    ("scores", f'{{"Set5": {{"2": {{"psnr": {10**400}}}}}}}'),
    ("scores", '{"Set5": {"2": {"psnr": NaN}}}'),
    ("scores", "[]"), ("format_version", '"1"'),
    ("patch", '"48"'), ("patch", "-1"), ("patch", "1000000000"),
    ("config", "[" * 100_000), ("patch", "true"), ("pixels_seen", "1" + "0" * 400),
    ("scores", '{"Set5": {"2": {"ssim": 1}}}'),
])  # fmt: skip
def test_metadata_that_makes_no_sense_is_refused(weights: Path, key: str, value: str) -> None:
    with pytest.raises(WeightsError, match="cannot be understood"):
        read_info(rewritten(weights, {}, {key: value}))


@pytest.mark.parametrize("level", [2, 0, -3, 100_000, 10**400])
def test_levels_of_no_task_are_refused(weights: Path, level: int) -> None:
    with pytest.raises(WeightsError, match="cannot be understood"):
        read_info(rewritten(weights, {}, {"task": "", "levels": f"[{level}]"}))


@pytest.mark.parametrize("more", [-1, 1, 300 * 2**30])
def test_a_file_of_another_length_than_it_says_is_not_read(weights: Path, more: int) -> None:
    os.truncate(weights, weights.stat().st_size + more)  # sparse
    with pytest.raises(WeightsError, match="or it is cut off"):
        read_info(weights)


def test_what_a_file_says_is_not_repeated_at_length(weights: Path) -> None:
    long = "x" * 1_000_000
    for change in ({"model": long}, {"config": json.dumps({long: 1})},
                   {"config": json.dumps({"width": long})}):  # fmt: skip
        with pytest.raises(WeightsError) as refused:
            load_weights(rewritten(weights, {}, change))
        assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("change", [
    {"memory_blocks": 10**9}, {"width": 10**9}, {"width": -4}, {"width": "4"}, {"depth": 3},
])  # fmt: skip
def test_a_config_out_of_bounds_is_refused(weights: Path, change: dict[str, object]) -> None:
    config = json.dumps(config_to_mapping(CONFIG) | change)
    with pytest.raises(WeightsError, match="cannot be built"):
        load_weights(rewritten(weights, {}, {"config": config}))


def test_an_unknown_model_is_refused(weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot be built.*Did you mean 'memnet'\?"):
        load_weights(rewritten(weights, {}, {"model": "memnets"}))


def test_a_config_far_larger_than_the_file_costs_nothing(weights: Path) -> None:
    """A config that is allowed and would take 8 GB, in a file of a few kilobytes."""
    largest = MemNetConfig(memory_blocks=32, recursions=32, width=1024)
    path = rewritten(weights, {}, {"config": json.dumps(config_to_mapping(largest))})
    code = (
        "import resource, sys, pathlib, torch\n"
        "import memnet_cli.checkpoints as c, memnet_cli.errors as e\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: c.load_weights(pathlib.Path(sys.argv[1]))\n"
        "except e.WeightsError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    message, kilobytes = done.stdout.splitlines()
    assert "does not fit the model that it names" in message
    assert int(kilobytes) < 500_000
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(("name", "config"), [
    ("vdsr", PlainConfig(20, 64, bias=False, subtract=False)),
    ("dncnn3", PlainConfig(20, 64, bias=True, subtract=True)),
])  # fmt: skip
def test_bare_layers_are_recognised(shared: Path, name: str, config: PlainConfig) -> None:
    path = shared / "peers" / f"{name}.safetensors"
    info = read_info(path)
    assert (info.model, info.task) == ("plain", "")
    assert read_config(path, info) == config
    for task in ("sr", "denoise", "jpeg"):
        assert check_purpose(path, task) == info


@pytest.mark.parametrize("tensors", [
    {"layers.0.weight": torch.zeros(4)},
    {"conv.weight": torch.zeros(4, 1, 3, 3)},
    {"layers.0.weight": torch.zeros(1, 1, 3, 3)},
    {f"layers.{i}.weight": torch.zeros(1, 1, 3, 3) for i in range(300)},
])  # fmt: skip
def test_other_bare_tensors_are_refused(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(WeightsError, match=r"bare\.safetensors"):
        load_weights(tmp_path / "bare.safetensors")


def test_weights_for_another_task_are_refused(weights: Path) -> None:
    assert check_purpose(weights, "sr") == INFO
    with pytest.raises(
        WeightsError, match=r"sound\.safetensors is trained for sr, not for jpeg: .*--task sr"
    ):
        check_purpose(weights, "jpeg")


def test_exits_are_checked_before_work_starts(weights: Path, tmp_path: Path) -> None:
    assert check_purpose(weights, "sr", exit_block=2) == INFO
    for block in (0, 3):
        with pytest.raises(UsageError, match=rf"--exit-block {block} "):
            check_purpose(weights, "sr", exit_block=block)
    basic = MemNetConfig(2, 1, 4, multi_supervised=False)
    path = tmp_path / "basic.safetensors"
    save_weights(path, build_model(basic), WeightsInfo("memnet", config_to_mapping(basic), "sr"))
    with pytest.raises(UsageError, match="multi-supervised"):
        check_purpose(path, "sr", exit_block=1)


def test_arrays_are_read_back_as_a_module(weights: Path, tmp_path: Path) -> None:
    state = {name: t.numpy() for name, t in load_weights(weights)[0].state_dict().items()}
    # another order in memory: what counts is that of the values
    kernel = state["blocks.0.recursion.conv1.weight"]
    state["blocks.0.recursion.conv1.weight"] = kernel.copy(order="F")
    save_arrays(tmp_path / "arrays.safetensors", state, INFO)
    model, info = load_weights(tmp_path / "arrays.safetensors")
    assert info == INFO
    for name, tensor in model.state_dict().items():
        assert np.array_equal(tensor.numpy(), state[name])


def test_arrays_for_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Cannot write"):
        save_arrays(tmp_path / "absent" / "w.safetensors", {}, INFO)


def test_a_failed_write_leaves_the_old_file(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = weights.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises((OSError, WeightsError)):
        save_weights(weights, build_model(CONFIG), INFO)
    assert weights.read_bytes() == old
    assert [path.name for path in weights.parent.iterdir()] == [weights.name]


def test_reading_what_a_file_says_does_not_need_torch(weights: Path) -> None:
    code = (
        "import sys, pathlib; from memnet_cli.checkpoints import check_purpose\n"
        "check_purpose(pathlib.Path(sys.argv[1]), 'sr'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(weights)], check=False).returncode == 0

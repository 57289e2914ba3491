"""``memnet speed`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.checkpoints import WeightsInfo, save_weights
from memnet_cli.evaluation import peaks
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig, PlainConfig
from tests.cli.conftest import Memnet


@pytest.fixture
def small_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the peaks on little work: what a peak is does not matter here."""
    monkeypatch.setattr(peaks, "_CONV_SHAPES", {"cpu": ((1, 8),)})
    monkeypatch.setattr(peaks, "_MATMUL_SIDES", {"cpu": (32,)})


@pytest.fixture
def plain_weights(tmp_path: Path) -> Path:
    config = PlainConfig(depth=3, width=4)
    path = tmp_path / "plain.safetensors"
    info = WeightsInfo("plain", config_to_mapping(config), "jpeg")
    save_weights(path, build_model(config), info)
    return path


@pytest.fixture
def basic_weights(tmp_path: Path) -> Path:
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4, multi_supervised=False)
    path = tmp_path / "basic.safetensors"
    save_weights(path, build_model(config), WeightsInfo("memnet", config_to_mapping(config), "sr"))
    return path


@pytest.fixture
def pictures(tmp_path: Path, photograph: NDArray[np.uint8]) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(2):
        crop = photograph[60 * index : 60 * index + 48, 200:260]
        Image.fromarray(crop).save(folder / f"{index}.png")
    return folder


def test_json_on_stdout_is_all_there_is(
    memnet: Memnet, tiny_weights: dict[str, Path], plain_weights: Path, small_peaks: None
) -> None:
    ran = memnet(
        *("speed", "--quick", "--size", "16x24", "--repeats", 1, "--device", "cpu"),
        *("--precision", "fp32", "--json", "-"),
        *("--model", tiny_weights["jpeg"], "--model", plain_weights),
    )
    assert ran.code == 0
    document = json.loads(ran.out)
    memnet_row, plain_row = document["speeds"]
    assert (memnet_row["height"], memnet_row["width"]) == (16, 24)
    assert memnet_row["times_faster_than_port"] == pytest.approx(
        memnet_row["port_seconds"]["median"] / memnet_row["inside_seconds"]["median"]
    )
    assert plain_row["port_seconds"] is None and plain_row["times_faster_than_port"] is None
    for row in document["speeds"]:
        assert row["inside_share_of_conv_peak"] == pytest.approx(
            row["flop_per_pixel"] * 16 * 24 / row["inside_seconds"]["median"] / _peak(document)
        )
    assert document["machine"]["cpu"] and document["machine"]["versions"]["torch"]
    assert {(p["operation"], p["precision"]) for p in document["peaks"]} == {
        (operation, precision)
        for operation in ("convolution", "matmul")
        for precision in ("fp32", "bf16")
    }


def _peak(document: dict[str, list[dict[str, Any]]]) -> float:
    (peak,) = (
        peak["flop_per_second"]
        for peak in document["peaks"]
        if (peak["operation"], peak["precision"]) == ("convolution", "fp32")
    )
    return float(peak)


def test_tables_and_a_file(
    memnet: Memnet, tiny_weights: dict[str, Path], tmp_path: Path, small_peaks: None
) -> None:
    target = tmp_path / "speed.json"
    ran = memnet(
        *("speed", "--quick", "--size", 16, "--repeats", 1, "--precision", "fp32"),
        *("--device", "cpu", "--model", tiny_weights["denoise"], "--json", target),
    )
    assert ran.code == 0
    for title in ("Peaks of", "Inside the model", "End to end"):
        assert title in ran.out
    assert "tiny-denoise" in ran.out  # the rest may stand in the next line of its cell
    assert len(json.loads(target.read_text())["speeds"]) == 1


def test_exit_curve(
    memnet: Memnet, tiny_weights: dict[str, Path], pictures: Path, tmp_path: Path
) -> None:
    command = (
        *("speed", "--exit-curve", "--dataset", pictures, "--model", tiny_weights["jpeg"]),
        *("--task", "jpeg", "--level", 20, "--repeats", 1, "--precision", "fp32"),
    )
    ran = memnet(*command, "--json", "-")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert [row["block"] for row in document["exits"]] == [1, 2, None]
    assert (document["level"], document["images"]) == (20, 2)
    ran = memnet(*command)
    assert ran.code == 0
    assert f"{document['exits'][0]['psnr']:.2f}" in ran.out


def test_profile(memnet: Memnet, tiny_weights: dict[str, Path], small_peaks: None) -> None:
    command = (
        *("speed", "--profile", "--size", "16x24", "--repeats", 1, "--precision", "fp32"),
        *("--device", "cpu", "--model", tiny_weights["jpeg"]),
    )
    ran = memnet(*command, "--json", "-")
    assert ran.code == 0
    document = json.loads(ran.out)
    flop = sum(operation["flop"] for operation in document["operations"])
    assert any("batch_norm" in operation["name"] for operation in document["operations"])
    saved = 2 * 9 * 4  # ReconNet's convolution, once for both blocks
    assert flop == (document["flop_per_pixel"] - saved) * 16 * 24
    ran = memnet(*command)
    assert ran.code == 0
    assert "Where the time inside tiny-jpeg goes" in ran.out
    # which operations have a row of their own, and where lines break, depends on their times
    assert "untimed" in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "memnets"], "Did you mean 'memnet'"),
        (["--model", "bicubic"], "which bicubic is not"),
        (["--model", "memnet+"], "leave + and : out"),
        (["--model", "memnet@99"], "past the last"),
        (["--size", "512x"], "is no size"),
        (["--size", "8"], "is no size"),
        (["--task", "blur"], "There is no task 'blur'"),
        (["--precision", "fp8"], "is no precision"),
        (["--device", "tpu"], "is no device"),
        (["--level", "2"], "--level goes with --exit-curve only"),
        (["--dataset", "Set5"], "--dataset goes with --exit-curve only"),
        (["--json", "nowhere/speed.json"], "cannot be written"),
        (["--exit-curve"], "give --dataset"),
        (["--profile", "--exit-curve", "--dataset", "Set5"], "no --exit-curve"),
        (["--profile", "--size", "64", "--size", "32"], "one model, precision and size"),
        (["--profile", "--model", "memnet", "--model", "rednet"], "one model"),
        (["--exit-curve", "--dataset", "Set5", "--size", "64"], "no --size"),
        (["--exit-curve", "--dataset", "Set15"], "Did you mean 'Set5'"),
        (["--exit-curve", "--dataset", "Set5", "--model", "bicubic"], "which bicubic is not"),
        (["--exit-curve", "--dataset", "Set5", "--level", "9"], "out of range"),
        (["--exit-curve", "--dataset", "Set5", "--model", "{basic}"], "which basic is not"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_error_is_one_sentence(
    memnet: Memnet, basic_weights: Path, arguments: list[str], message: str
) -> None:
    ran = memnet("speed", *(text.format(basic=basic_weights) for text in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.startswith("Error: ") and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "memnets"],
        ["--size", "512x"],
        ["--exit-curve", "--dataset", "Set5", "--model", "{basic}"],
    ],
    ids=" ".join,
)
def test_errors_answer_without_torch(
    memnet_process: Memnet, basic_weights: Path, arguments: list[str]
) -> None:
    ran = memnet_process("speed", *(text.format(basic=basic_weights) for text in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Error: ") and ran.err.count("\n") == 1

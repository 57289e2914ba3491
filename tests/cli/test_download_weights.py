from __future__ import annotations

import json
from pathlib import Path

from memnet_cli.stores.weights import get_weights
from tests.cli.conftest import Memnet


def test_bundled_weights_answer_without_network(memnet: Memnet, tmp_path: Path) -> None:
    ran = memnet("download-weights", "memnet-m6r6-sr", "--dest", tmp_path / "here")
    assert ran.code == 0
    copy = tmp_path / "here" / "memnet-m6r6-sr.safetensors"
    assert copy.read_bytes() == get_weights("memnet-m6r6-sr").path.read_bytes()
    assert str(copy) in ran.out


def test_list(memnet: Memnet) -> None:
    listed = json.loads(memnet("download-weights", "--list", "--json").out)
    assert listed["memnet-m6r6-sr"]["state"] == "bundled"
    assert listed["memnet-m6r6-sr"]["training_sets"] == ["T91", "BSD-train"]
    assert "memnet-m6r6-denoise" in memnet("download-weights", "--list").out


def test_from_takes_one_name(memnet: Memnet, tmp_path: Path) -> None:
    ran = memnet("download-weights", "--all", "--from", tmp_path / "x")
    assert ran.code == 2
    assert "takes the file of one name" in ran.err


def test_from_a_wrong_file(memnet: Memnet, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"something")
    ran = memnet("download-weights", "memnet-m6r6-sr", "--from", wrong, "--dest", tmp_path / "d")
    assert ran.code == 2
    assert "is not that file" in ran.err
    assert not (tmp_path / "d").exists()


def test_models_lists_networks_and_weights(memnet: Memnet) -> None:
    document = json.loads(memnet("models", "--json").out)
    assert document["models"]["memnet"]["paper"] == "Tai et al., ICCV 2017"
    assert document["weights"]["memnet-m6r6-jpeg"]["task"] == "jpeg"
    text = memnet("models").out
    assert "MemNet" in text
    assert "memnet-m6r6-jpeg" in text

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from memnet_cli.checkpoints import load_weights
from memnet_cli.imaging.images import read_image
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores import authors
from memnet_cli.stores.authors import AuthorsModel
from tests.cli.conftest import Memnet
from tests.stores.caffe_writer import as_snapshot, caffemodel, memnet_layers


@pytest.fixture
def caffe(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Return a small Caffe MemNet."""
    path = tmp_path / "small.caffemodel"
    path.write_bytes(caffemodel(as_snapshot(memnet_layers(2, 2, 4, rng))))
    return path


def test_imported_weights_restore_pictures(memnet: Memnet, caffe: Path, tmp_path: Path) -> None:
    from PIL import Image

    weights, source, target = (tmp_path / n for n in ("w.safetensors", "in.png", "out.png"))
    ran = memnet(
        "import-caffe", caffe, "--out", weights, "--task", "denoise", "--licence", "ask",
        "--training-set", "BSD-train", "--training-set", "BSD-val",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert "2 memory blocks, 2 recursions and 4 maps, for denoise" in ran.out
    info = load_weights(weights)[1]
    assert (info.task, info.levels, info.licence) == ("denoise", (30, 50, 70), "ask")
    assert info.training_sets == ("BSD-train", "BSD-val")
    assert hashlib.sha256(caffe.read_bytes()).hexdigest() in info.source
    Image.new("L", (20, 12), 100).save(source)
    ran = memnet("restore", "--task", "denoise", "--weights", weights, source, target)
    assert ran.code == 0
    assert read_image(target).pixels.shape == (12, 20, 1)


def test_levels_can_be_given(memnet: Memnet, caffe: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    options = ("--task", "sr", "--levels", 2, "-l", 4)
    assert memnet("import-caffe", caffe, "--out", out, *options).code == 0
    assert load_weights(out)[1].levels == (2, 4)


def test_importing_needs_no_torch(memnet_process: Memnet, caffe: Path, tmp_path: Path) -> None:
    ran = memnet_process("import-caffe", caffe, "--out", tmp_path / "w.safetensors", "--task", "sr")
    assert (ran.code, ran.err) == (0, "")
    assert load_weights(tmp_path / "w.safetensors")[1].levels == (2, 3, 4)


@pytest.mark.parametrize(("options", "said"), [
    (("--task", "blur"), "no task 'blur'"),
    (("--task", "sr", "--levels", "90"), "scale factor 90 is out of range"),
    (("--task", "sr", "--training-set", "T19"), "Did you mean 'T91'"),
    (("--task", "sr", "--out", "w.pth"), "name ending in .safetensors"),
    (("--task", "sr", "--out", "there.safetensors"), "give --force to replace it"),
    (("--task", "sr", "--out", "no/such/w.safetensors"), "Cannot write"),
])  # fmt: skip
def test_wrong_options(
    memnet: Memnet,
    caffe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.safetensors").write_bytes(b"old")
    ran = memnet("import-caffe", caffe, "--out", "w.safetensors", *options)
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert Path("there.safetensors").read_bytes() == b"old"
    assert not Path("w.safetensors").exists()


def test_force_replaces(memnet: Memnet, caffe: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"old")
    assert memnet("import-caffe", caffe, "--out", out, "--task", "sr", "--force").code == 0
    assert load_weights(out)[0].config == MemNetConfig(2, 2, 4, preactivated_input=True)


def test_a_file_that_is_something_else(memnet: Memnet, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.caffemodel"
    wrong.write_bytes(b"something else")
    ran = memnet("import-caffe", wrong, "--out", tmp_path / "w.safetensors", "--task", "sr")
    assert ran.code == 2
    assert "wrong.caffemodel is not a caffemodel" in ran.err


def test_download_from_the_authors(
    memnet: Memnet, caffe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = AuthorsModel(
        "authors-small", caffe.name, "sr", MemNetConfig(2, 2, 4, preactivated_input=True), ("T91",)
    )
    monkeypatch.setattr(authors, "AUTHORS_MODELS", (small,))
    monkeypatch.setattr(authors, "ADDRESS", str(tmp_path))
    dest = tmp_path / "dest"
    ran = memnet("download-weights", "--source", "authors", "authors-small", "--dest", dest)
    assert ran.code == 0
    assert "state no licence" in ran.err
    path = dest / "authors-small.safetensors"
    assert str(path) in ran.out
    first = load_weights(path)[1]
    assert first.source.startswith(str(caffe))

    path.unlink()
    ran = memnet(
        "download-weights", "--source", "authors", "authors-small", "--dest", dest, "--json",
        "--from", caffe,
    )  # fmt: skip
    assert json.loads(ran.out) == {"authors-small": str(path)}
    assert load_weights(path)[1].training_sets == ("T91",)


def test_the_authors_models_are_listed(memnet_process: Memnet) -> None:
    ran = memnet_process("download-weights", "--source", "authors", "--list", "--json")
    listed = json.loads(ran.out)["authors-m10r10-sr"]
    assert listed["address"].endswith("MemNet/raw/master/model/MemNet_M10R10_212C64_SR.caffemodel")
    assert listed["licence"] == "none stated by the authors"
    ran = memnet_process("download-weights", "--source", "authors", "--list")
    assert "authors-m6r6-denoise" in ran.out


@pytest.mark.parametrize(("options", "said"), [
    (("--source", "elsewhere", "--all"), "expected release or authors"),
    (("--source", "authors"), "No weights were named"),
    (("--source", "authors", "memnet-m6r6-sr"), "Did you mean 'authors-m6r6-sr'"),
    (("--source", "authors", "--all", "--from", "x"), "takes the file of one name, but 4"),
])  # fmt: skip
def test_wrong_sources(memnet: Memnet, options: tuple[str, ...], said: str) -> None:
    ran = memnet("download-weights", *options)
    assert ran.code == 2
    assert said in ran.err

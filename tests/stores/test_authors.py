"""The authors' models: fetched from a server, known by their network, converted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from memnet_cli.checkpoints import check_purpose, load_weights
from memnet_cli.errors import DownloadError, WeightsError
from memnet_cli.evaluation.methods import parse_method
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores import authors, zoo
from memnet_cli.stores.authors import (
    AUTHORS_MODELS,
    AuthorsModel,
    convert,
    fetch_and_convert,
    get_authors_model,
)
from memnet_cli.stores.datasets import get_dataset
from memnet_cli.stores.downloads import Patience
from memnet_cli.stores.weights import find_weights, locate
from tests.stores.caffe_writer import as_snapshot, caffemodel, memnet_layers
from tests.stores.conftest import Site

SMALL = AuthorsModel(
    "authors-small",
    "small.caffemodel",
    "denoise",
    MemNetConfig(2, 2, 4, preactivated_input=True),
    ("BSD-train", "BSD-val"),
)
ONCE = Patience(attempts=1, wait=0.0, timeout=5.0)


@pytest.fixture
def data(rng: np.random.Generator) -> bytes:
    return caffemodel(as_snapshot(memnet_layers(2, 2, 4, rng)))


@pytest.fixture
def released(site: Site, data: bytes, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Serve one small model where the authors' files are looked for."""
    monkeypatch.setattr(authors, "ADDRESS", f"{site.address}/model")
    site.files["/model/small.caffemodel"] = data
    return site


def test_a_model_is_fetched_and_converted(released: Site, data: bytes, tmp_path: Path) -> None:
    told: list[int] = []
    path = fetch_and_convert(
        SMALL, folder=tmp_path / "new", progress=lambda received, _: told.append(received)
    )
    assert path == tmp_path / "new" / "authors-small.safetensors"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    model, info = load_weights(path)
    assert model.config == SMALL.config
    assert (info.task, info.levels) == ("denoise", (30, 50, 70))
    assert info.training_sets == ("BSD-train", "BSD-val")
    assert info.licence == "none stated by the authors"
    assert hashlib.sha256(data).hexdigest() in info.source
    assert f"{released.address}/model/small.caffemodel" in info.source
    assert told[-1] == len(data)


def test_a_converted_model_has_a_name(
    released: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "cache_dir", lambda: tmp_path / "cache")
    with pytest.raises(WeightsError, match="--source authors authors-small"):
        find_weights("authors-small", model="memnet", task="denoise")
    path = fetch_and_convert(SMALL)
    assert path.parent == tmp_path / "cache"
    assert find_weights("authors-small", model="memnet", task="denoise") == path
    assert find_weights(None, model="authors-small", task="denoise") == path
    assert parse_method("authors-small@1").base == "authors-small"
    with pytest.raises(WeightsError, match="trained for denoise"):
        find_weights("authors-small", model="memnet", task="sr")
    with pytest.raises(WeightsError, match="Did you mean 'authors-small'"):
        locate("author-small")


def test_what_is_there_is_not_fetched_again(released: Site, tmp_path: Path) -> None:
    for force, requests in ((False, 1), (False, 1), (True, 2)):
        fetch_and_convert(SMALL, folder=tmp_path, force=force)
        assert len(released.requests) == requests


def test_a_damaged_model_in_the_cache_is_fetched_again(
    released: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "cache_dir", lambda: tmp_path)
    path = fetch_and_convert(SMALL)
    for damaged in (b"damaged", path.read_bytes()[:-40]):
        path.write_bytes(damaged)
        check_purpose(fetch_and_convert(SMALL), "denoise")
    assert len(released.requests) == 3


def test_another_file_in_a_folder_is_not_replaced_unasked(
    released: Site, data: bytes, tmp_path: Path
) -> None:
    given = tmp_path / "by-hand.caffemodel"
    given.write_bytes(data)
    notes = tmp_path / "authors-small.safetensors"
    notes.write_bytes(b"notes")
    with pytest.raises(WeightsError, match="another file: give --force"):
        fetch_and_convert(SMALL, folder=tmp_path)
    with pytest.raises(WeightsError, match="another file: give --force"):
        convert(SMALL, given, folder=tmp_path)
    assert (notes.read_bytes(), released.requests) == (b"notes", [])
    check_purpose(convert(SMALL, given, folder=tmp_path, force=True), "denoise")
    check_purpose(convert(SMALL, given, folder=tmp_path), "denoise")


def test_another_network_is_refused(
    released: Site, rng: np.random.Generator, tmp_path: Path
) -> None:
    released.files["/model/small.caffemodel"] = caffemodel(memnet_layers(1, 2, 4, rng))
    with pytest.raises(
        WeightsError, match="holds a MemNet of M = 1, R = 2, 4 maps, expected one of M = 2"
    ):
        fetch_and_convert(SMALL, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_instead_of_the_file_is_refused(released: Site, tmp_path: Path) -> None:
    released.files["/model/small.caffemodel"] = b"<!DOCTYPE html><html>Not here</html>" * 50
    with pytest.raises(WeightsError, match="is not a caffemodel"):
        fetch_and_convert(SMALL, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_a_failed_download(released: Site, tmp_path: Path) -> None:
    released.files.clear()
    with pytest.raises(DownloadError, match="404"):
        fetch_and_convert(SMALL, folder=tmp_path, patience=ONCE)


def test_a_file_fetched_by_other_means_is_converted(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "by-hand.caffemodel"
    file.write_bytes(data)
    path = convert(SMALL, file, folder=tmp_path / "converted")
    assert load_weights(path)[1].source.startswith("https://github.com/tyshiwo/MemNet (sha256 ")


def test_a_folder_that_cannot_be_made_is_named(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "by-hand.caffemodel"
    file.write_bytes(data)
    with pytest.raises(WeightsError, match="Cannot write"):
        convert(SMALL, file, folder=file / "below")


def test_the_list() -> None:
    names = [model.name for model in AUTHORS_MODELS]
    assert names == [
        "authors-m6r6-sr", "authors-m6r6-denoise", "authors-m6r6-jpeg", "authors-m10r10-sr",
    ]  # fmt: skip
    # the figure in each file's name is the depth, one of the paper's
    assert [model.config.depth for model in AUTHORS_MODELS] == [80, 80, 80, 212]
    for model in AUTHORS_MODELS:
        assert f"_{model.config.depth}C{model.config.width}_" in model.file
        assert get_authors_model(model.name) is model
        for name in model.training_sets:
            assert get_dataset(name).role == "train"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"Did you mean 'authors-m6r6-sr'.*authors-m10r10-sr"):
        get_authors_model("authors-m6r6-rs")

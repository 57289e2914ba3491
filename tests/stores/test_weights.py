from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from memnet_cli.checkpoints import read_info
from memnet_cli.errors import DownloadError, WeightsError
from memnet_cli.stores import weights
from memnet_cli.stores.downloads import Patience, file_sha256
from memnet_cli.stores.weights import adopt, fetch, find_weights, get_weights, write_manifest
from memnet_cli.tasks import TASKS
from tests.stores.conftest import Site

QUICK = Patience(attempts=2, wait=0.01, timeout=0.5)


@pytest.fixture
def zoo(
    tmp_path: Path, tiny_weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch, site: Site
) -> Path:
    """Make a zoo of tiny weights: sr and denoise bundled, jpeg to be downloaded."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    for file in tiny_weights.values():
        shutil.copy(file, folder)
    manifest = write_manifest(folder)
    document = json.loads(manifest.read_text())
    document["weights"]["tiny-jpeg"]["bundled"] = False
    manifest.write_text(json.dumps(document))
    site.files["/tiny-jpeg.safetensors"] = (folder / "tiny-jpeg.safetensors").read_bytes()
    (folder / "tiny-jpeg.safetensors").unlink()
    monkeypatch.setattr(weights, "weights_dir", lambda: folder)
    monkeypatch.setattr(weights, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setenv("MEMNET_WEIGHTS_MIRROR", site.address)
    return folder


def test_shipped_manifest_tells_the_truth() -> None:
    for entry in weights.weights_entries():
        if not entry.bundled:
            continue
        assert file_sha256(entry.path) == entry.sha256
        assert entry.path.stat().st_size == entry.bytes
        info = read_info(entry.path)
        assert (entry.model, entry.task, entry.training_sets) == (
            info.model,
            info.task,
            info.training_sets,
        )


def test_every_task_has_default_weights_offline() -> None:
    for task in TASKS:
        path = find_weights(None, model="memnet", task=task)
        assert path.parent == weights.weights_dir()
        assert read_info(path).task == task


def test_by_name_by_model_by_file(zoo: Path) -> None:
    bundled = zoo / "tiny-sr.safetensors"
    assert find_weights("tiny-sr", model="memnet", task="sr") == bundled
    assert find_weights(None, model="memnet", task="sr") == bundled
    assert find_weights(None, model="tiny-sr", task="sr") == bundled
    assert find_weights(str(bundled), model="memnet", task="sr") == bundled


def test_remote_is_fetched_once(zoo: Path, site: Site, tmp_path: Path) -> None:
    assert get_weights("tiny-jpeg").state == "remote"
    path = find_weights(None, model="memnet", task="jpeg", patience=QUICK)
    assert path == tmp_path / "cache" / "tiny-jpeg.safetensors"
    assert get_weights("tiny-jpeg").state == "cached"
    find_weights(None, model="memnet", task="jpeg", patience=QUICK)
    assert len(site.requests) == 1


def test_damaged_cache_is_fetched_again(zoo: Path, site: Site) -> None:
    path = fetch(get_weights("tiny-jpeg"), patience=QUICK)
    path.write_bytes(path.read_bytes()[:-1])
    assert fetch(get_weights("tiny-jpeg"), patience=QUICK).stat().st_size > 0
    assert file_sha256(path) == get_weights("tiny-jpeg").sha256
    assert len(site.requests) == 2


def test_remote_with_wrong_bytes(zoo: Path, site: Site) -> None:
    site.files["/tiny-jpeg.safetensors"] = bytes(len(site.files["/tiny-jpeg.safetensors"]))
    with pytest.raises(DownloadError, match="sha256"):
        fetch(get_weights("tiny-jpeg"), patience=QUICK)
    assert get_weights("tiny-jpeg").state == "remote"


def test_unknown_name_lists_the_nearest(zoo: Path) -> None:
    with pytest.raises(WeightsError, match=r"Did you mean 'tiny-sr'\?"):
        find_weights("tiny-ssr", model="memnet", task="sr")
    with pytest.raises(WeightsError, match=r"Did you mean 'memnet'\?"):
        find_weights(None, model="memnett", task="sr")


def test_wrong_task(zoo: Path) -> None:
    with pytest.raises(WeightsError, match="trained for sr, not for denoise"):
        find_weights("tiny-sr", model="memnet", task="denoise")


def test_file_that_is_not_there(zoo: Path) -> None:
    with pytest.raises(WeightsError, match="There is no weights file"):
        find_weights("nowhere/x.safetensors", model="memnet", task="sr")


def test_model_without_weights(zoo: Path) -> None:
    with pytest.raises(WeightsError, match="no weights of RED-Net for sr yet"):
        find_weights(None, model="rednet", task="sr")


def test_adopts_a_file_only_if_it_is_the_one(zoo: Path, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "fetched-by-hand.bin"
    file.write_bytes(site.files["/tiny-jpeg.safetensors"])
    entry = get_weights("tiny-jpeg")
    assert file_sha256(adopt(entry, file)) == entry.sha256
    assert entry.state == "cached"
    file.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="is not that file"):
        adopt(entry, file)
    assert site.requests == []


def test_damaged_bundled_file(zoo: Path) -> None:
    (zoo / "tiny-sr.safetensors").write_bytes(b"cut")
    with pytest.raises(WeightsError, match="are damaged"):
        find_weights("tiny-sr", model="memnet", task="sr")

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from memnet_cli.checkpoints import read_info
from memnet_cli.errors import DownloadError, WeightsError
from memnet_cli.stores import zoo as listed
from memnet_cli.stores.downloads import Patience, file_sha256
from memnet_cli.stores.weights import adopt, fetch, find_weights
from memnet_cli.stores.zoo import get_weights
from memnet_cli.tasks import TASKS
from tests.stores.conftest import Site

QUICK = Patience(attempts=2, wait=0.01, timeout=0.5)


def test_shipped_manifest_tells_the_truth() -> None:
    for entry in listed.weights_entries():
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
        assert path.parent == listed.weights_dir()
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


@pytest.mark.parametrize("model", ["rednet", "tiny-jpeg"])
def test_a_model_that_the_weights_are_not_of(zoo: Path, model: str) -> None:
    with pytest.raises(WeightsError, match=f"holds memnet, and --model {model} is something else"):
        find_weights("tiny-sr", model=model, task="sr")
    bundled = zoo / "tiny-sr.safetensors"
    assert find_weights("tiny-sr", model="tiny-sr", task="sr") == bundled


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


def test_download_that_fails_says_what_else_can_be_done(zoo: Path, site: Site) -> None:
    site.plan = [404]
    with pytest.raises(DownloadError) as caught:
        fetch(get_weights("tiny-jpeg"), patience=QUICK)
    message = str(caught.value)
    assert f"{site.address}/tiny-jpeg.safetensors answered HTTP 404" in message
    assert "memnet download-weights tiny-jpeg --from FILE" in message
    assert "MEMNET_WEIGHTS_MIRROR" in message


def test_mirror_may_be_a_folder(
    zoo: Path, tiny_weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMNET_WEIGHTS_MIRROR", str(tiny_weights["jpeg"].parent))
    assert fetch(get_weights("tiny-jpeg")).read_bytes() == tiny_weights["jpeg"].read_bytes()


def test_without_a_mirror_it_is_the_release(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMNET_WEIGHTS_MIRROR")
    address = get_weights("tiny-jpeg").address
    assert address == f"{listed.RELEASE_ADDRESS}/tiny-jpeg.safetensors"


def test_force_fetches_again_and_keeps_the_old_file_on_failure(zoo: Path, site: Site) -> None:
    entry = get_weights("tiny-jpeg")
    path = fetch(entry, patience=QUICK)
    fetch(entry, force=True, patience=QUICK)
    assert len(site.requests) == 2
    site.plan = [404]
    with pytest.raises(DownloadError):
        fetch(entry, force=True, patience=QUICK)
    assert file_sha256(path) == entry.sha256


def test_half_a_file_in_the_cache_is_not_called_cached(zoo: Path) -> None:
    entry = get_weights("tiny-jpeg")
    entry.path.parent.mkdir()
    entry.path.write_bytes(b"half")
    assert entry.state == "remote"


def test_adopting_bundled_weights_leaves_them_where_they_are(zoo: Path, tmp_path: Path) -> None:
    entry = get_weights("tiny-sr")
    file = tmp_path / "by-hand.bin"
    shutil.copy(entry.path, file)
    assert adopt(entry, file) == entry.path
    assert adopt(entry, file, tmp_path / "here") == tmp_path / "here" / entry.file
    assert not listed.cache_dir().exists()


def test_another_file_in_a_folder_of_the_users_is_replaced_by_force_alone(
    zoo: Path, site: Site, tmp_path: Path
) -> None:
    for name in ("tiny-sr", "tiny-jpeg"):
        entry = get_weights(name)
        mine = tmp_path / entry.file
        mine.write_bytes(b"mine")
        by_hand = tmp_path / "by-hand.bin"
        by_hand.write_bytes(
            entry.path.read_bytes() if entry.bundled else site.files[f"/{entry.file}"]
        )
        with pytest.raises(WeightsError, match="is another file: give --force"):
            fetch(entry, folder=tmp_path)
        with pytest.raises(WeightsError, match="is another file: give --force"):
            adopt(entry, by_hand, tmp_path)
        assert mine.read_bytes() == b"mine"
        assert file_sha256(fetch(entry, folder=tmp_path, force=True)) == entry.sha256
        mine.write_bytes(b"mine")
        assert file_sha256(adopt(entry, by_hand, tmp_path, force=True)) == entry.sha256
        assert adopt(entry, by_hand, tmp_path) == mine


def test_a_mirror_without_a_server(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMNET_WEIGHTS_MIRROR", "http://")
    with pytest.raises(DownloadError, match="'http://' names no server"):
        fetch(get_weights("tiny-jpeg"))


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_folder_that_cannot_be_written(zoo: Path, tmp_path: Path, place: str) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    folder = blocked if place == "a file" else blocked / "below"
    for name in ("tiny-sr", "tiny-jpeg"):
        with pytest.raises(DownloadError, match="Cannot write into the folder"):
            fetch(get_weights(name), folder=folder, patience=QUICK)


def test_name_that_no_file_can_have(zoo: Path) -> None:
    for name in ("a" * 300, "\0"):
        with pytest.raises(WeightsError, match="There are no weights"):
            find_weights(name, model="memnet", task="sr")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"weights": []}', '{"weights": {"a": {}}}'])
def test_damaged_list_of_weights(zoo: Path, text: str) -> None:
    (zoo / "weights.json").write_text(text)
    listed._manifest.cache_clear()
    with pytest.raises(WeightsError, match=r"weights\.json is missing or damaged"):
        listed.weights_entries()

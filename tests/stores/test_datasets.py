from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from memnet_cli.errors import DatasetError
from memnet_cli.stores import datasets
from memnet_cli.stores.datasets import dataset_names, find_images, get_dataset
from memnet_cli.stores.downloads import Patience
from memnet_cli.tasks import TASKS
from tests.stores.conftest import Site

QUICK = Patience(attempts=2, wait=0.01, timeout=0.5)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests away from the user's cache and variables."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets, "cache_dir", lambda: cache)
    monkeypatch.delenv("MEMNET_DATA", raising=False)
    monkeypatch.delenv("MEMNET_DATA_MIRROR", raising=False)
    return cache


@pytest.fixture
def mirrored(site: Site, shared: Path) -> Site:
    """Serve Set5 as its host does."""
    for file in get_dataset("Set5").files:
        site.files[f"/{file.path}"] = (shared / "datasets" / "mirror" / file.path).read_bytes()
    return site


def test_catalogue_is_the_reference_manifest(shared: Path) -> None:
    manifest = json.loads((shared / "datasets" / "manifest.json").read_text())
    assert set(dataset_names()) == {*manifest["datasets"], "LIVE1-train"}
    for name, theirs in manifest["datasets"].items():
        ours = [(f.path, f.sha256, f.bytes) for f in get_dataset(name).files]
        assert ours == [(f["path"], f["sha256"], f["bytes"]) for f in theirs["files"]]
        assert get_dataset(name).role == theirs["role"]


def test_every_benchmark_says_for_which_task() -> None:
    for name in dataset_names():
        entry = get_dataset(name)
        assert (entry.role == "test") == bool(entry.tasks)
        assert set(entry.tasks) <= set(TASKS)
        assert entry.source


def test_bsd100_is_bsd_val() -> None:
    # the field's commonest leak: the benchmark's images are the training set's
    hashes = [{f.sha256 for f in get_dataset(name).files} for name in ("BSD100", "BSD-val")]
    assert hashes[0] == hashes[1]


def test_live1_train_shows_none_of_another_benchmark() -> None:
    files = {file.name: file for file in get_dataset("LIVE1").files}
    ours = {file.name: file for file in get_dataset("LIVE1-train").files}
    # Set14 and Set12 show the butterfly and one of the birds, as other files
    assert ours == {n: f for n, f in files.items() if n not in ("monarch.bmp", "parrots.bmp")}
    hashes = {file.sha256 for file in ours.values()}
    for name in set(dataset_names()) - {"LIVE1", "LIVE1-train"}:
        assert hashes.isdisjoint(file.sha256 for file in get_dataset(name).files)


def test_name_in_any_case_and_the_nearest_for_a_wrong_one() -> None:
    assert get_dataset("set5").name == "Set5"
    with pytest.raises(DatasetError, match=r"Did you mean 'Set5'\?.*Known datasets: T91, BSD"):
        get_dataset("Set15")


def test_downloads_once_from_a_mirror(
    mirrored: Site, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> None:
    monkeypatch.setenv("MEMNET_DATA_MIRROR", mirrored.address)
    progress: list[tuple[int, int | None]] = []
    images = find_images("Set5", progress=lambda a, b: progress.append((a, b)))
    entry = get_dataset("Set5")
    assert [image.name for image in images] == [file.name for file in entry.files]
    assert progress[-1] == (entry.bytes, entry.bytes)
    assert all(image.path.is_relative_to(empty_cache) for image in images)
    asked = len(mirrored.requests)
    assert find_images("Set5", offline=True) == images
    assert len(mirrored.requests) == asked


def test_only_the_damaged_file_is_fetched_again(
    mirrored: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMNET_DATA_MIRROR", mirrored.address)
    images = find_images("Set5")
    damaged = bytearray(images[2].path.read_bytes())
    damaged[5000] ^= 1
    images[2].path.write_bytes(damaged)
    before = len(mirrored.requests)
    assert find_images("Set5") == images
    assert len(mirrored.requests) == before + 1


def test_mirror_may_be_a_folder(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMNET_DATA_MIRROR", str(shared / "datasets" / "mirror"))
    assert len(find_images("Classic5")) == 5


@pytest.mark.parametrize("layout", ["by name", "by catalogue path"])
def test_data_folder_of_the_user(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    mirror = shared / "datasets" / "mirror"
    if layout == "by name":
        (tmp_path / "own" / "Set5").mkdir(parents=True)
        for file in get_dataset("Set5").files:
            (tmp_path / "own" / "Set5" / file.name).symlink_to(mirror / file.path)
    root = tmp_path / "own" if layout == "by name" else mirror
    assert len(find_images("Set5", data_dir=root, offline=True)) == 5
    monkeypatch.setenv("MEMNET_DATA", str(root))
    assert len(find_images("Set5", offline=True)) == 5


def test_offline_says_what_is_missing_and_where_to_put_it() -> None:
    with pytest.raises(DatasetError) as caught:
        find_images("Set5", offline=True)
    message = str(caught.value)
    assert "5 of 5 images of Set5 are missing (1.7 MB)" in message
    assert "Set5/baby_GT.bmp" in message
    assert "--data-dir or MEMNET_DATA" in message


def test_no_network_says_the_same(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMNET_DATA_MIRROR", site.address)
    with pytest.raises(DatasetError, match=r"5 of 5 .* HTTP 404"):
        find_images("Set5", patience=QUICK)


def test_wrong_bytes_are_refused(mirrored: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/{get_dataset('Set5').files[0].path}"
    mirrored.files[path] = bytes(len(mirrored.files[path]))
    monkeypatch.setenv("MEMNET_DATA_MIRROR", mirrored.address)
    with pytest.raises(DatasetError, match="sha256"):
        find_images("Set5", patience=QUICK)


def test_any_folder_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "b.jpg", "B.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "broken-link.png").symlink_to("nowhere")
    images = find_images(str(tmp_path))
    assert [image.name for image in images] == ["2.png", "10.png", "B.jpg", "b.jpg"]
    assert [image.sha256 for image in images] == [
        hashlib.sha256(image.name.encode()).hexdigest() for image in images
    ]


def test_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no picture in the folder"):
        find_images(str(tmp_path))


def test_folder_called_as_a_set_of_the_catalogue(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set5").mkdir()
    (tmp_path / "set5" / "own.png").write_bytes(b"own")
    monkeypatch.chdir(tmp_path)
    mirror = shared / "datasets" / "mirror"
    assert len(find_images("set5", data_dir=mirror, offline=True)) == 5
    for name in ("./set5", "set5/", str(tmp_path / "set5")):
        assert [image.name for image in find_images(name)] == ["own.png"]


@pytest.mark.parametrize("name", ["a" * 300, "\0", ""])
def test_name_that_no_folder_can_have(name: str) -> None:
    with pytest.raises(DatasetError, match="There is no dataset or folder"):
        find_images(name)


def test_data_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match="There is no data folder"):
        find_images("Set5", data_dir=tmp_path / "nowhere")
    monkeypatch.setenv("MEMNET_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"There is no data folder .*MEMNET_DATA"):
        find_images("Set5")


def test_other_files_of_the_right_name_are_told_apart_from_missing_ones(tmp_path: Path) -> None:
    other = tmp_path / "Set5" / "bird_GT.bmp"
    other.parent.mkdir()
    other.write_bytes(b"another bird")
    with pytest.raises(DatasetError) as caught:
        find_images("Set5", data_dir=tmp_path, offline=True)
    assert f"{other} is there but is not the file that the papers' set has" in str(caught.value)


def test_what_a_broken_download_left_is_kept(
    mirrored: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMNET_DATA_MIRROR", mirrored.address)
    mirrored.plan = ["ok", "ok", 404]
    with pytest.raises(DatasetError, match=r"^3 of 5 images of Set5 are missing"):
        find_images("Set5", patience=QUICK)
    before = len(mirrored.requests)
    assert len(find_images("Set5", patience=QUICK)) == 5
    assert len(mirrored.requests) == before + 3


def test_a_set_comes_over_one_connection(mirrored: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMNET_DATA_MIRROR", mirrored.address)
    find_images("Set5")
    assert (len(mirrored.requests), mirrored.connections) == (5, 1)


def test_sets_that_share_images_share_them_in_the_cache(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMNET_DATA_MIRROR", str(shared / "datasets" / "mirror"))
    assert find_images("BSD-val") == find_images("BSD100", offline=True)


def test_every_mirrored_set_is_found_by_content(shared: Path) -> None:
    manifest = json.loads((shared / "datasets" / "manifest.json").read_text())
    for name, entry in manifest["datasets"].items():
        if entry["in_mirror"]:
            images = find_images(name, data_dir=shared / "datasets" / "mirror", offline=True)
            assert len(images) == entry["images"]
            assert sum(image.path.stat().st_size for image in images) == entry["bytes"]

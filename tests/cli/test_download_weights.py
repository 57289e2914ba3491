from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from memnet_cli.cli._console import print_error
from memnet_cli.errors import WeightsError
from memnet_cli.stores import downloads
from memnet_cli.stores.downloads import file_sha256
from memnet_cli.stores.weights import find_weights
from memnet_cli.stores.zoo import get_weights
from tests.cli.conftest import Memnet
from tests.stores import conftest as stores
from tests.stores.conftest import Site

site = stores.site
zoo = stores.zoo


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
    one = memnet("download-weights", "memnet-m6r6-sr", "--list").out
    assert "memnet-m6r6-sr" in one and "memnet-m6r6-denoise" not in one
    authors = ("download-weights", "--source", "authors", "--list")
    name, other, *_ = json.loads(memnet(*authors, "--json").out)
    listed = memnet(*authors, name).out
    assert name in listed and other not in listed


def test_list_fits_a_narrow_terminal_with_whole_names(
    memnet_process: Memnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = memnet_process("download-weights", "--list").out
    assert max(map(len, text.splitlines())) <= 80
    for name in ("memnet-m6r6-sr", "memnet-m6r6-denoise", "memnet-m6r6-jpeg"):
        assert f" {name} " in text
    listed = json.loads(memnet_process("download-weights", "--list", "--json").out)
    sets = {name for entry in listed.values() for name in entry["training_sets"]}
    further = [line for line in text.splitlines() if line.startswith(" " * 20) and line.strip()]
    words = {word.strip(",") for line in further for word in line.split()}
    assert {"LIVE1-train", "BSD200"} <= words <= sets, "the name of a training set is broken in two"


def test_list_tells_scores(memnet: Memnet, zoo: Path) -> None:
    manifest = zoo / "weights.json"
    document = json.loads(manifest.read_text())
    scores = {"Set5": {"2": {"psnr": 36.754, "ssim": 0.95}, "3": {"psnr": 33.0, "ssim": 0.9}}}
    document["weights"]["tiny-sr"]["scores"] = scores
    manifest.write_text(json.dumps(document))
    assert "36.75 33.00" in memnet("download-weights", "--list").out
    listed = json.loads(memnet("download-weights", "--list", "--json").out)
    assert listed["tiny-sr"]["scores"] == scores


def test_remote_weights_are_fetched_through_trouble(
    memnet: Memnet, zoo: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)

    def listed() -> tuple[str, str | None]:
        entry = json.loads(memnet("download-weights", "--list", "--json").out)["tiny-jpeg"]
        return entry["state"], entry["path"]

    assert listed() == ("remote", None)
    site.plan = ["redirect", 503, "cut"]
    ran = memnet("download-weights", "tiny-jpeg", "--json")
    path = json.loads(ran.out)["tiny-jpeg"]
    assert ran.code == 0
    assert file_sha256(Path(path)) == get_weights("tiny-jpeg").sha256
    assert listed() == ("cached", path)


def test_all_fetches_what_is_not_there(memnet: Memnet, zoo: Path, site: Site) -> None:
    ran = memnet("download-weights", "--all", "--json")
    assert set(json.loads(ran.out)) == {"tiny-sr", "tiny-denoise", "tiny-jpeg"}
    assert len(site.requests) == 1


def test_failure_is_one_sentence_on_stderr(
    memnet: Memnet, zoo: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
    wrong = bytes(get_weights("tiny-jpeg").bytes)
    for mirror, content, said in (
        (site.address, wrong, "sha256"),
        (site.address, wrong[:-1], "bytes, expected"),
        (closed, wrong, "after 5 attempts"),
    ):
        monkeypatch.setenv("MEMNET_WEIGHTS_MIRROR", mirror)
        site.files["/tiny-jpeg.safetensors"] = content
        ran = memnet("download-weights", "tiny-jpeg")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("Error: ") and ran.err.count("\n") == 1
        assert said in ran.err
        assert "--from FILE" in ran.err


def test_from_a_right_file_needs_no_network(
    memnet: Memnet, zoo: Path, site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "by-hand"
    file.write_bytes(site.files["/tiny-jpeg.safetensors"])
    assert memnet("download-weights", "tiny-jpeg", "--from", file).code == 0
    assert get_weights("tiny-jpeg").state == "cached"
    assert site.requests == []


def test_the_listing_does_not_show_a_password(
    memnet: Memnet, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMNET_WEIGHTS_MIRROR", "https://me:secret@mirror.example/of@mine")
    listed = json.loads(memnet("download-weights", "--list", "--json").out)
    address = listed["tiny-jpeg"]["address"]
    assert address == "https://mirror.example/of@mine/tiny-jpeg.safetensors"


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "No weights were named"),
    (("--all", "memnet-m6r6-sr"), "leave the names away"),
    (("memnet-m6r6-zr",), "Did you mean 'memnet-m6r6-"),
    (("memnet-m6r6-sr", "--from", "."), "is no file"),
    (("--source", "elsewhere", "--list"), "--source elsewhere is unknown"),
    (("memnet-m6r6-zr", "--list"), "Did you mean 'memnet-m6r6-"),
    (("memnet-m6r6-sr", "--list", "--source", "authors"), "The authors released no"),
])  # fmt: skip
def test_wrong_arguments_cost_no_torch(
    memnet_process: Memnet, arguments: tuple[str, ...], said: str
) -> None:
    ran = memnet_process("download-weights", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_dest_that_is_a_file(memnet: Memnet, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    ran = memnet("download-weights", "memnet-m6r6-sr", "--dest", tmp_path / "file")
    assert ran.code == 1
    assert "Cannot write into the folder" in ran.err


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


def test_models_says_which_weights_are_taken_by_default(memnet: Memnet) -> None:
    listed = {
        words[0]: words[2].rstrip(",")
        for words in map(str.split, memnet("models").out.splitlines())
        if len(words) > 3 and words[2].rstrip(",") in {"yes", "no", "-m"}
    }
    for model, task in itertools.product(("rednet", "nlrn"), ("sr", "denoise", "jpeg")):
        other = find_weights(None, model=model, task=task).stem
        assert listed.pop(other) == "-m", f"taken by default with `-m {model}` only"
    levels = {"sr": (2, 3, 4), "denoise": (30, 70), "jpeg": (10, 95)}
    taken = {
        find_weights(None, model="memnet", task=task, level=level).stem
        for task, some in levels.items()
        for level in (None, *some)
    }
    assert {name for name, when in listed.items() if when == "yes"} == taken
    assert set(listed.values()) == {"yes", "no"}


def test_models_says_at_which_levels_weights_are_taken(memnet: Memnet, by_level: Path) -> None:
    rows = {row.split()[0]: row for row in memnet("models").out.splitlines() if row.strip()}
    assert "yes, x2-4" in rows["every-sr"]
    assert "yes, x4" in rows["x4-sr"]
    assert "yes, 5-40" in rows["bad-jpeg"]
    assert "yes, 5-95" in rows["good-jpeg"]
    assert "yes," not in rows["any-denoise"]


def test_one_that_fails_keeps_none_of_the_others_back(
    memnet: Memnet, zoo: Path, site: Site, tmp_path: Path
) -> None:
    site.files.clear()
    ran = memnet("download-weights", "--all", "--json", "--dest", tmp_path / "here")
    assert ran.code == 1
    assert sorted(json.loads(ran.out)) == ["tiny-denoise", "tiny-sr"]
    assert "tiny-jpeg" in ran.err and "--from FILE" in ran.err
    assert {path.stem for path in (tmp_path / "here").iterdir()} == {"tiny-denoise", "tiny-sr"}


def test_a_place_that_cannot_be_written_asks_for_another_place(
    memnet: Memnet, zoo: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    ran = memnet("download-weights", "tiny-jpeg")
    assert ran.code == 1
    assert "--dest DIR" in ran.err
    assert "--from" not in ran.err and "MIRROR" not in ran.err
    ran = memnet("download-weights", "tiny-jpeg", "--dest", tmp_path / "cache")
    assert (ran.code, "--from" in ran.err) == (1, False)


def test_a_signal_leaves_nothing_behind(
    memnet: Memnet, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_of_a_download: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(downloads, "_fetch", stopped)
    ran = memnet("download-weights", "tiny-jpeg", "--dest", tmp_path / "here")
    assert (ran.code, "Stopped by SIGTERM" in ran.err) == (143, True)
    assert list((tmp_path / "here").iterdir()) == []


def test_the_authors_models_are_pointed_to(memnet: Memnet) -> None:
    ran = memnet("download-weights", "authors-m6r6-sr")
    assert (ran.code, "--source authors" in ran.err) == (2, True)
    with pytest.raises(WeightsError, match="--source authors authors-m6r6-jpeg"):
        find_weights(None, model="authors-m6r6-jpeg", task="jpeg")
    with pytest.raises(WeightsError, match="--source authors authors-m6r6-jpeg"):
        find_weights("authors-m6r6-jpeg", model="memnet", task="jpeg")


def test_messages_steer_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    print_error("trained for \x1b[2Jevil")
    assert capfd.readouterr().err == "Error: trained for \ufffd[2Jevil\n"

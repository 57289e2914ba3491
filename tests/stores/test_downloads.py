from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from memnet_cli.errors import DownloadError
from memnet_cli.stores.downloads import Expected, Patience, download, is_sound
from tests.stores.conftest import Site

DATA = os.urandom(300_000)
RIGHT = Expected(hashlib.sha256(DATA).hexdigest(), len(DATA))
QUICK = Patience(attempts=3, wait=0.01, timeout=0.3)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.bin"


@pytest.fixture
def served(site: Site) -> Site:
    site.files["/file.bin"] = DATA
    return site


def fetch(site: Site, target: Path, expected: Expected = RIGHT) -> Path:
    return download(f"{site.address}/file.bin", target, expected, patience=QUICK)


def only_target(target: Path) -> bool:
    return [file.name for file in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    "plan",
    [[], ["redirect"], [503], [503, 503], [429], ["cut"], ["cut", "cut"], ["silent"], [500, "cut"]],
    ids=str,
)
def test_gets_there(served: Site, target: Path, plan: list[str | int]) -> None:
    served.plan = plan.copy()
    assert fetch(served, target).read_bytes() == DATA
    assert only_target(target)


def test_cut_transfer_is_continued_not_repeated(served: Site, target: Path) -> None:
    served.plan = ["cut", "cut"]
    fetch(served, target)
    first, *later = [wanted for _, wanted in served.requests]
    starts = [int((wanted or "").removeprefix("bytes=").rstrip("-")) for wanted in later]
    assert first is None
    # half of what was left each time, less the part of a chunk that was still on the way
    assert 64_000 < starts[0] <= 150_000 < starts[1] <= 225_000


def test_server_without_ranges_starts_anew(served: Site, target: Path) -> None:
    served.ranges = False
    served.plan = ["cut"]
    assert fetch(served, target).read_bytes() == DATA


def test_file_that_changed_meanwhile_starts_anew(served: Site, target: Path) -> None:
    other = os.urandom(len(DATA))
    served.files["/file.bin"] = other
    served.plan = ["cut"]

    def exchange(received: int, _total: int | None) -> None:
        if served.etag == '"v1"':
            served.files["/file.bin"], served.etag = DATA, '"v2"'

    download(f"{served.address}/file.bin", target, RIGHT, patience=QUICK, progress=exchange)
    assert target.read_bytes() == DATA


def test_wrong_range_is_refused(served: Site, target: Path) -> None:
    served.plan = ["cut", "wrong range"]
    with pytest.raises(DownloadError, match="another part"):
        fetch(served, target)
    assert not target.exists()


def test_keeps_cutting_ends(served: Site, target: Path) -> None:
    served.ranges = False
    served.plan = ["cut"] * 50
    with pytest.raises(DownloadError, match="after 3 attempts"):
        fetch(served, target)
    assert list(target.parent.iterdir()) == []


def test_not_found_fails_at_once(served: Site, target: Path) -> None:
    served.plan = [404]
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch(served, target)
    assert len(served.requests) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(DATA[:-1], "gave 299999 bytes, expected 300000"), (DATA[::-1], "sha256")],
)
def test_wrong_content_leaves_the_old_file(
    served: Site, target: Path, content: bytes, message: str
) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    served.files["/file.bin"] = content
    with pytest.raises(DownloadError, match=message):
        fetch(served, target)
    assert target.read_bytes() == b"old"
    assert only_target(target)


def test_no_network(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DownloadError, match="after 3 attempts"):
        download(f"http://127.0.0.1:{port}/x", target, RIGHT, patience=QUICK)


def test_local_folder_and_file_address(tmp_path: Path, target: Path) -> None:
    original = tmp_path / "original.bin"
    original.write_bytes(DATA)
    for address in (str(original), original.as_uri()):
        assert download(address, target, RIGHT).read_bytes() == DATA
    with pytest.raises(DownloadError, match="No such file"):
        download(str(tmp_path / "nowhere"), target, RIGHT)


def test_folder_that_cannot_be_written(served: Site, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_bytes(b"a file, not a folder")
    with pytest.raises(DownloadError, match="Cannot write"):
        fetch(served, tmp_path / "blocked" / "file.bin")


def test_two_processes_at_once(served: Site, target: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from memnet_cli.stores.downloads import Expected, download;"
        "download(sys.argv[1], Path(sys.argv[2]), Expected(sys.argv[3], int(sys.argv[4])))"
    )
    command = [sys.executable, "-c", code, f"{served.address}/file.bin", str(target)]
    command += [str(RIGHT.sha256), str(RIGHT.size)]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert target.read_bytes() == DATA
    assert only_target(target)


def test_progress_counts_up_to_the_size(served: Site, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download(
        f"{served.address}/file.bin",
        target,
        RIGHT,
        progress=lambda received, total: seen.append((received, total)),
    )
    assert seen[-1] == (len(DATA), len(DATA))
    assert seen == sorted(seen)


def test_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert not is_sound(path, RIGHT)
    path.write_bytes(DATA)
    assert is_sound(path, RIGHT)
    path.write_bytes(DATA[:-1] + b"\0" + b"\0")
    assert not is_sound(path, RIGHT)
    path.write_bytes(bytes(len(DATA)))
    assert not is_sound(path, RIGHT)

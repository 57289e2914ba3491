from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from memnet_cli.errors import DownloadError, PlacingError
from memnet_cli.stores import transfers
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
    [
        [], ["redirect"], [503], [503, 503], [429], ["cut"], ["cut", "cut"], ["silent"],
        [500, "cut"], ["slow"], ["hang up"], ["no length"], ["no length, cut"], ["gzip"],
    ],
    ids=str,
)  # fmt: skip
def test_gets_there(served: Site, target: Path, plan: list[str | int]) -> None:
    served.plan = plan.copy()
    assert fetch(served, target).read_bytes() == DATA
    assert only_target(target)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_those_of_any_new_file(served: Site, target: Path) -> None:
    before = os.umask(0o027)
    try:
        fetch(served, target)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o640


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


@pytest.mark.parametrize(("status", "said"), [(404, "is not there"), (403, "is not given out")])
def test_refusal_fails_at_once(served: Site, target: Path, status: int, said: str) -> None:
    served.plan = [status]
    with pytest.raises(DownloadError, match=f"HTTP {status}: the file {said}"):
        fetch(served, target)
    assert len(served.requests) == 1
    assert list(target.parent.iterdir()) == []


def test_waits_grow_and_what_the_server_asks_for_has_a_limit(
    served: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    patience = Patience(attempts=5, wait=1.0, timeout=1.0)
    served.plan = [503, 503, 429, 500]
    download(f"{served.address}/file.bin", target, RIGHT, patience=patience)
    assert waits == [1.0, 2.0, 4.0, 8.0]
    waits.clear()
    for asked, waited in (("7", 7.0), ("86400", 60.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0)):
        served.plan, served.retry_after = [503], asked
        download(f"{served.address}/file.bin", target, RIGHT, patience=patience)
        assert waits.pop() == waited


def test_file_that_became_shorter_meanwhile_starts_anew(served: Site, target: Path) -> None:
    # the first half of 400,000 bytes is kept, then only 150,000 are there under the same tag
    served.files["/file.bin"] = bytes(400_000)
    served.plan = ["cut"]
    short = DATA[:150_000]

    def exchange(_received: int, _total: int | None) -> None:
        served.files["/file.bin"] = short

    expected = Expected(hashlib.sha256(short).hexdigest())
    address = f"{served.address}/file.bin"
    download(address, target, expected, patience=QUICK, progress=exchange)
    assert target.read_bytes() == short
    assert [wanted is None for _, wanted in served.requests] == [True, False, True]


def test_endless_answer_is_left(served: Site, target: Path) -> None:
    served.plan = ["endless"]
    seen: list[int] = []
    with pytest.raises(DownloadError, match=r"gave \d+ bytes, expected 300000"):
        download(
            f"{served.address}/file.bin",
            target,
            RIGHT,
            patience=QUICK,
            progress=lambda received, _total: seen.append(received),
        )
    assert max(seen) < 2 * len(DATA)
    assert list(target.parent.iterdir()) == []


def test_answers_of_no_known_size_have_a_limit(
    served: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_MOST_BYTES", 2 * len(DATA))
    assert fetch(served, target, Expected(None)).read_bytes() == DATA
    served.plan = ["endless"]
    with pytest.raises(DownloadError, match="gave more than 600000 bytes"):
        fetch(served, target, Expected(None))
    monkeypatch.setattr(transfers, "_MOST_BYTES", len(DATA) - 1)
    with pytest.raises(DownloadError, match="has 300000 bytes, expected at most 299999"):
        fetch(served, target, Expected(None))
    assert only_target(target)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://[::1/x", "makes no sense|cannot be fetched"),
        ("/\xff\xfe", "makes no sense|HTTP 404"),
        (f"http://{'x' * 100}.org/", "makes no sense|cannot be fetched"),
    ],
)
def test_ways_that_lead_nowhere(served: Site, target: Path, location: str, message: str) -> None:
    served.location = location
    served.plan = ["redirect"]
    with pytest.raises(DownloadError, match=message):
        fetch(served, target)


def test_passwords_are_not_told(served: Site, target: Path) -> None:
    address = served.address.replace("http://", "http://me:p@ss@")
    for plan, said in (
        ([404], "HTTP 404"),
        ([500] * 3, "could not be fetched"),
        ([], "expected 5"),
    ):
        served.plan = list(plan)
        with pytest.raises(DownloadError, match=said) as refused:
            download(f"{address}/file.bin", target, Expected(None, 5), patience=QUICK)
        assert str(refused.value).startswith(f"{served.address}/file.bin ")


def test_a_length_of_many_digits_is_none(served: Site, target: Path) -> None:
    served.length = "9" * 5000
    with pytest.raises(DownloadError, match="could not be fetched"):
        fetch(served, target, Expected(None))


def test_a_secure_address_may_not_lead_to_another(
    served: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever https://… is asked for, the server on the loopback address answers in the clear."""
    get = requests.Session.get

    def clear(session: requests.Session, address: str, **rest: Any) -> requests.Response:
        return get(session, address.replace("https:", "http:"), **rest)

    monkeypatch.setattr(requests.Session, "get", clear)
    with pytest.raises(DownloadError, match=r"https://.* leads to http://.*, which is not secure"):
        download(f"{served.address}/file.bin".replace("http:", "https:"), target, RIGHT)
    assert list(target.parent.iterdir()) == []


def test_certificates_that_are_not_there(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    with pytest.raises(DownloadError, match=r"absent\.pem.*check REQUESTS_CA_BUNDLE"):
        download("https://127.0.0.1:1/x", target, RIGHT, patience=QUICK)


def test_what_cannot_be_written_is_told_as_that(tmp_path: Path, target: Path) -> None:
    resource = pytest.importorskip("resource")
    original = tmp_path / "original.bin"
    original.write_bytes(DATA)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(DATA) // 2, hard))
    try:
        with pytest.raises(PlacingError, match=r"Cannot write .*File too large"):
            download(str(original), target, RIGHT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(target.parent.iterdir()) == []


def test_wrong_length_is_refused_before_it_is_read(served: Site, target: Path) -> None:
    seen: list[int] = []
    with pytest.raises(DownloadError, match="gave 300000 bytes, expected 5"):
        download(
            f"{served.address}/file.bin",
            target,
            Expected(None, 5),
            progress=lambda received, _total: seen.append(received),
        )
    assert seen == []


def test_certificate_that_cannot_be_verified(
    served: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(_session: object, address: str, **_rest: object) -> None:
        asked.append(address)
        raise requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")

    monkeypatch.setattr(requests.Session, "get", refuse)
    with pytest.raises(DownloadError, match=r"certificate that cannot be verified.*REQUESTS_CA"):
        fetch(served, target)
    assert len(asked) == 1


def test_many_files_over_one_connection(served: Site, tmp_path: Path) -> None:
    address = f"{served.address}/file.bin"
    with requests.Session() as session:
        for number in range(3):
            download(address, tmp_path / str(number), RIGHT, patience=QUICK, session=session)
    assert (len(served.requests), served.connections) == (3, 1)


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x", "http://[", "http://", "https://:0/"])
def test_address_of_no_use(target: Path, address: str) -> None:
    with pytest.raises(DownloadError, match=r"c(annot|ould not) be fetched"):
        download(address, target, RIGHT, patience=QUICK)


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
    with pytest.raises(DownloadError, match=r"Cannot write into the folder .*blocked"):
        fetch(served, tmp_path / "blocked" / "file.bin")


def test_target_that_cannot_be_replaced(served: Site, target: Path) -> None:
    target.mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"Cannot write .*file\.bin"):
        fetch(served, target)
    assert only_target(target)


def test_a_target_that_another_process_reads_will_do_if_it_is_right(
    served: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, which replaces no file that is open."""

    def refused(_: Path, target: Path) -> None:
        target.write_bytes(DATA)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    assert fetch(served, target) == target
    assert only_target(target)


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

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import NoReturn

import pytest

from memnet_cli.files import check_writable, is_file, write_atomically


def _names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def test_what_cannot_be_written_is_told_before(tmp_path: Path) -> None:
    check_writable(tmp_path / "a.bin")
    assert _names(tmp_path) == []
    for path in (tmp_path, tmp_path / "none" / "a.bin"):
        with pytest.raises(OSError):
            check_writable(path)


def test_writes_a_new_file_and_replaces_an_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    write_atomically(target, b"first")
    write_atomically(target, b"second, longer")
    write_atomically(target, b"3")
    assert target.read_bytes() == b"3"
    assert _names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_nothing_behind_and_the_old_file_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    failure: BaseException,
    exists: bool,
) -> None:
    target = tmp_path / "a.bin"
    if exists:
        target.write_bytes(b"old")

    def fail(*_: object) -> NoReturn:
        raise failure

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(failure)):
        write_atomically(target, b"new")
    assert _names(tmp_path) == (["a.bin"] if exists else [])
    assert not exists or target.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_really_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    real = Path.open

    def onto_full_disk(self: Path, mode: str = "r") -> object:
        real(self, mode).close()
        return real(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", onto_full_disk)
    with pytest.raises(OSError) as caught:
        write_atomically(target, b"new" * 10_000)
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert _names(tmp_path) == ["a.bin"]
    assert target.read_bytes() == b"old"


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    target, plain = tmp_path / "a.bin", tmp_path / "plain"
    for mask in (0o022, 0o027, 0o077):
        before = os.umask(mask)
        try:
            write_atomically(target, b"data")
            plain.write_bytes(b"data")
        finally:
            os.umask(before)
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
        target.unlink()
        plain.unlink()


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    target.chmod(0o640)
    write_atomically(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    write_atomically(target, b"data")
    assert target.read_bytes() == b"data"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "a.bin", b"data")


def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(tmp_path: Path) -> None:
    original, link = tmp_path / "original", tmp_path / "link"
    original.write_bytes(b"original")
    link.symlink_to(original)
    write_atomically(link, b"new")
    assert original.read_bytes() == b"original"
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"


def test_a_text_that_no_path_can_be_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    assert is_file(tmp_path / "a")
    assert not is_file(tmp_path)
    assert not is_file(Path("x" * 300))
    assert not is_file(Path("nul\0byte"))

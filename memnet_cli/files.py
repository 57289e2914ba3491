"""Writing files whole or not at all; standard library only."""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

#: What files are called while they are written.
TEMPORARY = f".memnet-{'[0-9a-f]' * 16}.part"


def encodable(text: str, encoding: str = "utf-8") -> str:
    """Escape as JSON does what the encoding has no letters for.

    In UTF-8 these are the bytes of file names that are no UTF-8: E9 becomes \\udce9.
    """
    return text.encode(encoding, "json").decode(encoding)


def _as_json(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("json", _as_json)


def is_file(path: Path) -> bool:
    """Say whether there is a file, also for a text that no path can be, such as 300 letters."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Say whether something is there; False too where that may not be known, or cannot be a path.

    What then writes there says why it cannot.
    """
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def check_writable(path: Path) -> None:
    """Make sure, before anything slow begins, that a file can be written at ``path``.

    Raises:
        OSError: if it is a folder, or in none that can be written.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def prepare(path: Path) -> None:
    """Make the folder of a file to come, and make sure that it can be written there.

    Raises:
        OSError: if not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    check_writable(path)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the whole new one.

    A temporary file beside the target is written, synced and renamed; on any failure, Ctrl-C
    included, it is removed and the old file is untouched. A new file gets the permissions that
    any new file gets here, a replaced one keeps those that it had.

    Raises:
        OSError: if the folder cannot be written or the disk is full.
    """
    # a short name of its own: the target's may already be as long as the file system allows
    temporary = path.parent / f".memnet-{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)  # noqa: PTH105 (the call whose failure the tests act out)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        with contextlib.suppress(OSError):
            temporary.chmod(0o600)  # Windows removes no file that is read-only, as the old one was
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def sweep(folder: Path, *, older_than: float = 0.0) -> None:
    """Remove what processes that were killed while they wrote have left in a folder.

    Args:
        folder: where it is.
        older_than: seconds, for a folder into which others may be writing.
    """
    for left in folder.glob(TEMPORARY):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime >= older_than:
                left.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable where the system lets a folder be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

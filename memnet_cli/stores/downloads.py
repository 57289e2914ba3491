"""Fetching one file over HTTP or from a folder: verified, resumed, retried, never half there.

pooch would do for whole files, but it starts a cut transfer from the beginning and does not back
off; weights and datasets come over lines where that matters.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from memnet_cli.errors import DownloadError, PlacingError
from memnet_cli.stores.transfers import (
    DEFAULT_PATIENCE,
    Patience,
    Progress,
    transfer,
    wrong_size,
)

if TYPE_CHECKING:
    import requests

__all__ = [
    "DEFAULT_PATIENCE",
    "Expected",
    "Patience",
    "Progress",
    "download",
    "file_sha256",
    "is_sound",
    "join_address",
    "without_password",
]

_CHUNK = 1 << 16
#: A user's name and password in an address.
_NAMED = re.compile(r"\w+://([^/]*@)")


@dataclass(frozen=True)
class Expected:
    """What the file must be.

    Attributes:
        sha256: hex digest, or None where nobody has published one.
        size: bytes, or None where it is not known.
    """

    sha256: str | None
    size: int | None = None


def file_sha256(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as file:
        return _digest(file)


def _digest(file: BinaryIO) -> str:
    # hashlib.file_digest came with Python 3.11 only
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def is_sound(path: Path, expected: Expected) -> bool:
    """Say whether ``path`` is a file with the expected size and content."""
    try:
        if not path.is_file():
            return False
        if expected.size is not None and path.stat().st_size != expected.size:
            return False
        return expected.sha256 is None or file_sha256(path) == expected.sha256
    except OSError:
        return False


def join_address(base: str, path: str) -> str:
    """Return the address of ``path`` below ``base``, which is a URL or a local folder.

    Raises:
        DownloadError: for a URL without a server.
    """
    if (bare := base.rstrip("/")).lower() in {"http:", "https:"}:
        raise DownloadError(f"'{base}' names no server: expected such as https://host/folder.")
    return f"{bare}/{path}"


def download(
    address: str,
    target: Path,
    expected: Expected,
    *,
    progress: Progress | None = None,
    patience: Patience = DEFAULT_PATIENCE,
    session: requests.Session | None = None,
) -> Path:
    """Fetch ``address`` to ``target``, verify it, and put it in place by rename.

    ``address`` is an http(s) or file URL, or a local path. A cut transfer is continued where the
    server allows it (Range with If-Range, answered by a matching Content-Range), else begun
    again. Two processes that fetch the same file do not disturb each other: each has its own
    temporary file, and whoever renames last puts the same bytes in place. With a ``session`` many
    files come over one connection.

    Raises:
        DownloadError: if the file is not there or is not what was expected.
        PlacingError: if it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{target.name}.{secrets.token_hex(8)}"
        file = temporary.open("x+b")
    except OSError as error:
        raise PlacingError(
            f"Cannot write into the folder {target.parent}: {error.strerror}; name another."
        ) from None
    try:
        with file:
            try:
                _fetch(address, file, expected, progress, patience, session)
                _verify(address, file, expected)
            except DownloadError as error:
                raise DownloadError(without_password(str(error), address)) from None
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        # Windows replaces no file that another process reads: it may have the very bytes
        if expected.sha256 is None or not is_sound(target, expected):
            raise PlacingError(f"Cannot write {target}: {error.strerror or error}.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return target


def without_password(text: str, address: str) -> str:
    """Return a text to be shown without the user's name and password of an address in it."""
    named = _NAMED.match(address)
    return text.replace(named[1], "") if named else text


def _verify(address: str, file: BinaryIO, expected: Expected) -> None:
    size = file.seek(0, os.SEEK_END)
    if expected.size is not None and size != expected.size:
        raise DownloadError(wrong_size(address, size, expected.size))
    if expected.sha256 is None:
        return
    file.seek(0)
    digest = _digest(file)
    if digest != expected.sha256:
        raise DownloadError(
            f"{address} gave a file with sha256 {digest[:16]}…, expected "
            f"{expected.sha256[:16]}…: it is damaged or was exchanged; try again or another mirror."
        )


def _fetch(
    address: str,
    file: BinaryIO,
    expected: Expected,
    progress: Progress | None,
    patience: Patience,
    session: requests.Session | None,
) -> None:
    import requests

    scheme, separator, _ = address.partition("://")
    scheme = scheme.lower()
    if scheme in {"http", "https"}:
        with requests.Session() if session is None else contextlib.nullcontext(session) as shared:
            transfer(address, file, expected.size, progress, patience, shared)
    elif not separator:
        _copy(Path(address), file)
    elif scheme == "file":
        try:
            path = url2pathname(urlsplit(address).path)
        except ValueError:
            raise DownloadError(f"{address} is no address of a file.") from None
        _copy(Path(path), file)
    else:
        raise DownloadError(
            f"{address} cannot be fetched: expected an http, https or file address, or a folder."
        )


def _copy(source: Path, file: BinaryIO) -> None:
    """Copy what is read; that it cannot be written is another error than that it cannot be read."""
    try:
        original = source.open("rb")
    except (OSError, ValueError) as error:
        raise DownloadError(_unread(source, error)) from None
    with original:
        while True:
            try:
                chunk = original.read(_CHUNK)
            except OSError as error:
                raise DownloadError(_unread(source, error)) from None
            if not chunk:
                return
            file.write(chunk)


def _unread(source: Path, error: Exception) -> str:
    return f"Cannot read {source}: {getattr(error, 'strerror', None) or error}."

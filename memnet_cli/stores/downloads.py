"""Fetching one file over HTTP or from a folder: verified, resumed, retried, never half there.

pooch would do for whole files, but it starts a cut transfer from the beginning and does not back
off; weights and datasets come over lines where that matters.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests

from memnet_cli.config import __version__
from memnet_cli.errors import DownloadError

#: Told (bytes so far, bytes in all or None).
Progress = Callable[[int, int | None], None]

_CHUNK = 1 << 16
_LONGEST_WAIT = 60.0
_AGENT = f"memnet/{__version__}"


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Attributes:
        attempts: without a byte that was not there before.
        wait: seconds before the second attempt, doubled every time.
        timeout: seconds without an answer or a byte.
    """

    attempts: int = 5
    wait: float = 1.0
    timeout: float = 30.0


@dataclass(frozen=True)
class Expected:
    """What the file must be.

    Attributes:
        sha256: hex digest, or None where nobody has published one.
        size: bytes, or None where it is not known.
    """

    sha256: str | None
    size: int | None = None


#: Used where nothing else is asked for.
DEFAULT_PATIENCE = Patience()


class _PassingError(Exception):
    """A failure that may pass: worth another attempt."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


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
    if not path.is_file():
        return False
    if expected.size is not None and path.stat().st_size != expected.size:
        return False
    return expected.sha256 is None or file_sha256(path) == expected.sha256


def join_address(base: str, path: str) -> str:
    """Return the address of ``path`` below ``base``, which is a URL or a local folder."""
    return f"{base.rstrip('/')}/{path}"


def download(
    address: str,
    target: Path,
    expected: Expected,
    *,
    progress: Progress | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> Path:
    """Fetch ``address`` to ``target``, verify it, and put it in place by rename.

    ``address`` is an http(s) or file URL, or a local path. A cut transfer is continued where the
    server allows it (Range with If-Range, answered by a matching Content-Range), else begun
    again. Two processes that fetch the same file do not disturb each other: each has its own
    temporary file, and whoever renames last puts the same bytes in place.

    Raises:
        DownloadError: if the file is not there, is not what was expected, or cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise DownloadError(f"Cannot write {target}: {error.strerror}.") from None
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _fetch(address, file, progress, patience)
            _verify(address, file, expected)
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise DownloadError(f"Cannot write {target}: {error.strerror or error}.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return target


def _verify(address: str, file: BinaryIO, expected: Expected) -> None:
    size = file.seek(0, os.SEEK_END)
    if expected.size is not None and size != expected.size:
        raise DownloadError(
            f"{address} gave {size} bytes, expected {expected.size}: the source is not the file "
            "that this memnet knows; try again later or another mirror."
        )
    if expected.sha256 is None:
        return
    file.seek(0)
    digest = _digest(file)
    if digest != expected.sha256:
        raise DownloadError(
            f"{address} gave a file with sha256 {digest[:16]}…, expected "
            f"{expected.sha256[:16]}…: it is damaged or was exchanged; try again or another mirror."
        )


def _fetch(address: str, file: BinaryIO, progress: Progress | None, patience: Patience) -> None:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"}:
        local = Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(address)
        _copy(local, file)
        return
    tag: str | None = None
    failures = longest = 0
    with requests.Session() as session:
        while True:
            try:
                have = file.seek(0, os.SEEK_END)
                with _ask(session, address, have, tag, patience.timeout) as answer:
                    have = _resume_point(answer, address, have)
                    tag = _validator(answer)
                    _append(answer, file, have, progress)
                return
            except _PassingError as error:
                size = file.seek(0, os.SEEK_END)
                failures = 1 if size > longest else failures + 1
                longest = max(longest, size)
                if failures >= patience.attempts:
                    raise DownloadError(
                        f"{address} could not be fetched after {failures} attempts ({error}): "
                        "check the network, or name a mirror."
                    ) from None
                wait = error.wait if error.wait is not None else patience.wait * 2 ** (failures - 1)
                time.sleep(min(wait, _LONGEST_WAIT))


def _copy(source: Path, file: BinaryIO) -> None:
    try:
        with source.open("rb") as original:
            shutil.copyfileobj(original, file)
    except OSError as error:
        raise DownloadError(f"Cannot read {source}: {error.strerror}.") from None


@contextlib.contextmanager
def _ask(
    session: requests.Session, address: str, have: int, tag: str | None, timeout: float
) -> Iterator[requests.Response]:
    """Ask for what is missing; failures of the line while the answer is read may pass."""
    # identity: with gzip the ranges would count other bytes
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if have and tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    try:
        with session.get(address, headers=headers, stream=True, timeout=timeout) as answer:
            yield answer
    except requests.Timeout:
        raise _PassingError("no answer in time") from None
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        raise _PassingError("the connection failed or was cut") from None
    except requests.RequestException as error:
        raise DownloadError(f"{address} cannot be fetched: {error}.") from None


def _append(
    answer: requests.Response, file: BinaryIO, have: int, progress: Progress | None
) -> None:
    file.seek(have)
    file.truncate()
    length = answer.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    received = have
    for chunk in answer.iter_content(_CHUNK):
        file.write(chunk)
        received += len(chunk)
        if progress is not None:
            progress(received, total)
    if total is not None and received < total:
        raise _PassingError(f"cut off at {received} of {total} bytes")


def _resume_point(answer: requests.Response, address: str, have: int) -> int:
    """Return the offset at which the answer's body belongs; 0 where the server starts anew."""
    status = answer.status_code
    if status == requests.codes.partial_content:
        if answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            return have
        raise DownloadError(
            f"{address} answered with another part of the file than was asked for: "
            "try another mirror."
        )
    if status == requests.codes.ok:
        return 0
    if status in {408, 425, 429} or status >= 500:
        raise _PassingError(f"HTTP {status}", _retry_after(answer))
    raise DownloadError(
        f"{address} answered HTTP {status}: the file is not there; check the address or name a "
        "mirror."
    )


def _retry_after(answer: requests.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _validator(answer: requests.Response) -> str | None:
    tag = answer.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified")

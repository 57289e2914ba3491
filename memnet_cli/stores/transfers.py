"""One file over HTTP: continued after a cut, tried again while that may help."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO

from memnet_cli.config import __version__
from memnet_cli.errors import DownloadError

if TYPE_CHECKING:
    import requests  # takes a tenth of a second, and most commands fetch nothing

#: Told (bytes so far, bytes in all or None).
Progress = Callable[[int, int | None], None]

_CHUNK = 1 << 16
_LONGEST_WAIT = 60.0
#: A file whose size nobody has told may have so many bytes, and announce so many digits of them.
_MOST_BYTES, _MOST_DIGITS = 1 << 30, 18
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


#: Used where nothing else is asked for.
DEFAULT_PATIENCE = Patience()


class _PassingError(Exception):
    """A failure that may pass: worth another attempt, from the beginning if ``anew``."""

    def __init__(self, reason: str, wait: float | None = None, anew: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.anew = anew


def wrong_size(address: str, size: int, expected: int) -> str:
    """Say that an address gave something else than the file that was wanted."""
    return (
        f"{address} gave {size} bytes, expected {expected}: the source is not the file that this "
        "memnet knows; try again later or another mirror."
    )


def transfer(
    address: str,
    file: BinaryIO,
    size: int | None,
    progress: Progress | None,
    patience: Patience,
    session: requests.Session,
) -> None:
    """Write what ``address`` gives to an empty file of ``size`` bytes, where that is known.

    A cut transfer is continued with Range and If-Range where the answer carried a validator, else
    begun again; timeouts, failed connections, 408, 425, 429 and 5xx are tried again after growing
    waits, or after what Retry-After asks for, but never more than a minute.

    Raises:
        DownloadError: if the patience is at its end, at once for other answers.
        OSError: if the file cannot be written.
    """
    tag: str | None = None
    failures = longest = 0
    while True:
        try:
            have = file.seek(0, os.SEEK_END)
            with _ask(session, address, have, tag, patience.timeout) as answer:
                have = _resume_point(answer, address, have)
                tag = _validator(answer)
                total = _announced(answer, address, have, size)
                _append(answer, address, file, have, total, progress)
            return
        except _PassingError as error:
            tag = None if error.anew else tag
            reached = file.seek(0, os.SEEK_END)
            failures = 1 if reached > longest else failures + 1
            longest = max(longest, reached)
            if failures >= patience.attempts:
                raise DownloadError(
                    f"{address} could not be fetched after {failures} attempts ({error}): check "
                    "the network, or try later."
                ) from None
            wait = error.wait if error.wait is not None else patience.wait * 2 ** (failures - 1)
            time.sleep(min(wait, _LONGEST_WAIT))


@contextlib.contextmanager
def _ask(
    session: requests.Session, address: str, have: int, tag: str | None, timeout: float
) -> Iterator[requests.Response]:
    """Ask for what is missing; failures of the line while the answer is read may pass."""
    import requests

    # identity: with gzip the ranges would count other bytes
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if have and tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    try:
        try:
            answer = session.get(address, headers=headers, stream=True, timeout=timeout)
        except requests.RequestException:
            raise
        except OSError as error:  # of the certificates; of the file that is written it is another
            raise DownloadError(
                f"{address} cannot be fetched ({error}): check REQUESTS_CA_BUNDLE."
            ) from None
        except ValueError:
            raise DownloadError(
                f"{address} cannot be fetched: it leads to an address that makes no sense."
            ) from None
        with answer:
            _check_secure(address, answer)
            yield answer
    except requests.exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            raise _PassingError("the secure connection failed") from None
        raise DownloadError(
            f"{address} shows a certificate that cannot be verified: check the clock, or name your "
            "network's certificates in REQUESTS_CA_BUNDLE."
        ) from None
    except requests.Timeout:
        raise _PassingError("no answer in time") from None
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        raise _PassingError("the connection failed or was cut") from None
    except requests.exceptions.ContentDecodingError:
        raise _PassingError("what came cannot be unpacked", anew=True) from None
    except requests.RequestException as error:
        reason = str(error).rstrip(".")
        raise DownloadError(f"{address} cannot be fetched: {reason}.") from None


def _check_secure(address: str, answer: requests.Response) -> None:
    """Refuse what came in the clear although the address is of https."""
    came = [step.url.lower() for step in (*answer.history, answer)]
    if address.lower().startswith("https:") and not all(url.startswith("https:") for url in came):
        raise DownloadError(
            f"{address} leads to {came[-1]}, which is not secure: expected https all the way."
        )


def _announced(
    answer: requests.Response, address: str, have: int, expected: int | None
) -> int | None:
    """Return the length of the whole file, refusing what cannot be the expected one."""
    length = answer.headers.get("Content-Length", "")
    # a server that encodes although it was asked not to counts the encoded bytes
    told = length.isdecimal() and len(length) <= _MOST_DIGITS
    if not told or "Content-Encoding" in answer.headers:
        return expected
    total = have + int(length)
    if expected is not None and total != expected:
        raise DownloadError(wrong_size(address, total, expected))
    if expected is None and total > _MOST_BYTES:
        raise DownloadError(f"{address} has {total} bytes, expected at most {_MOST_BYTES}.")
    return total


def _append(
    answer: requests.Response,
    address: str,
    file: BinaryIO,
    have: int,
    total: int | None,
    progress: Progress | None,
) -> None:
    file.seek(have)
    file.truncate()
    received = have
    for chunk in answer.iter_content(_CHUNK):
        file.write(chunk)
        received += len(chunk)
        if progress is not None:
            progress(received, total)
        if total is not None and received > total:
            return  # _verify will tell; an endless answer must not fill the disk
        if total is None and received > _MOST_BYTES:
            raise DownloadError(
                f"{address} gave more than {_MOST_BYTES} bytes: try another mirror."
            )
    if total is not None and received < total:
        raise _PassingError(f"cut off at {received} of {total} bytes")


def _resume_point(answer: requests.Response, address: str, have: int) -> int:
    """Return the offset at which the answer's body belongs; 0 where the server starts anew."""
    status = answer.status_code
    if status == HTTPStatus.PARTIAL_CONTENT:
        if answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            return have
        raise DownloadError(
            f"{address} answered with another part of the file than was asked for: "
            "try another mirror."
        )
    if status == HTTPStatus.OK:
        return 0
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise _PassingError(f"nothing follows the first {have} bytes", anew=True)
    if status in {408, 425, 429} or status >= 500:
        raise _PassingError(f"HTTP {status}", _retry_after(answer))
    what = "the file is not there" if status in {404, 410} else "the file is not given out"
    raise DownloadError(
        f"{address} answered HTTP {status}: {what}; check the address or name a mirror."
    )


def _retry_after(answer: requests.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _validator(answer: requests.Response) -> str | None:
    if "Content-Encoding" in answer.headers:  # of which ranges would count other bytes
        return None
    tag = answer.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified")

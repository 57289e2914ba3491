"""Every failure that a user can meet, each with the exit code that the command line gives it.

The message of each error is one sentence: what was got, what was expected, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Of a text of others, such as a name in a file, more is not repeated in a message.
_LONGEST = 100


class MemnetError(Exception):
    """A failure to be told in one sentence; the command ends with ``exit_code``."""

    exit_code: int = 1


class UsageError(MemnetError):
    """Options or arguments that are wrong or do not go together."""

    exit_code = 2


class ImageError(MemnetError):
    """A file that is not a usable picture, or a picture that cannot be written."""


class WeightsError(MemnetError):
    """A weights file that is missing, damaged, or made for something else."""

    exit_code = 2


class DatasetError(MemnetError):
    """A dataset that is unknown, missing, or empty."""

    exit_code = 2


class DeviceError(MemnetError):
    """A device or precision that was asked for by name and is not there."""

    exit_code = 2


class DownloadError(MemnetError):
    """A download that failed for good."""


class PlacingError(DownloadError):
    """A download that cannot be written where it should lie."""


class TrainingError(MemnetError):
    """A training run that had to stop: NaN loss, full disk, damaged checkpoint."""


def shortened(text: str) -> str:
    """Return a text of others as a message can hold it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word nearest to ``name``, or nothing.

    >>> did_you_mean("Set15", ["BSD100", "Set14"])
    " Did you mean 'Set14'?"
    >>> did_you_mean("xyz", ["Set14"])
    ''
    """
    if len(name) > _LONGEST:
        return ""
    by_folded = {word.casefold(): word for word in known}
    nearest = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f" Did you mean '{by_folded[nearest[0]]}'?" if nearest else ""

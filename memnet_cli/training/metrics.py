"""What a run says of its steps and scores: metrics.jsonl, one JSON object a line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from memnet_cli.errors import TrainingError
from memnet_cli.files import write_atomically
from memnet_cli.training.events import Event, Measured, Progress
from memnet_cli.training.records import RunFolder


def best_told(folder: RunFolder) -> float | None:
    """Return the mean PSNR over levels of the measurement that best.safetensors is from, in dB."""
    entry = _newest_best(read_metrics(folder))
    if entry is None:
        return None
    psnr = [float(score["psnr"]) for score in entry["scores"].values()]
    return sum(psnr) / len(psnr)


def _newest_best(entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    of_best = (e for e in reversed(entries) if e.get("kind") == "validation" and e.get("best"))
    return next(of_best, None)


def keep_until(folder: RunFolder, step: int) -> None:
    """Drop the metrics of steps after ``step``, which a resumed run does once more.

    The measurement that best.safetensors is from stays whatever its step: the file stays, too.

    Raises:
        TrainingError: if the disk is full.
    """
    entries = read_metrics(folder)
    best = _newest_best(entries)
    lines = [json.dumps(e) + "\n" for e in entries if e["step"] <= step or e is best]
    try:
        write_atomically(folder.metrics, "".join(lines).encode())
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: RunFolder, error: OSError) -> TrainingError:
    return TrainingError(
        f"Cannot write to {folder.metrics} ({error.strerror}): the last checkpoint is intact; "
        "make room and go on with --resume."
    )


def read_metrics(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the entries of metrics.jsonl; lines that were cut off or changed are left out."""
    if not folder.metrics.is_file():
        return []
    entries = []
    for line in folder.metrics.read_text("utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and _is_sound(entry):
            entries.append(entry)
    return entries


def _is_sound(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry has what is read of those that :func:`record` writes."""
    if not isinstance(entry.get("step"), int) or not _is_number(entry.get("seconds")):
        return False
    if entry.get("kind") == "train":
        return _is_number(entry.get("loss")) and _is_number(entry.get("lr"))
    scores = entry.get("scores")
    return (
        entry.get("kind") == "validation"
        and isinstance(entry.get("dataset"), str)
        and isinstance(scores, dict)
        and bool(scores)
        and all(level.isdecimal() for level in scores)
        and all(isinstance(s, dict) and _is_number(s.get("psnr")) for s in scores.values())
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def record(folder: RunFolder, event: Event) -> None:
    """Append progress and scores to metrics.jsonl.

    Raises:
        TrainingError: if the disk is full.
    """
    if not isinstance(event, Progress | Measured):
        return
    kind = "train" if isinstance(event, Progress) else "validation"
    entry = {"kind": kind, **dataclasses.asdict(event)}
    try:
        with folder.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise _unwritable(folder, error) from None

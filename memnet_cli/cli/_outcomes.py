"""What ``memnet restore`` says while and after it works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memnet_cli.cli._console import err, out, print_error, print_warning, printable

if TYPE_CHECKING:
    from memnet_cli.restoration.folder import Outcome, Settings
    from memnet_cli.restoration.restorer import Restorer

STREAM = "-"


@dataclass(frozen=True)
class Report:
    """What the command says while and after it works."""

    json: bool
    quiet: bool
    to_stdout: bool
    """The picture itself goes to standard output, so nothing else may."""


def tell(outcome: Outcome, report: Report) -> None:
    """Say at once what a user must know about one picture."""
    if outcome.error is not None:
        print_error(outcome.error)
    elif not report.quiet and not report.json and outcome.status != "skipped":
        notes = list(outcome.notes)
        if outcome.tile_difference is not None:
            notes.append(f"tiled against whole: {outcome.tile_difference * 255:.4f}/255")
        if notes:
            err.print(printable(f"{outcome.job.name}: {'; '.join(notes)}"))


def summarise(
    outcomes: Sequence[Outcome],
    settings: Settings,
    restorers: Mapping[str, Restorer],
    seconds: float,
    report: Report,
) -> None:
    """Print how many pictures of the folder came to what, how fast, and by which weights."""
    counts = Counter(outcome.status for outcome in outcomes)
    done = [outcome.size for outcome in outcomes if outcome.status == "restored" and outcome.size]
    pixels = sum(width * height for width, height in done)
    restorer = next(iter(restorers.values()))
    parts = [
        ", ".join(f"{number} {status}" for status, number in counts.items()) or "nothing done",
        f"{seconds:.1f} s",
        f"{pixels / 1e6 / seconds:.3g} MP/s",
        f"device {restorer.engine.runtime}",
        "weights " + ", ".join(item.weights.stem for item in _used(outcomes, restorers)),
    ]
    if settings.scale is not None:
        trained = restorer.trained_scale(settings.scale)
        if trained != settings.scale:
            parts.append(f"scale {settings.scale:g} made at x{trained} and resized bicubically")
    (err if report.to_stdout else out).print(" · ".join(parts))
    if set(counts) == {"skipped"}:
        print_warning("Every output exists already: give --overwrite to make them again.")


def _used(outcomes: Iterable[Outcome], restorers: Mapping[str, Restorer]) -> list[Restorer]:
    """Return those that restored a picture, or all if none did."""
    names = {name for one in outcomes if one.status == "restored" for name in one.weights}
    used = [restorer for restorer in restorers.values() if restorer.weights.stem in names]
    return used or list(restorers.values())


def document(
    outcomes: Sequence[Outcome],
    restorers: Mapping[str, Restorer],
    seconds: float,
    interrupted: bool,
) -> dict[str, object]:
    """Return what ``--json`` prints of the folder."""
    restorer = next(iter(restorers.values()))
    return {
        "device": str(restorer.engine.runtime.device),
        "precision": restorer.engine.runtime.precision,
        "weights": {
            task: {"name": item.weights.stem, "sha256": item.weights_hash}
            for task, item in restorers.items()
        },
        "seconds": round(seconds, 3),
        "interrupted": interrupted,
        "counts": dict(Counter(outcome.status for outcome in outcomes)),
        "files": [_entry(outcome) for outcome in outcomes],
    }


def _entry(outcome: Outcome) -> dict[str, object]:
    job = outcome.job
    return {
        "input": STREAM if job.source is None else str(job.source),
        "output": STREAM if job.target is None else str(job.target),
        "status": outcome.status,
        "task": outcome.task,
        "weights": outcome.weights,
        "deblocked": outcome.deblocked,
        "seconds": round(outcome.seconds, 3),
        "size": outcome.size,
        "bytes": outcome.bytes,
        "notes": outcome.notes,
        "tile_difference": outcome.tile_difference,
        "error": outcome.error,
    }

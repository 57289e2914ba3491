"""Running an ablation: every variant with every seed, each run in a folder of its own.

Nothing here imports torch before the first run starts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memnet_cli.config import __version__
from memnet_cli.errors import UsageError
from memnet_cli.files import encodable, write_atomically
from memnet_cli.training.ablation_plan import PlannedRun
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.data import TrainingData, gather_data
from memnet_cli.training.events import Say
from memnet_cli.training.records import stored_identity
from memnet_cli.training.stopping import stop_requests

if TYPE_CHECKING:
    from memnet_cli.evaluation.benchmark import LevelScores


@dataclass(frozen=True)
class RunScore:
    """What one run reached.

    Attributes:
        variant, seed: which run.
        psnr: mean over the pictures at the level that is compared, dB.
        ssim: likewise.
        images: picture -> PSNR in dB.
        dataset: what was measured on.
        steps, pixels, seconds: what it was trained with.
    """

    variant: str
    seed: int
    psnr: float
    ssim: float
    images: Mapping[str, float]
    dataset: str
    steps: int
    pixels: int
    seconds: float


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all.

    Raises:
        UsageError: if the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, encodable(text).encode())
    except OSError as error:
        raise UsageError(
            f"Cannot write {path} ({error.strerror}): give another place, or make room."
        ) from None


def read_score(run: PlannedRun, pictures: Mapping[str, str]) -> RunScore | None:
    """Return the score of a finished run, or None.

    Raises:
        UsageError: if it saw other pictures, by :func:`fingerprints`, or cannot be understood.
    """
    try:
        document = json.loads(run.result.read_text("utf-8"))
        if document["pictures"] != pictures:
            raise UsageError(
                f"{run.result} was measured with other pictures: put them back, or give another "
                "--out."
            )
        score: dict[str, Any] = document["score"]
        return RunScore(**{**score, "variant": run.variant})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{run.result} cannot be understood: remove it to measure the run again."
        ) from None


def fingerprints(data: TrainingData) -> dict[str, str]:
    """Return digests of the pictures that are trained and measured on."""
    return {"training": data.fingerprint, "measured": data.measured}


def do_run(run: PlannedRun, data: TrainingData, level: int, say: Say) -> RunScore | None:
    """Train, or go on training, one run, and keep its score; None if somebody asked to stop.

    Raises:
        MemnetError: as ``memnet train`` does.
    """
    from memnet_cli.training.loop import train

    config = replace(run.config, resume=stored_identity(run.config.out) is not None)
    result = train(config, data, say, time.monotonic())
    if not result.finished:
        return None
    scores = result.scores.get(level)
    if scores is None or len(scores.images) < len(data.validation.images):
        # a budget in time may end with fewer pictures, which other runs cannot be compared with
        scores = _measure(result.weights, run.config, data).get(level)
    if scores is None:
        return None
    score = RunScore(
        variant=run.variant,
        seed=run.seed,
        psnr=scores.psnr,
        ssim=scores.ssim,
        images={image.name: image.psnr for image in scores.images},
        dataset=data.validation.name,
        steps=result.step,
        pixels=result.pixels,
        seconds=result.seconds,
    )
    document = {"memnet": __version__, "pictures": fingerprints(data), "score": score.__dict__}
    write_text(run.result, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return score


def _measure(weights: Path, config: TrainingConfig, data: TrainingData) -> dict[int, LevelScores]:
    """Measure all pictures with the weights of a finished run, however long it takes."""
    from memnet_cli.checkpoints import load_weights
    from memnet_cli.restoration.devices import resolve_runtime
    from memnet_cli.training.validation import measure

    runtime = resolve_runtime(config.machine.device, config.machine.precision)
    model, info = load_weights(weights)
    with stop_requests() as stop:
        scores = measure(data.validation, model.to(runtime.device), runtime, info.patch, stop)
        return {} if stop.asked() else scores


#: Told of a run before it starts: its place from 1, which, and its score if it is done already.
Announce = Callable[[int, PlannedRun, RunScore | None], None]


def do_runs(
    runs: Sequence[PlannedRun],
    level: int,
    announce: Announce,
    say: Say,
    keep: Callable[[tuple[RunScore, ...]], None],
) -> bool:
    """Do all runs that are not done yet; ``keep`` gets all scores so far.

    Whoever asks to stop, also when a run is all but over, has asked for all that are left.

    Returns:
        Whether all are done; else somebody asked to stop.

    Raises:
        UsageError: if a finished run saw other pictures.
        DatasetError: for no pictures.
    """
    data = gather_data(runs[0].config)
    pictures = fingerprints(data)
    found = {run.result: score for run in runs if (score := read_score(run, pictures)) is not None}
    keep(tuple(found.values()))  # a folder that cannot be written is known before any training
    with stop_requests() as stop:
        for place, run in enumerate(runs, 1):
            done = found.get(run.result)
            if done is None and stop.asked():
                return False
            announce(place, run, done)
            if done is not None:
                continue
            score = do_run(run, gather_data(run.config), level, say)
            if score is None:
                return False
            found[run.result] = score
            keep(tuple(found.values()))
    return True

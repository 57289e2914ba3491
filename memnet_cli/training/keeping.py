"""What a run tells, measures and keeps on its way."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import TypeGuard

import torch
from torch import Tensor, nn

from memnet_cli.checkpoints import WeightsInfo, save_weights
from memnet_cli.errors import TrainingError
from memnet_cli.evaluation.benchmark import LevelScores
from memnet_cli.models import config_to_mapping
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.memnet import MemNet
from memnet_cli.training.averaging import recalibrate
from memnet_cli.training.curves import draw_curves
from memnet_cli.training.events import Measured, Note, Progress, Saved
from memnet_cli.training.growth import recursions_of
from memnet_cli.training.losses import loss_of_white_for_black
from memnet_cli.training.refitting import refit_ensemble
from memnet_cli.training.session import Session
from memnet_cli.training.state import checkpoints, save_checkpoint
from memnet_cli.training.throughput import Meter
from memnet_cli.training.trainee import Trainee, checkpoint_of
from memnet_cli.training.validation import mean_psnr, measure, seconds_per_pixel

#: A training step costs about three passes: forward, and backward twice that.
_PASSES = 3
#: The network itself, which is fitted, against the faster function that is measured.
_FITTING_SLOWER = 1.5
#: Reading, degrading and scoring one picture, mostly SSIM.
_SCORING_SECONDS = 0.3
#: By this step every network that learns gives pictures, whatever it began with.
_SETTLED = 200


def report(session: Session, trainee: Trainee, meter: Meter) -> None:
    """Tell how the steps since the last report went.

    Raises:
        TrainingError: for a loss that is not a number any more, or larger than a picture's can be.
    """
    loss = meter.mean_loss()
    _refuse_breakdown(session, trainee, loss, meter.mean_loss(last=10))
    clock, seconds = session.clock, max(meter.seconds, 1e-9)
    patches = meter.steps * session.config.recipe.batch
    rate = meter.pixels / seconds
    flops = 2 * _PASSES * trainee.multiply_adds * rate
    session.tell(
        Progress(
            step=trainee.step,
            progress=trainee.progress,
            seconds=clock.elapsed(),
            seconds_left=clock.seconds_left(trainee.progress),
            loss=loss,
            lr=trainee.optimizers[0].param_groups[0]["lr"],
            recursions=recursions_of(trainee.model),
            steps_per_second=meter.steps / seconds,
            patches_per_second=patches / seconds,
            pixels_per_second=rate,
            peak_share=flops / (session.conv_peak * session.world.size),
            data_share=meter.data_share(),
        )
    )


def _refuse_breakdown(session: Session, trainee: Trainee, loss: float, latest: float) -> None:
    """Raise TrainingError for a run that no further step will bring back.

    Args:
        session: has the loss and the patches.
        trainee: after the steps.
        loss: the mean since the last report; one step that is no number spoils it.
        latest: the mean of the last steps; those before may be of a network that knew nothing yet.
    """
    if not (math.isfinite(loss) and _finite(trainee)):
        kept = ""
        if checkpoints(session.folder.checkpoints):
            kept = ": checkpoints written before it are intact"
        raise TrainingError(
            f"Training broke down by step {trainee.step} (loss {loss:g}; loss or weights are no "
            f"numbers any more){kept}; "
            "try a lower --set lr=... or a tighter --set clip=..."
        )
    largest = loss_of_white_for_black(session.config.recipe)
    if trainee.step >= _SETTLED and latest > largest:
        raise TrainingError(
            f"Training broke down by step {trainee.step}: its loss is {latest:g}, and white for "
            f"black everywhere would be {largest:g}; start again with a lower --set lr=... or a "
            "tighter --set clip=..."
        )


def _finite(trainee: Trainee) -> bool:
    """Say whether all weights are numbers; one that is not spoils their norm."""
    return bool(torch.isfinite(nn.utils.get_total_norm(trainee.model.parameters())))


def described(session: Session, trainee: Trainee, scores: dict[int, LevelScores]) -> WeightsInfo:
    """Return what the weights of now say about themselves."""
    origin = session.data.origin
    validation = session.data.validation
    every = all(len(score.images) == len(validation.images) for score in scores.values())
    measured = {
        validation.name: {
            str(level): {"psnr": round(score.psnr, 4), "ssim": round(score.ssim, 6)}
            for level, score in scores.items()
        }
    }
    return dataclasses.replace(
        origin,
        config=config_to_mapping(trainee.model.config),
        steps=origin.steps + trainee.step,
        pixels_seen=origin.pixels_seen + trainee.pixels,
        scores=measured if scores and every and validation.whole else {},
    )


def save(session: Session, trainee: Trainee) -> None:
    """Write a checkpoint and last.safetensors; only the leading process does.

    Raises:
        TrainingError: if the disk is full; the earlier checkpoint is intact.
    """
    if not session.world.leads:
        return
    config, data = session.config, session.data
    fingerprints = data.fingerprint, data.measured
    checkpoint = checkpoint_of(trainee, session.clock.elapsed(), *fingerprints, str(config.budget))
    path = save_checkpoint(session.folder.checkpoints, checkpoint, config.machine.keep)
    keep_weights(session, trainee, "last", {})
    session.tell(Saved(trainee.step, path.name))


def keep_weights(
    session: Session, trainee: Trainee, which: str, scores: dict[int, LevelScores]
) -> None:
    """Write last.safetensors or best.safetensors.

    Raises:
        TrainingError: if it cannot be written.
    """
    path = session.folder.weights(which)
    try:
        save_weights(path, trainee.result, described(session, trainee, scores))
    except OSError as error:
        raise TrainingError(
            f"Cannot write {path} ({error.strerror}): the last checkpoint is intact; make room "
            "and go on with --resume."
        ) from None


def measure_and_keep(
    session: Session, trainee: Trainee, deadline: float | None = None
) -> dict[int, LevelScores]:
    """Measure the result of now, and keep it as best.safetensors if it is the best so far.

    Scores of fewer pictures than usual, because of the ``deadline``, are told but not compared.

    Returns:
        The scores; none in other processes, without pictures, or if somebody asked to stop.
    """
    validation, stop = session.data.validation, session.stop
    if not session.world.leads or not validation.images or stop.asked():
        return {}
    start = time.monotonic()
    patch = session.config.recipe.patch
    scores = measure(validation, trainee.result, session.runtime, patch, stop, deadline)
    if stop.asked():
        return {}
    took = time.monotonic() - start
    count = len(scores[validation.levels[0]].images)
    whole = count == len(validation.images)
    if not whole:
        session.tell(Note(f"Time is up: only {count} of {len(validation.images)} are measured."))
        name = f"{validation.name}, first {count}"
        scores = {level: dataclasses.replace(s, dataset=name) for level, s in scores.items()}
    best = whole and (trainee.best is None or mean_psnr(scores) > trainee.best)
    if best:
        trainee.best = mean_psnr(scores)
        keep_weights(session, trainee, "best", scores)
    session.clock.expect_measuring(took * largest_cost(session, trainee) / trainee.multiply_adds)
    session.tell(
        Measured(
            step=trainee.step,
            seconds=session.clock.elapsed(),
            dataset=scores[validation.levels[0]].dataset,
            scores={
                level: {"psnr": score.psnr, "ssim": score.ssim} for level, score in scores.items()
            },
            best=best,
            took=took,
        )
    )
    return scores


def largest_cost(session: Session, trainee: Trainee) -> float:
    """Return the multiply-adds a pixel of the network that the run ends with."""
    now = recursions_of(trainee.model)
    last = max(session.config.recipe.grow_to, default=0)
    # recursions are nearly all of the cost, and each costs the same
    return trainee.multiply_adds * (last / now if last > now > 0 else 1.0)


def forecast_measuring(session: Session, trainee: Trainee) -> None:
    """Expect the end of the run to take what a trial on a small plane says."""
    validation, recipe = session.data.validation, session.config.recipe
    batches = recipe.refit * _has_ensemble(trainee.result) + recipe.recalibrate
    if not session.world.leads or not (validation.images or batches):
        return
    pace = seconds_per_pixel(trainee.result, session.runtime, recipe.patch)
    pace *= largest_cost(session, trainee) / trainee.multiply_adds
    scoring = _SCORING_SECONDS * len(validation.images) * len(validation.levels)
    pixels = sum(validation.pixels(image) for image in validation.images)
    session.clock.expect_measuring(pace * pixels + scoring)
    patches = batches * recipe.batch * recipe.patch**2
    session.clock.expect_fitting(_FITTING_SLOWER * pace * patches)


def _next_batches(
    session: Session, trainee: Trainee, count: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield whole batches, clean and degraded, as the next steps would take them."""
    for step in range(trainee.step, trainee.step + count):
        yield session.batch(step, slice(None))


def _plain(session: Session) -> Session:
    """Return the session with patches from anywhere in the photographs.

    Drawings and hard patches, whose errors are larger, would have the ensemble for themselves, and
    chroma is restored by the same one.
    """
    sampler = dataclasses.replace(session.sampler, drawn=0.0, coloured=0.0, hardest_of=1)
    return dataclasses.replace(session, sampler=sampler)


def _has_ensemble(model: RestorationModel) -> TypeGuard[MemNet]:
    return isinstance(model, MemNet) and model.settings.multi_supervised


def finish(session: Session, trainee: Trainee, deadline: float | None) -> dict[int, LevelScores]:
    """Fit BN statistics and ensemble as the recipe says, measure the result, keep it as last.

    Measuring ends by the ``deadline``, see :func:`measure_and_keep`.
    """
    recipe = session.config.recipe
    result = trainee.result
    if recipe.recalibrate and session.world.leads:
        batches = _next_batches(session, trainee, recipe.recalibrate)
        recalibrate(result, (degraded for _, degraded in batches))
    if recipe.refit and session.world.leads and _has_ensemble(result):
        refit_ensemble(result, _next_batches(_plain(session), trainee, recipe.refit))
    if session.world.leads:
        keep_weights(session, trainee, "last", {})
    scores = measure_and_keep(session, trainee, deadline)
    if session.world.leads:
        keep_weights(session, trainee, "last", scores)
        try:
            draw_curves(session.folder)
        except OSError as error:
            session.tell(Note(f"Cannot write curves.png: {error.strerror}."))
    return scores

"""Measuring a run on pictures that it does not train on, with the benchmark's own code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from memnet_cli.evaluation.benchmark import LevelScores, evaluate, read_uint8
from memnet_cli.evaluation.protocols import check_size, shrink_factor
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.nlrn import in_patches
from memnet_cli.restoration.devices import Runtime
from memnet_cli.restoration.engine import Engine, Plane
from memnet_cli.restoration.fast import fast_model
from memnet_cli.training.data import Validation
from memnet_cli.training.stopping import StopRequest

_TRIAL_SIDE = 128


def _engine(model: RestorationModel, runtime: Runtime, patch: int) -> Engine:
    model = in_patches(model.eval(), None, patch)
    fast = fast_model(model, runtime)
    return Engine(
        model=model,
        runtime=runtime,
        tile="auto",
        overlap=model.halo,
        tta=False,
        exit_block=None,
        fast=fast,
    )


def seconds_per_pixel(model: RestorationModel, runtime: Runtime, patch: int) -> float:
    """Time the network on a small plane, the second of two runs; it is left in its mode."""
    was_training = model.training
    engine = _engine(model, runtime, patch)
    plane = np.zeros((_TRIAL_SIDE, _TRIAL_SIDE), np.float32)
    for _ in range(2):
        start = time.perf_counter()
        engine.restore([plane])
        seconds = time.perf_counter() - start
    model.train(was_training)
    return seconds / plane.size


def check_measurable(validation: Validation) -> None:
    """Read every picture once: what is wrong with one is told before the run, not at its end.

    Raises:
        DatasetError: for a picture that is too small for a level.
        ImageError: for a file that is no usable picture.
    """
    shrink = shrink_factor(validation.name, validation.task)
    for image in validation.images:
        height, width = read_uint8(image).shape[:2]
        for level in validation.levels:
            check_size(image.name, height // shrink, width // shrink, validation.task, level)


def measure(
    validation: Validation,
    model: RestorationModel,
    runtime: Runtime,
    patch: int,
    stop: StopRequest,
    deadline: float | None = None,
) -> dict[int, LevelScores]:
    """Return the scores at every level; the model is left in its mode.

    Args:
        validation: pictures and levels.
        model: on its device.
        runtime: device and precision.
        patch: side of the training patches, pixels, which decides how NLRN restores a plane.
        stop: once somebody asks to stop, no further picture is measured.
        deadline: by ``time.monotonic``; pictures that would not be done by then are left out, the
            first never is.
    """
    was_training = model.training
    engine = _engine(model, runtime, patch)

    def restored(degraded: Plane) -> Plane:
        return engine.restore([degraded])[0].plane

    parts: list[dict[int, LevelScores]] = []
    start, done = time.monotonic(), 0
    for image in validation.images:
        pixels = validation.pixels(image)
        expected = (time.monotonic() - start) * pixels / done if done else 0.0
        late = deadline is not None and time.monotonic() + expected > deadline
        if stop.asked() or (late and parts):
            break
        parts.append(
            {
                level: evaluate(restored, [image], validation.task, level, dataset=validation.name)
                for level in validation.levels
            }
        )
        done += pixels
    model.train(was_training)
    if not parts:
        return {}
    return {level: _together([part[level] for part in parts]) for level in validation.levels}


def _together(parts: Sequence[LevelScores]) -> LevelScores:
    """Join the scores of single pictures."""
    images = tuple(image for part in parts for image in part.images)
    return replace(parts[0], images=images)


def mean_psnr(scores: dict[int, LevelScores]) -> float:
    """Return the mean PSNR over levels, by which the states of a run are compared."""
    return float(np.mean([level.psnr for level in scores.values()]))

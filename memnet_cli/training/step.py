"""One optimizer step over this process's part of the batch."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from memnet_cli.evaluation.peaks import wait_for_device
from memnet_cli.training.averaging import freeze_statistics, update_mean
from memnet_cli.training.losses import supervised_loss
from memnet_cli.training.optimizers import clip_gradients, set_rates
from memnet_cli.training.schedule import lr_factor
from memnet_cli.training.session import Session
from memnet_cli.training.throughput import Meter
from memnet_cli.training.trainee import Trainee
from memnet_cli.training.whitening import look_at_inputs

#: On a device that works on its own, making patches is timed in every so many steps only, since
#: timing waits for the device.
_TIMED_EVERY = 25


@dataclass(frozen=True)
class _Gradients:
    """What the passes over a batch leave besides the gradients.

    Attributes:
        loss: of the batch, a scalar on the device.
        data_seconds: in which its patches were made.
    """

    loss: Tensor
    data_seconds: float


def train_step(session: Session, trainee: Trainee, meter: Meter) -> None:
    """Draw a batch, move the weights and count what it took into ``meter``."""
    recipe = session.config.recipe
    epochs = session.config.budget.epochs or recipe.epochs
    factor = lr_factor(recipe, trainee.progress, epochs)
    set_rates(trainee.optimizers, factor)
    if recipe.freeze_statistics:
        freeze_statistics(trainee.model)
    timed = session.runtime.device.type == "cpu" or trainee.step % _TIMED_EVERY == 0
    start = time.perf_counter()
    if timed:
        wait_for_device(session.runtime.device)  # what earlier steps have left to do is no data
    alone = time.perf_counter()
    gradients = _gradients(session, trainee, timed)
    clip_gradients(trainee.model, recipe, recipe.lr * factor)
    for optimizer in trainee.optimizers:
        optimizer.step()
        optimizer.zero_grad()
    trainee.step += 1
    trainee.pixels += recipe.batch * recipe.patch**2
    if trainee.mean is not None:
        update_mean(trainee.mean, trainee.model, recipe.ema, trainee.step)
    if timed:
        wait_for_device(session.runtime.device)
        meter.timed += time.perf_counter() - alone
        meter.timed_data += gradients.data_seconds
    meter.losses.append(gradients.loss)
    meter.steps += 1
    meter.pixels += recipe.batch * recipe.patch**2
    meter.seconds += time.perf_counter() - start


def _gradients(session: Session, trainee: Trainee, timed: bool) -> _Gradients:
    """Add up the gradients of this process's share of the batch, part by part."""
    recipe, world = session.config.recipe, session.world
    share = recipe.batch // world.size
    size = share // recipe.accumulate
    losses, data_seconds = [], 0.0
    for part in range(recipe.accumulate):
        began = time.perf_counter()
        corner = world.rank * share + part * size
        targets, degraded = session.lesson(trainee.step, slice(corner, corner + size))
        if timed:
            wait_for_device(session.runtime.device)
        data_seconds += time.perf_counter() - began
        if part == 0:
            with session.mixed_precision():
                look_at_inputs(trainee.optimizers, trainee.model, degraded, trainee.step, world)
        with _no_exchange(trainee, part < recipe.accumulate - 1):
            loss = _loss(session, trainee, targets, degraded) / recipe.accumulate
            torch.autograd.backward(loss)
        losses.append(loss.detach())
    return _Gradients(torch.stack(losses).sum(), data_seconds)


def _loss(session: Session, trainee: Trainee, targets: Tensor, degraded: Tensor) -> Tensor:
    """Run the network in the run's precision; the loss itself is float32."""
    with session.mixed_precision():
        predictions = trainee.predict(degraded)
    return supervised_loss(predictions, targets, session.config.recipe)


def _no_exchange(trainee: Trainee, early: bool) -> AbstractContextManager[object]:
    """Let gradients add up without exchanging them, for all but the last part of a batch."""
    if early and isinstance(trainee.predict, DistributedDataParallel):
        return trainee.predict.no_sync()
    return nullcontext()

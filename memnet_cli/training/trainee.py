"""The network in training with all that changes from step to step."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from memnet_cli.checkpoints import load_weights
from memnet_cli.errors import UsageError
from memnet_cli.models import build_model, config_from_mapping, config_to_mapping
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.cost import multiply_adds_per_pixel
from memnet_cli.models.gradients import can_train_faster, train_faster
from memnet_cli.models.memnet import MemNet
from memnet_cli.restoration.devices import Runtime, fast_bf16
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.distributed import World
from memnet_cli.training.growth import CHANGES, carry_over, recursions_of, with_recursions
from memnet_cli.training.layout import load_state, placed
from memnet_cli.training.optimizers import build_optimizers
from memnet_cli.training.recomputing import recompute_blocks
from memnet_cli.training.schedule import stage_at
from memnet_cli.training.state import Checkpoint, generator_states, set_generator_states
from memnet_cli.training.synchronised import SynchronisedBatchNorm

Predict = Callable[[Tensor], tuple[Tensor, ...]]


class Supervised(nn.Module):
    """A network whose forward returns every supervised output, for DDP and torch.compile."""

    def __init__(self, model: RestorationModel, sync_bn: bool) -> None:
        super().__init__()
        self.model = model
        self.sync_bn = sync_bn

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return (y_1, ..., y_M, y) or (y,), each (N, 1, H, W)."""
        if not self.sync_bn:
            return self.model.predictions(x)
        with SynchronisedBatchNorm():
            return self.model.predictions(x)


@dataclass
class Trainee:
    """What a run changes as it goes on.

    Attributes:
        model: the network, on its device.
        mean: the running mean of its weights; None without one.
        optimizers: of the model's parameters.
        predict: the model as it is trained: through DDP, torch.compile or neither.
        multiply_adds: of the model for one pixel.
        step: optimizer steps done.
        progress: share of the budget.
        pixels: training pixels seen.
        seconds: wall time of earlier sessions.
        best: best validation score so far.
    """

    model: RestorationModel
    mean: RestorationModel | None
    optimizers: list[Optimizer]
    predict: Predict
    multiply_adds: int
    step: int = 0
    progress: float = 0.0
    pixels: int = 0
    seconds: float = 0.0
    best: float | None = None

    @property
    def result(self) -> RestorationModel:
        """The network that is measured and kept."""
        return self.model if self.mean is None else self.mean


def first_model(config: TrainingConfig) -> RestorationModel:
    """Return the network that a new run starts from: the weights of ``init``, or random ones.

    Raises:
        UsageError: for first weights of another network than the recipe asks for.
        WeightsError: for a file that is no sound weights file.
    """
    torch.manual_seed(config.seed)
    if not config.init:
        return build_model(config.model_config)
    model = _mean_of(config)
    settings = config_to_mapping(model.config)
    for name, value in config.recipe.model.items():
        may_change = name in CHANGES and isinstance(model, MemNet)
        if not may_change and settings[name] != value:
            raise UsageError(
                f"{config.init[0]} has {name} {settings[name]} and the recipe {value}: leave "
                f"model.{name} out of the recipe, or --init."
            )
    for name, change in CHANGES.items():
        wanted = config.recipe.model.get(name)
        if isinstance(wanted, int) and isinstance(model, MemNet) and wanted != settings[name]:
            model = change(model, wanted)
    return model.train()


def _mean_of(config: TrainingConfig) -> RestorationModel:
    """Return the network of the first weights, or of the mean of several.

    Runs from one start lie in one basin of the loss, where the mean of their weights is often
    better than any (Wortsman et al., "Model soups", ICML 2022).
    """
    models: list[RestorationModel] = []
    for path in config.init:
        model, info = load_weights(path)
        if info.model != config.model:
            raise UsageError(
                f"{path} holds weights of {info.model}, not of {config.model}: give "
                f"--model {info.model} or other weights."
            )
        if models and model.config != models[0].config:
            raise UsageError(
                f"{path} is not the same network as {config.init[0]}: expected the same settings, "
                "for the mean of their weights."
            )
        models.append(model)
    states = [model.state_dict() for model in models]
    for name, tensor in states[0].items():
        if tensor.is_floating_point():
            tensor.copy_(torch.stack([state[name] for state in states]).mean(0))
    return models[0]


def new_trainee(config: TrainingConfig, runtime: Runtime, world: World) -> Trainee:
    """Return the start of a run."""
    return _assembled(first_model(config), None, config, runtime, world)


def resumed_trainee(
    config: TrainingConfig, runtime: Runtime, world: World, checkpoint: Checkpoint
) -> Trainee:
    """Return the run as it was when the checkpoint was written."""
    model_config = config_from_mapping(config.model, checkpoint.config)
    model = build_model(model_config)
    model.load_state_dict(checkpoint.model)
    mean = None
    if checkpoint.mean is not None:
        mean = build_model(model_config)
        mean.load_state_dict(checkpoint.mean)
    trainee = _assembled(model, mean, config, runtime, world)
    for optimizer, state in zip(trainee.optimizers, checkpoint.optimizers, strict=True):
        load_state(optimizer, state)
    trainee.step, trainee.progress = checkpoint.step, checkpoint.progress
    trainee.pixels, trainee.seconds = checkpoint.pixels, checkpoint.seconds
    trainee.best = checkpoint.best
    set_generator_states(checkpoint.generators)
    return trainee


def _assembled(
    model: RestorationModel,
    mean: RestorationModel | None,
    config: TrainingConfig,
    runtime: Runtime,
    world: World,
) -> Trainee:
    faster = trains_faster(config, runtime)
    model = placed(model, runtime, faster).train()
    if config.recipe.ema:
        mean = copy.deepcopy(model) if mean is None else placed(mean, runtime, faster).train()
        mean.requires_grad_(False)
    optimizers = build_optimizers(config.recipe, model, fast_bf16(runtime.device))
    cost = multiply_adds_per_pixel(model)
    return Trainee(model, mean, optimizers, wrapped(model, config, runtime, world), cost)


def trains_faster(config: TrainingConfig, runtime: Runtime) -> bool:
    """Say whether the run uses the convolutions of :mod:`memnet_cli.models.gradients`."""
    return not config.machine.compile and can_train_faster(runtime.device, runtime.dtype)


def wrapped(
    model: RestorationModel, config: TrainingConfig, runtime: Runtime, world: World
) -> Predict:
    """Return the model as a function to all its outputs, compiled and distributed as asked."""
    sync_bn = config.machine.sync_bn and world.size > 1
    if trains_faster(config, runtime):
        train_faster(model)
    if config.machine.gradient_checkpointing:
        recompute_blocks(model, sync_bn)
    module: nn.Module = Supervised(model, sync_bn)
    if config.machine.compile:
        module = cast(nn.Module, torch.compile(module, dynamic=False))
    return _distributed(module, runtime) if world.size > 1 else module


def _distributed(module: nn.Module, runtime: Runtime) -> nn.Module:
    """Return the module with its gradients averaged over all processes."""
    on_gpu = runtime.device.type == "cuda"
    # the gates' 1x1 weights have two names for the same memory layout
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    with warnings.catch_warnings():
        # newer torch calls the option forward_sync_buffers, older torch does not know that
        warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
        return nn.parallel.DistributedDataParallel(
            module,
            device_ids=[runtime.device.index] if on_gpu else None,
            broadcast_buffers=False,  # running statistics are not used in training: rank 0's count
            gradient_as_bucket_view=True,
        )


def grow_if_due(trainee: Trainee, config: TrainingConfig, runtime: Runtime, world: World) -> bool:
    """Grow to the stage that the progress has come to; say whether anything changed."""
    stage = stage_at(config.recipe, trainee.progress)
    wanted = config.recipe.grow_to[stage - 1] if stage else 0
    if wanted <= recursions_of(trainee.model):
        return False
    old_model, old_optimizers = trainee.model, trainee.optimizers
    faster = trains_faster(config, runtime)
    trainee.model = placed(with_recursions(old_model, wanted), runtime, faster).train()
    if trainee.mean is not None:
        grown_mean = with_recursions(trainee.mean, wanted).requires_grad_(False)
        trainee.mean = placed(grown_mean, runtime, faster).train()
    trainee.optimizers = build_optimizers(config.recipe, trainee.model, fast_bf16(runtime.device))
    carry_over(old_optimizers, old_model, trainee.optimizers, trainee.model)
    trainee.multiply_adds = multiply_adds_per_pixel(trainee.model)
    trainee.predict = wrapped(trainee.model, config, runtime, world)
    return True


def checkpoint_of(
    trainee: Trainee, seconds: float, data: str, measured: str, budget: str
) -> Checkpoint:
    """Return everything that the run needs to go on.

    Args:
        trainee: the run as it is now.
        seconds: wall time used so far.
        data: fingerprint of the training pictures.
        measured: of those to measure on.
        budget: of the run, in words.
    """
    return Checkpoint(
        step=trainee.step,
        seconds=seconds,
        progress=trainee.progress,
        pixels=trainee.pixels,
        config=config_to_mapping(trainee.model.config),
        model=trainee.model.state_dict(),
        mean=None if trainee.mean is None else trainee.mean.state_dict(),
        optimizers=tuple(_states(trainee.optimizers)),
        best=trainee.best,
        generators=generator_states(),
        data=data,
        budget=budget,
        measured=measured,
    )


def _states(optimizers: Iterable[Optimizer]) -> list[dict[str, object]]:
    return [optimizer.state_dict() for optimizer in optimizers]

"""Knowledge distillation: a trained network's outputs as targets beside the clean patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from memnet_cli.checkpoints import load_weights, read_info
from memnet_cli.models.gradients import can_train_faster, train_faster
from memnet_cli.restoration.devices import Runtime
from memnet_cli.restoration.fast import FastModel, fast_model
from memnet_cli.restoration.views import VIEWS, turned, turned_back
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.layout import placed


@dataclass(frozen=True)
class Teacher:
    """Networks whose mean output another one is trained towards (Hinton et al., 2015).

    With the l2 loss, the clean patch as target makes most of the gradient noise: what no network
    can know of it. The teacher's output has none of that, so that far fewer patches tell what is
    to be learned, up to what the teacher knows.

    Attributes:
        models: from (N, 1, H, W) to the same on the device; what is taught is the mean of their
            outputs, whose errors are in part their own.
        share: weight of the mean output in the target, 0 to 1.
        levels: smallest and largest level that it is asked at, from 1.
        scales_noise: whether levels are of noise: stronger noise is then scaled down to the
            largest level, with the contrast of the picture, and the output scaled up again.
        for_levels: of each of ``models``, the levels that it is for, empty for all; a patch is
            shown to those that are for its level.
        turned: whether they see the patches of every step flipped and rotated another way. With l2
            the student then learns the mean of the eight, its teachers' self-ensemble (Timofte et
            al., CVPR 2016, section 3.5), at the price of one.
    """

    models: tuple[Callable[[Tensor], Tensor], ...]
    share: float
    levels: tuple[int, int]
    scales_noise: bool = False
    turned: bool = False
    for_levels: tuple[tuple[int, ...], ...] = ()

    @torch.no_grad()
    def targets(self, clean: Tensor, degraded: Tensor, level: Tensor, step: int) -> Tensor:
        """Return what the network is to give: (1 - share) * clean + share * the teacher's output.

        With l2 the gradient is that of the two distances weighed so. Patches of a level that
        the teacher is not asked at, or that no network is for, keep the clean target.

        Args:
            clean: (N, 1, H, W) float32 in [0, 1].
            degraded: the same shape.
            level: (N,) scale factor, sigma or quality factor; 0 where there is no damage.
            step: of the training, from 0; says how the teacher is turned.
        """
        low, high = self.levels
        asked = level >= low
        if not self.scales_noise:
            asked &= level <= high
        targets = clean.clone()
        view = step % VIEWS if self.turned else 0
        for at_level, models in self._by_level(level):
            shown_now = asked & at_level
            if not shown_now.any():
                continue
            contrast = (high / level[shown_now]).clamp(max=1.0)[:, None, None, None].float()
            shown = turned(_with_contrast(degraded[shown_now], contrast), view)
            outputs = torch.stack([model(shown).float() for model in models])
            taught = turned_back(outputs.mean(0), view)
            taught = _with_contrast(taught, 1.0 / contrast)
            targets[shown_now] = torch.lerp(clean[shown_now], taught, self.share)
        return targets

    def _by_level(
        self, level: Tensor
    ) -> Iterator[tuple[Tensor, tuple[Callable[[Tensor], Tensor], ...]]]:
        """Yield which of the patches are taught by the same networks, and these."""
        if not any(self.for_levels):
            yield torch.ones_like(level, dtype=torch.bool), self.models
            return
        for value in torch.unique(level).tolist():
            models = tuple(
                model
                for model, levels in zip(self.models, self.for_levels, strict=True)
                if not levels or value in levels
            )
            if models:
                yield level == value, models


def _with_contrast(planes: Tensor, factor: Tensor) -> Tensor:
    """Return planes whose distance to middle grey is ``factor`` times as large; exact for 1."""
    return torch.lerp(torch.full_like(factor, 0.5), planes, factor)


def load_teacher(config: TrainingConfig, runtime: Runtime) -> Teacher | None:
    """Return the teachers of a run on its device, or None where it has none.

    Raises:
        WeightsError: for a file that is no sound weights file.
    """
    if not config.teachers:
        return None
    recipe = config.recipe
    return Teacher(
        tuple(_placed(path, runtime) for path in config.teachers),
        recipe.teacher_share,
        recipe.teacher_levels,
        scales_noise=config.task == "denoise",
        turned=recipe.teacher_turned,
        for_levels=_scale_factors(config) if config.task == "sr" else (),
    )


def _scale_factors(config: TrainingConfig) -> tuple[tuple[int, ...], ...]:
    """Return what each teacher is for of the run's scale factors, empty where it is for all."""
    wanted = set(config.levels())
    known = (read_info(path).levels for path in config.teachers)
    return tuple(() if wanted <= set(levels) else levels for levels in known)


def _placed(path: Path, runtime: Runtime) -> Callable[[Tensor], Tensor]:
    """Return the network of a weights file on the device, as it is fastest there."""
    model, _ = load_weights(path)
    model.requires_grad_(False)
    faster = can_train_faster(runtime.device, runtime.dtype)
    model = placed(model, runtime, faster)
    fast = fast_model(model, runtime)
    if fast is not None:
        return partial(_alone, fast)
    if faster:
        train_faster(model)
    return model


def _alone(fast: FastModel, planes: Tensor) -> Tensor:
    """Restore outside autocast: the function knows which of its steps are in which precision."""
    with torch.autocast(planes.device.type, enabled=False):
        return fast(planes, None)

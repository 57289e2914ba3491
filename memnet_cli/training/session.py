"""What stays the same in one session of a run: settings, pictures, device, folder, clock."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from memnet_cli.evaluation.peaks import measured_conv_peak
from memnet_cli.restoration.devices import Runtime
from memnet_cli.training.clock import Clock
from memnet_cli.training.config import TrainingConfig, task_of
from memnet_cli.training.damage import Damage
from memnet_cli.training.data import TrainingData
from memnet_cli.training.detail import detail_sums
from memnet_cli.training.distributed import World
from memnet_cli.training.drawings import drawings
from memnet_cli.training.events import Event, Note, Say
from memnet_cli.training.metrics import record
from memnet_cli.training.pictures import Plane, load_pictures, read_chroma, read_planes
from memnet_cli.training.records import RunFolder
from memnet_cli.training.sampler import Patches, Sampler
from memnet_cli.training.stopping import StopRequest
from memnet_cli.training.teacher import Teacher, load_teacher
from memnet_cli.training.validation import check_measurable

#: How many drawings a run makes.
_DRAWINGS = 160


@dataclass(frozen=True)
class Session:
    """One session of a run, in one process.

    Attributes:
        config: the run.
        data: its pictures.
        world: this process among the others.
        runtime: device and precision.
        folder: of the run.
        clock: of the run.
        sampler: which patches.
        damage: from patches to training pairs.
        teacher: whose outputs are targets, or None.
        conv_peak: FLOP per second that this device's convolutions reach.
        stop: whether somebody asked to stop.
        say: shows events.
    """

    config: TrainingConfig
    data: TrainingData
    world: World
    runtime: Runtime
    folder: RunFolder
    clock: Clock
    sampler: Sampler
    damage: Damage
    teacher: Teacher | None
    conv_peak: float
    stop: StopRequest
    say: Say

    def tell(self, event: Event) -> None:
        """Show an event and keep it; only the leading process does."""
        if self.world.leads:
            record(self.folder, event)
            self.say(event)

    def batch(self, step: int, part: slice) -> tuple[Tensor, Tensor]:
        """Return clean and degraded patches of a step, each (b, 1, P, P), ``part`` of the batch."""
        return self._pairs(step, part, self._patches(step, part))

    def lesson(self, step: int, part: slice) -> tuple[Tensor, Tensor]:
        """Return what :meth:`batch` does, with the teacher's targets in place of clean patches."""
        patches = self._patches(step, part)
        clean, degraded = self._pairs(step, part, patches)
        if self.teacher is None:
            return clean, degraded
        level = torch.from_numpy(patches.level).to(clean.device)
        # a teacher knows luma of photographs; 0 is the level that it is never asked at
        unasked = self.sampler.is_chroma(patches)
        if not self.config.recipe.teacher_drawn:
            unasked |= self.sampler.is_drawing(patches)
        level = level.masked_fill(torch.from_numpy(unasked).to(clean.device), 0)
        with self.mixed_precision():
            return self.teacher.targets(clean, degraded, level, step), degraded

    def progress(self, step: int, before: float) -> float:
        """Return the share of the budget that is used after ``step`` steps.

        Of a budget in time it never falls below what it was ``before``.
        """
        budget = self.config.budget
        if budget.steps is not None:
            return step / budget.steps if budget.steps else 1.0
        if budget.epochs is not None:
            samples = step * self.config.recipe.batch
            return samples / (budget.epochs * self.sampler.epoch_samples)
        return max(before, self.clock.progress())

    def mixed_precision(self) -> AbstractContextManager[object]:
        """Return the context in which networks run in the run's precision."""
        runtime = self.runtime
        if runtime.precision == "fp32":
            return nullcontext()
        return torch.autocast(runtime.device.type, dtype=runtime.dtype)

    def _patches(self, step: int, part: slice) -> Patches:
        return self.sampler.draw(self._since_the_first(step)).part(part)

    def _pairs(self, step: int, part: slice, patches: Patches) -> tuple[Tensor, Tensor]:
        chance = self.damage.chance(self._since_the_first(step), self.config.recipe.batch)
        return self.damage.pairs(patches, chance.part(part))

    def _since_the_first(self, step: int) -> int:
        """Return the step's number with those before the run, whose patches are known already."""
        return self.data.origin.steps + step


def prepare_session(
    config: TrainingConfig,
    data: TrainingData,
    world: World,
    runtime: Runtime,
    folder: RunFolder,
    clock: Clock,
    stop: StopRequest,
    say: Say,
) -> Session:
    """Put the pictures on the device and lay out where patches come from.

    Raises:
        DatasetError: if no picture is as large as a patch, or one is too small to be measured.
        ImageError: for a file that is no usable picture, among those to measure on too.
        WeightsError: for a teacher that is no sound weights file.
    """
    recipe, task = config.recipe, task_of(config)
    levels = config.levels()
    check_measurable(data.validation)
    found = read_planes(data.images, task, recipe)
    # what is shrunk is cut to a multiple of the scale factor, which must leave something
    least = max(recipe.patch, *levels) if task.name == "sr" else recipe.patch
    planes = _large(found, least)
    if planes and len(planes) < len(found) and world.leads:
        say(
            Note(
                f"{len(found) - len(planes)} of {len(found)} pictures and copies are smaller than "
                f"a patch of {recipe.patch}x{recipe.patch} pixels: left out."
            )
        )
    coloured = recipe.chroma > 0.0 and task.name != "sr"
    chroma = _large(read_chroma(data.images, task, recipe), recipe.patch) if coloured else []
    first = data.origin.steps
    drawn = drawings(_DRAWINGS, recipe.patch, config.seed, first) if recipe.drawn else []
    planes += [*chroma, *drawn]
    sampler = _sampler(config, planes, len(chroma), len(drawn))
    damage = Damage(
        task,
        load_pictures(planes, runtime.device),
        recipe.patch,
        config.seed,
        qualities=levels if sampler.altered else (),
        chroma=sampler.chroma_planes,
    )
    return Session(
        config=config,
        data=data,
        world=world,
        runtime=runtime,
        folder=folder,
        clock=clock,
        sampler=sampler,
        damage=damage,
        teacher=load_teacher(config, runtime),
        conv_peak=measured_conv_peak(runtime),
        stop=stop,
        say=say,
    )


def _large(planes: Sequence[Plane], side: int) -> list[Plane]:
    """Return those planes that hold a patch."""
    return [plane for plane in planes if min(plane.shape) >= side]


def _altered(config: TrainingConfig) -> float:
    """Return the share of patches with the variant of the task's damage."""
    if not config.recipe.wide:
        return 0.0
    return {"sr": config.recipe.quantised, "jpeg": config.recipe.resaved}.get(config.task, 0.0)


def _sampler(
    config: TrainingConfig, planes: Sequence[Plane], chroma: int, drawings_among: int
) -> Sampler:
    """Lay out where patches come from: ``planes``, the last of which are chroma, then drawings."""
    recipe, task = config.recipe, config.task
    sizes = np.array([plane.shape for plane in planes], np.int64).reshape(-1, 2)
    ranged = config.sigma_range()
    return Sampler(
        heights=sizes[:, 0],
        widths=sizes[:, 1],
        patch=recipe.patch,
        stride=recipe.stride,
        aligned=task == "sr",
        augment=recipe.augment,
        levels=() if ranged else recipe.levels or config.levels(),
        level_range=ranged,
        undamaged=recipe.clean if recipe.wide and task == "denoise" else 0.0,
        altered=_altered(config),
        batch=recipe.batch,
        seed=config.seed,
        negatives=recipe.negatives,
        hardest_of=recipe.hardest_of,
        drawn=recipe.drawn,
        drawings=drawings_among,
        coloured=recipe.chroma,
        chroma=chroma,
        detail=tuple(map(detail_sums, planes)) if recipe.hardest_of > 1 else (),
    )

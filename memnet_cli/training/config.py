"""What one training run is: task, model, recipe, data, budget and machine; no torch here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from memnet_cli.config import check_device_name, check_precision_name
from memnet_cli.errors import UsageError
from memnet_cli.models import config_from_mapping
from memnet_cli.models.configs import MemNetConfig, ModelConfig
from memnet_cli.tasks import Task, get_task
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.recipe_files import recipe_from_mapping, recipe_to_mapping

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Return the seconds of "90", "90s", "9m", "1h30m" or "2d".

    Raises:
        UsageError: for any other text, or for no time at all.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip().casefold())
    whole = "".join(number + unit for number, unit in parts)
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if whole != text.strip().casefold() or seconds <= 0:
        raise UsageError(f"'{text}' is no duration: expected such as 90s, 9m, 1h30m or 2d.")
    return seconds


@dataclass(frozen=True)
class Budget:
    """How long a run is, in exactly one of three ways.

    Attributes:
        steps: optimizer steps; 0 only does what the recipe has at the end, and measures.
        epochs: passes over the data.
        seconds: wall time, from the start of the command to the last score; a run that was
            interrupted goes on counting where it stopped.
    """

    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Check that exactly one is given, and that it is something."""
        given = [value for value in (self.steps, self.epochs, self.seconds) if value is not None]
        if len(given) != 1:
            raise UsageError("Give exactly one of --steps, --epochs and --time.")
        if not math.isfinite(given[0]) or given[0] < 0 or (given[0] == 0 and self.steps is None):
            raise UsageError(f"The budget is {given[0]}: expected a number over 0.")

    def __str__(self) -> str:
        if self.steps is not None:
            return f"{self.steps} steps"
        return f"{self.epochs:g} epochs" if self.epochs is not None else f"{self.seconds:g} s"


@dataclass(frozen=True)
class Machine:
    """How a run is computed and kept; may change from one session of a run to the next.

    Attributes:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto (bf16 where the device has units for it), fp32, bf16.
        compile: run the network through torch.compile.
        gradient_checkpointing: recompute inside blocks instead of keeping everything.
        sync_bn: BN statistics over the patches of all processes.
        save_seconds: time between two checkpoints.
        keep: how many checkpoints stay.
        stop_after: seconds after which this session saves and leaves; None for no limit.
        tensorboard: also write TensorBoard events.
        data_dir: folder that catalogue data sets are looked for in.
        offline: download nothing.
    """

    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    gradient_checkpointing: bool = False
    sync_bn: bool = False
    save_seconds: float = 300.0
    keep: int = 2
    stop_after: float | None = None
    tensorboard: bool = False
    data_dir: Path | None = None
    offline: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without a device."""
        check_device_name(self.device)
        check_precision_name(self.precision)
        if self.precision == "int8":
            raise UsageError("Weights are not trained in int8: give bf16, fp32 or auto.")
        if self.precision == "fp16":
            raise UsageError("Training in fp16 would need loss scaling: give bf16, fp32 or auto.")
        if self.keep < 1:
            raise UsageError(f"--keep {self.keep} would keep no checkpoint: expected 1 or more.")
        if self.compile and self.sync_bn:
            raise UsageError("--sync-bn does not go with --compile: leave one of them out.")
        if self.compile and self.gradient_checkpointing:
            raise UsageError(
                "--gradient-checkpointing does not go with --compile: leave one of them out."
            )


@dataclass(frozen=True)
class TrainingConfig:
    """One run. Everything but ``machine``, ``out`` and ``resume`` decides the weights.

    Attributes:
        task: "sr", "denoise" or "jpeg".
        model: a key of ``models.MODELS``.
        recipe: every choice of the optimisation.
        data: catalogue data sets or folders to train on.
        out: the run folder.
        budget: how long.
        validation: set or folder that is measured; None holds a few training pictures back.
        validation_limit: only so many of its pictures.
        validation_share: of the time, spent on measuring on the way; 0 measures at the end only.
        init: weights to start from, of any task; of several, their mean.
        teachers: weights of networks whose mean output is the target, as far as the recipe says.
        seed: of the weights, the order of the patches and their damage.
        machine: how it is computed.
        resume: go on with the run in ``out``.
    """

    task: str
    model: str
    recipe: Recipe
    data: tuple[str, ...]
    out: Path
    budget: Budget
    validation: str | None = None
    validation_limit: int | None = None
    validation_share: float = 0.05
    init: tuple[Path, ...] = ()
    teachers: tuple[Path, ...] = ()
    seed: int = 0
    machine: Machine = field(default_factory=Machine)
    resume: bool = False

    def __post_init__(self) -> None:
        """Check what the parts mean to each other, without torch.

        Raises:
            UsageError: for parts that do not go together.
        """
        task = get_task(self.task)
        if not self.data:
            raise UsageError("There is nothing to train on: give --data with a set or a folder.")
        if not self.levels():
            raise UsageError("There is no level to train for: give --set qualities=... with some.")
        for level in self.levels():
            task.check_level(level)
        if not 0 <= self.validation_share < 1:
            raise UsageError(
                f"--val-share is {self.validation_share:g}: expected at least 0 and less than 1."
            )
        if self.recipe.grow_to and self.model != MemNetConfig.model:
            raise UsageError(f"Only MemNet grows, not {self.model}: choose another --recipe.")
        config = self.model_config
        if self.recipe.grow_to and isinstance(config, MemNetConfig) and not config.short_term:
            raise UsageError("MemNet without short-term memories (NS) cannot grow.")
        if isinstance(config, MemNetConfig):
            self._check_growth(config.recursions)

    def _check_growth(self, recursions: int) -> None:
        wanted = self.recipe.grow_to
        # weights to start from have recursions of their own
        if wanted and not self.init and wanted[0] <= recursions:
            raise UsageError(
                f"grow_to is {list(wanted)}: expected more than the {recursions} recursions that "
                "model.recursions starts with."
            )

    @property
    def model_config(self) -> ModelConfig:
        """The network at the start of the run, if it starts from nothing."""
        return config_from_mapping(self.model, self.recipe.model)

    def levels(self) -> tuple[int, ...]:
        """Return the levels that are trained, or for a range its ends and the papers' levels."""
        task, recipe = get_task(self.task), self.recipe
        if recipe.levels:
            return tuple(dict.fromkeys(recipe.levels))
        if not recipe.wide or task.name == "sr":
            return task.levels
        if task.name == "jpeg":
            return recipe.qualities
        low, high = recipe.sigmas
        inside = (level for level in task.levels if low <= level <= high)
        return tuple(sorted({low, *inside, high}))

    def measured_levels(self) -> tuple[int, ...]:
        """Return the levels of the validation: those of the papers that are trained."""
        trained = self.levels()
        return tuple(level for level in get_task(self.task).levels if level in trained) or trained

    def sigma_range(self) -> tuple[int, int] | None:
        """Return the range that noise levels are drawn from, or None where they are listed."""
        recipe = self.recipe
        ranged = self.task == "denoise" and recipe.wide and not recipe.levels
        return recipe.sigmas if ranged else None


def identity(config: TrainingConfig) -> dict[str, object]:
    """Return everything that decides the weights, as JSON values: what a resumed run must share."""
    budget = {
        name: value
        for name in ("steps", "epochs", "seconds")
        if (value := getattr(config.budget, name)) is not None
    }
    optional: dict[str, object] = {
        "validation": config.validation,
        "validation_limit": config.validation_limit,
        "init": _one_or_all([str(path) for path in config.init]),
        "teacher": _one_or_all([str(path) for path in config.teachers]),
    }
    return {
        "task": config.task,
        "model": config.model,
        "data": list(config.data),
        "seed": config.seed,
        "validation_share": config.validation_share,
        **{name: value for name, value in optional.items() if value is not None},
        "budget": budget,
        "recipe": recipe_to_mapping(config.recipe),
    }


def _one_or_all(paths: list[str]) -> str | list[str] | None:
    """Return how paths are stored: one alone as runs have it from before there could be more."""
    return paths if len(paths) > 1 else next(iter(paths), None)


def _paths(stored: object) -> tuple[Path, ...]:
    """Undo :func:`_one_or_all`."""
    assert isinstance(stored, str | list)
    return tuple(map(Path, [stored] if isinstance(stored, str) else stored))


def config_from_identity(
    values: Mapping[str, object], out: Path, machine: Machine
) -> TrainingConfig:
    """Return the config of a stored run, to be resumed.

    Raises:
        UsageError: if the stored run does not describe one.
    """
    try:
        recipe, budget = values["recipe"], values["budget"]
        assert isinstance(recipe, Mapping) and isinstance(budget, Mapping)
        rest = {key: value for key, value in values.items() if key not in {"recipe", "budget"}}
        data = rest.pop("data")
        init, teachers = (_paths(rest.pop(name, [])) for name in ("init", "teacher"))
        assert isinstance(data, list) and isinstance(rest.get("seed", 0), int)
        return TrainingConfig(
            recipe=recipe_from_mapping(recipe),
            budget=Budget(**budget),
            data=tuple(str(name) for name in data),
            init=init,
            teachers=teachers,
            out=out,
            machine=machine,
            resume=True,
            **rest,  # type: ignore[arg-type]
        )
    except (KeyError, TypeError, AssertionError):
        raise UsageError(
            f"{out} holds no run that can be resumed: its run.json is not sound."
        ) from None


def task_of(config: TrainingConfig) -> Task:
    """Return the task of a run."""
    return get_task(config.task)

"""What an ablation will run: every variant with every seed, checked before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from memnet_cli.errors import UsageError
from memnet_cli.tasks import get_task
from memnet_cli.training.ablation import Ablation, Variant
from memnet_cli.training.config import Budget, Machine, TrainingConfig, identity
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.recipe_files import load_recipe
from memnet_cli.training.records import stored_identity

_MOST_SEEDS = 100


@dataclass(frozen=True)
class AblationRequest:
    """How an ablation is run.

    Attributes:
        out: folder of the runs and results.
        budget: of every run.
        seeds: every variant is trained once with each.
        task, level: None takes those of the ablation.
        data, validation: what to train and measure on; empty and None take the ablation's.
        validation_limit: only so many pictures are measured.
        settings: NAME=VALUE overrides for all variants.
        machine: how it is computed.
    """

    out: Path
    budget: Budget
    seeds: tuple[int, ...]
    task: str | None = None
    level: int | None = None
    data: tuple[str, ...] = ()
    validation: str | None = None
    validation_limit: int | None = None
    settings: tuple[str, ...] = ()
    machine: Machine = field(default_factory=Machine)

    def __post_init__(self) -> None:
        """Refuse a budget that trains nothing."""
        if self.budget.steps == 0:
            raise UsageError("The budget is 0 steps: expected more, to tell variants apart.")


@dataclass(frozen=True)
class PlannedRun:
    """One variant with one seed."""

    variant: str
    config: TrainingConfig

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.config.seed

    @property
    def result(self) -> Path:
        """What is left of it when it is finished."""
        return self.config.out / "result.json"


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of "0,1,2", or as many as a single number says, from 0.

    Raises:
        UsageError: for anything else, no seeds, the same one twice, or more than 100.
    """
    parts = [part.strip() for part in text.split(",")]
    listed = "," in text
    numbers = [part for part in parts if part] if listed else parts
    if not numbers or not all(part.isascii() and part.isdigit() for part in numbers):
        raise UsageError(f"--seeds is '{text}': expected a count such as 3, or a list as 0,1,2.")
    values = [int(part) for part in numbers]
    count = len(values) if listed else values[0]
    if not 1 <= count <= _MOST_SEEDS:
        raise UsageError(f"--seeds '{text}' asks for {count} seeds: expected 1 to {_MOST_SEEDS}.")
    if len(set(values)) < len(values):
        raise UsageError(f"--seeds '{text}' names a seed twice: a repeated run shows nothing new.")
    return tuple(values) if listed else tuple(range(count))


def compared_level(ablation: Ablation, request: AblationRequest) -> int:
    """Return the level that the variants are compared at."""
    if request.level is not None:
        return request.level
    task = request.task or ablation.task
    return ablation.level if task == ablation.task else get_task(task).levels[0]


def measured_like_paper(ablation: Ablation, request: AblationRequest) -> bool:
    """Say whether task, level and pictures of the measurement are the paper's."""
    return (
        (request.task or ablation.task) == ablation.task
        and compared_level(ablation, request) == ablation.level
        and (request.validation or ablation.dataset) == ablation.dataset
        and request.validation_limit is None
    )


def plan_runs(ablation: Ablation, request: AblationRequest) -> tuple[PlannedRun, ...]:
    """Return all runs, seed by seed, so that an interrupted ablation has whole seeds first.

    Raises:
        UsageError: for settings that the recipe, the model or the task does not have, overrides
            of what the variants differ in, or a folder that holds another ablation or run.
    """
    for text in request.settings:
        key = text.partition("=")[0].strip()
        if key.removeprefix("model.") in ablation.varied and key.startswith("model."):
            raise UsageError(
                f"--set {text} would override what the variants of {ablation.name} differ in: "
                "write a .toml file of your own with other variants."
            )
    runs = tuple(
        PlannedRun(variant.name, _config(ablation, request, variant, seed))
        for seed in request.seeds
        for variant in ablation.variants
    )
    _refuse_other_ablation(ablation, request.out)
    for run in runs:
        _refuse_other_run(run.config)
    return runs


def _config(
    ablation: Ablation, request: AblationRequest, variant: Variant, seed: int
) -> TrainingConfig:
    level = compared_level(ablation, request)
    levels = ablation.levels if level in ablation.levels else (level,)
    try:
        return TrainingConfig(
            task=request.task or ablation.task,
            model=ablation.model,
            recipe=replace(_recipe(ablation, request, variant), levels=levels),
            data=request.data or ablation.data,
            out=request.out / variant.folder / f"seed-{seed}",
            budget=request.budget,
            validation=request.validation or ablation.dataset,
            validation_limit=request.validation_limit,
            validation_share=0.0,
            seed=seed,
            machine=request.machine,
        )
    except UsageError as error:
        raise UsageError(f"Variant '{variant.name}' of {ablation.name}: {error}") from None


def _recipe(ablation: Ablation, request: AblationRequest, variant: Variant) -> Recipe:
    """Return the recipe of one variant: the file's, then --set, then its own."""
    own = [f"model.{key}={json.dumps(value)}" for key, value in variant.model.items()]
    return load_recipe(
        ablation.recipe, ablation.model, [*_overrides(ablation.settings), *request.settings, *own]
    )


def _overrides(settings: Mapping[str, object], at: str = "") -> list[str]:
    """Return a table of settings as NAME=VALUE; JSON's scalars and lists are TOML's."""
    found = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found += _overrides(value, f"{at}{key}.")
        else:
            found.append(f"{at}{key}={json.dumps(value)}")
    return found


def _refuse_other_ablation(ablation: Ablation, out: Path) -> None:
    try:
        name = json.loads((out / "ablation.json").read_text("utf-8"))["ablation"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing there that could be lost
    if name != ablation.name:
        raise UsageError(f"{out} holds the ablation {name}: give another --out.")


def _refuse_other_run(config: TrainingConfig) -> None:
    stored, asked = stored_identity(config.out), identity(config)
    if stored is None or stored == asked:
        return
    different = sorted(key for key in {*stored, *asked} if stored.get(key) != asked.get(key))
    raise UsageError(
        f"{config.out} holds a run with another {' and '.join(different)}: give the options that "
        "the ablation was started with, or another --out."
    )

"""What a benchmark would do, with everything checked that needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from memnet_cli.config import RuntimeOptions
from memnet_cli.errors import DatasetError, ImageError, MemnetError, UsageError
from memnet_cli.evaluation.leakage import seen_images
from memnet_cli.evaluation.methods import (
    MethodName,
    PlannedMethod,
    parse_method,
    plan_levels,
    with_self_ensemble,
)
from memnet_cli.evaluation.protocols import check_size, shrink_factor
from memnet_cli.imaging.images import picture_size, read_image
from memnet_cli.stores.datasets import DatasetImage, find_images, get_dataset, local_folder
from memnet_cli.tasks import TASKS, Task, get_task


@dataclass(frozen=True)
class BenchmarkConfig:
    """What the user asked for.

    Attributes:
        datasets: catalogue names or folders.
        tasks: empty for those that each dataset is for.
        levels: empty for those that the papers measure.
        models: empty for the untrained input and MemNet with its default weights.
        tta: add a "+" method to every one with weights.
        seed: of the noise.
        limit: measure only the first so many images of each dataset.
        allow_seen: measure images that the weights were trained on, and mark them.
        data_dir: where datasets lie already; None for the user's cache.
        offline: download nothing.
        runtime: device, precision and tiles.
    """

    datasets: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    tta: bool = False
    seed: int = 0
    limit: int | None = None
    allow_seen: bool = False
    data_dir: Path | None = None
    offline: bool = False
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)


@dataclass(frozen=True)
class PlannedSet:
    """One dataset under one task.

    Attributes:
        images: those that will be measured.
        seen: method -> names of the images that its weights were trained on.
    """

    dataset: str
    task: Task
    levels: tuple[int, ...]
    images: tuple[DatasetImage, ...]
    methods: tuple[PlannedMethod, ...]
    seen: Mapping[str, frozenset[str]]

    def methods_at(self, level: int) -> tuple[PlannedMethod, ...]:
        """Return the methods that are measured at one of the levels."""
        return tuple(method for method in self.methods if method.is_for(level))


@dataclass(frozen=True)
class Plan:
    """The whole run, checked.

    Attributes:
        notes: what is left out, and why.
    """

    config: BenchmarkConfig
    sets: tuple[PlannedSet, ...]
    notes: tuple[str, ...]

    @property
    def pictures(self) -> int:
        """How many pictures will be restored."""
        return sum(
            len(s.images) * len(s.methods_at(level)) for s in self.sets for level in s.levels
        )


def make_plan(
    config: BenchmarkConfig, progress: Callable[[str, int, int | None], None] | None = None
) -> Plan:
    """Check a configuration, find its weights and images, and download missing datasets.

    Args:
        config: what the user asked for.
        progress: told (dataset, bytes so far, bytes in all) while images are downloaded.

    Raises:
        UsageError: for an unknown task or method, or a level out of range.
        DatasetError: for a dataset that is unknown, empty or too small, or that weights have seen.
        WeightsError: for weights that are missing, damaged, or for none of the tasks.
        DownloadError: if a dataset cannot be fetched.
    """
    datasets = dict.fromkeys(_canonical(dataset) for dataset in config.datasets)
    pairs = [(dataset, task) for dataset in datasets for task in _tasks_of(dataset, config.tasks)]
    tasks = tuple(dict.fromkeys(task.name for _, task in pairs))
    try:
        levels = {task.name: _levels_of(task, config.levels) for _, task in pairs}
    except UsageError as error:
        several = len(tasks) > 1 and not config.tasks
        hint = " Give --task for levels of one task alone." if several else ""
        raise UsageError(f"{error}{hint}") from None
    methods, notes = _plan_methods(config, {name: levels[name] for name in tasks})
    images = {
        dataset: find_images(
            dataset,
            data_dir=config.data_dir,
            offline=config.offline,
            progress=None if progress is None else partial(progress, dataset),
        )[: config.limit]
        for dataset, _ in pairs
    }
    sets = tuple(
        _plan_set(config, dataset, images[dataset], levels[task.name], methods[task.name])
        for dataset, task in pairs
    )
    for dataset, found in images.items():
        _check_pictures(dataset, found)
    return Plan(config, sets, notes)


def _canonical(dataset: str) -> str:
    """Spell a catalogue name as the catalogue does; a folder is called as the user called it.

    But for a slash behind it, unless that tells it from a name of the catalogue.
    """
    if local_folder(dataset) is None:
        return get_dataset(dataset).name
    bare = dataset.rstrip("/\\")
    same = bool(bare) and Path(bare) == Path(dataset) and local_folder(bare) is not None
    return bare if same else dataset


def _tasks_of(dataset: str, asked: Sequence[str]) -> tuple[Task, ...]:
    if asked:
        return tuple(get_task(name) for name in dict.fromkeys(asked))
    if local_folder(dataset) is not None:
        return tuple(TASKS.values())
    names = get_dataset(dataset).tasks or tuple(TASKS)  # a training set is for none of them
    return tuple(get_task(name) for name in names)


def _levels_of(task: Task, asked: Sequence[int]) -> tuple[int, ...]:
    for level in asked:
        task.check_level(level)
    return tuple(sorted(set(asked))) or task.levels


def _default_models(task: str) -> tuple[str, ...]:
    return ("bicubic" if task == "sr" else "degraded", "memnet")


def _plan_methods(
    config: BenchmarkConfig, tasks: Mapping[str, Sequence[int]]
) -> tuple[dict[str, tuple[PlannedMethod, ...]], tuple[str, ...]]:
    """Plan every method for every task's levels; one that fits no task at all is an error."""
    planned: dict[str, tuple[PlannedMethod, ...]] = {}
    failures: dict[str, list[MemnetError]] = {}
    fitting: set[str] = set()
    for task, levels in tasks.items():
        names = _names(config.models or _default_models(task), config.tta)
        for name in names:
            try:
                found = plan_levels(name, get_task(task), levels)
                planned[task] = (*planned.get(task, ()), *found)
                fitting.add(name.text)
            except MemnetError as error:
                failures.setdefault(name.text, []).append(error)
    for text, errors in failures.items():
        if text not in fitting:
            raise errors[0]
    for task in tasks:
        if task not in planned:
            how = "leave that task out" if config.tasks else "give --task"
            raise UsageError(f"None of the methods is for {task}: add one, or {how}.")
    notes = [f"{text} is left out once: {e}" for text, es in failures.items() for e in es]
    return planned, tuple(notes)


def _names(models: Sequence[str], tta: bool) -> tuple[MethodName, ...]:
    names = tuple(parse_method(text) for text in dict.fromkeys(models))
    texts = [name.text for name in names]
    both = with_self_ensemble(names) if tta else names
    hidden = [name.text for name in names if name not in both]  # by the self-ensemble of another
    twice = next((text for text in texts if texts.count(text) > 1 or text in hidden), None)
    if twice is not None:
        raise UsageError(f"Two weights files are both called '{twice}': rename one of them.")
    return both


def _plan_set(
    config: BenchmarkConfig,
    dataset: str,
    images: tuple[DatasetImage, ...],
    levels: tuple[int, ...],
    methods: tuple[PlannedMethod, ...],
) -> PlannedSet:
    task = methods[0].task
    _check_sizes(dataset, images, task, levels)
    seen: dict[str, frozenset[str]] = {}
    for method in methods:
        if method.info is not None:
            known = seen.get(method.name.text, frozenset())
            seen[method.name.text] = known | seen_images(method.info, images)
    if not config.allow_seen:
        _refuse_seen(dataset, images, seen)
    return PlannedSet(dataset, task, levels, images, methods, seen)


def _check_sizes(
    dataset: str, images: Sequence[DatasetImage], task: Task, levels: Sequence[int]
) -> None:
    """Refuse a picture that is too small before anything slow begins."""
    shrink = shrink_factor(dataset, task)
    for image in images:
        try:
            size = picture_size(image.path)
        except ImageError as error:
            raise DatasetError(f"{dataset} cannot be measured: {error}") from None
        for level in levels:
            check_size(image.name, size.height // shrink, size.width // shrink, task, level)


def _check_pictures(dataset: str, images: Sequence[DatasetImage]) -> None:
    """Refuse a damaged picture of a folder likewise; the catalogue's are known to be whole."""
    for image in images if local_folder(dataset) is not None else ():
        try:
            read_image(image.path)
        except ImageError as error:
            raise DatasetError(f"{dataset} cannot be measured: {error}") from None


def _refuse_seen(
    dataset: str, images: Sequence[DatasetImage], seen: Mapping[str, frozenset[str]]
) -> None:
    for method, names in seen.items():
        if names:
            raise DatasetError(
                f"The weights of {method} were trained on {len(names)} of the {len(images)} images "
                f"of {dataset}: give other weights or pictures; benchmark --allow-seen marks them."
            )

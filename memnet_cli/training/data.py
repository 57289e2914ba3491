"""Which pictures a run trains on and which it is measured on; no torch here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from memnet_cli.checkpoints import WeightsInfo, read_info
from memnet_cli.errors import DatasetError, UsageError
from memnet_cli.evaluation.leakage import HASH_DIGITS, content_hash, seen_images
from memnet_cli.evaluation.protocols import shrink_factor, smallest_side
from memnet_cli.imaging.images import picture_size
from memnet_cli.models import config_to_mapping
from memnet_cli.stores.datasets import (
    DatasetImage,
    SetProgress,
    find_images,
    get_dataset,
    local_folder,
)
from memnet_cli.stores.downloads import file_sha256
from memnet_cli.tasks import Task
from memnet_cli.training.config import TrainingConfig, task_of
from memnet_cli.training.records import recipe_text, stored_first

Images = tuple[DatasetImage, ...]

#: Name of the training pictures that are held back where no validation set is named.
HELD_BACK = "held-back"
_MOST_HELD_BACK = 4


@dataclass(frozen=True)
class Validation:
    """What is measured.

    Attributes:
        name: of the set.
        images: of it; none if there is nothing to measure on.
        task: the damage.
        levels: of the damage.
        whole: whether these are all pictures of the set, so that the scores are the set's.
    """

    name: str
    images: Images
    task: Task
    levels: tuple[int, ...]
    whole: bool = True

    def pixels(self, image: DatasetImage) -> int:
        """Return how many pixels the measurement of one picture restores, over all levels."""
        shrink = shrink_factor(self.name, self.task)
        size = picture_size(image.path)
        return size.width * size.height * len(self.levels) // shrink**2


@dataclass(frozen=True)
class TrainingData:
    """The pictures of a run.

    Attributes:
        images: to train on.
        validation: to measure on.
        origin: what the weights will say about themselves; steps and pixels are those of the
            weights that the run starts from.
        teachers: sha256 of the weights of all teachers, one after the other.
        first: what the weights say that the run starts from; None if it starts from nothing.
        first_hash: their sha256.
    """

    images: Images
    validation: Validation
    origin: WeightsInfo
    teachers: str = ""
    first: WeightsInfo | None = None
    first_hash: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """Return a digest of the teachers and of all training pictures, in their order."""
        return _digest(self.images, self.teachers)

    @cached_property
    def measured(self) -> str:
        """Return a digest of the pictures to measure on, in their order."""
        return _digest(self.validation.images)


def _digest(images: Images, more: str = "") -> str:
    hashes = "".join(content_hash(image) for image in images)
    return hashlib.sha256((hashes + more).encode()).hexdigest()


def gather_data(config: TrainingConfig, progress: SetProgress | None = None) -> TrainingData:
    """Find all pictures, and make sure that none is both trained and measured on.

    Raises:
        DatasetError: for an unknown set, or no pictures.
        UsageError: for a validation set that is trained on, or a teacher of another task
            or of other scale factors.
        WeightsError: for first weights or a teacher that cannot be read.
    """
    _refuse_own_folder(config)
    first, first_hash = _first_weights(config)
    teachers = tuple(_teacher_info(path, config) for path in config.teachers)
    before = teachers if first is None else (first, *teachers)
    found = {name: _find(name, config, progress) for name in config.data}
    images = tuple({image.path: image for part in found.values() for image in part}.values())
    if not images:
        raise DatasetError(f"There is no picture in {', '.join(config.data)}.")
    name = HELD_BACK
    if config.validation is None:
        smallest = max(smallest_side(task_of(config), n) for n in config.measured_levels())
        images, measured = hold_back(images, before, smallest, config.recipe.patch)
    else:
        measured = _find(config.validation, config, progress)
        name = _set_name(config.validation) or config.validation
    origin = _origin(config, found, images, before)
    if first is not None:
        origin = replace(
            origin, steps=first.steps, pixels_seen=first.pixels_seen, licence=first.licence
        )
        if config.budget.steps == 0:
            origin = replace(origin, patch=first.patch)
        if _leaves_weights(config):
            origin = replace(origin, recipe=first.recipe, source=first.source)
    if config.validation is not None:
        _refuse_seen(origin, measured, name)
    levels, some = config.measured_levels(), measured[: config.validation_limit]
    validation = Validation(name, some, task_of(config), levels, whole=len(some) == len(measured))
    digest = "".join(map(file_sha256, config.teachers))
    return TrainingData(images, validation, origin, digest, first, first_hash)


def _refuse_own_folder(config: TrainingConfig) -> None:
    """Refuse a run folder whose curves would be among the pictures."""
    names = [*config.data, *([config.validation] if config.validation is not None else [])]
    for folder in filter(None, map(local_folder, names)):
        if folder.resolve() == config.out.resolve():
            raise UsageError(
                f"The run folder {config.out} is also a folder of pictures: give another --out."
            )


def _first_weights(config: TrainingConfig) -> tuple[WeightsInfo | None, str]:
    """Return what the first weights say and their sha256, of a run that goes on as it began.

    Of several, what the first of them says, with the pictures and licences of all, and the steps,
    pixels and recipe of those that have most: what is drawn next is then new to all of them.
    """
    if not config.init:
        return None, ""
    stored = stored_first(config.out) if config.resume else None
    if stored is not None:
        return stored
    infos = [read_info(path) for path in config.init]
    sets, images = _trained_on(infos)
    longest = max(infos, key=lambda info: info.steps)
    first = replace(
        infos[0],
        training_sets=sets,
        training_images=images,
        steps=longest.steps,
        pixels_seen=longest.pixels_seen,
        recipe=longest.recipe,
        source=_mean_source(config.init) if len(infos) > 1 else longest.source,
    )
    licences = dict.fromkeys(info.licence for info in infos)
    if len(licences) > 1:
        first = replace(first, licence=" and ".join(name or "unknown" for name in licences))
    return first, first_digest(config)


def _mean_source(files: Sequence[Path]) -> str:
    return f"memnet train, the mean of {', '.join(path.name for path in files)}"


def _leaves_weights(config: TrainingConfig) -> bool:
    """Say whether the run only takes weights, or their mean, and changes nothing of them."""
    return config.budget.steps == 0 and not (config.recipe.refit or config.recipe.recalibrate)


def _trained_on(infos: Sequence[WeightsInfo]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sets and the hashes of other images that any of the weights was trained on."""
    sets = dict.fromkeys(name for info in infos for name in info.training_sets)
    return tuple(sets), tuple(sorted({image for info in infos for image in info.training_images}))


def first_digest(config: TrainingConfig) -> str:
    """Return the sha256 of all weights that the run starts from, one after the other."""
    return "".join(map(file_sha256, config.init))


def _teacher_info(path: Path, config: TrainingConfig) -> WeightsInfo:
    """Return what the teacher's weights say about themselves, if they serve the run."""
    info, task, levels = read_info(path), config.task, config.levels()
    if info.task not in ("", task):
        raise UsageError(
            f"The teacher {path} is trained for {info.task}, not for {task}: give other weights."
        )
    if task == "sr" and info.levels and not set(info.levels) & set(levels):
        known, wanted = (
            " and ".join(f"x{level}" for level in sorted(set(factors)))
            for factors in (info.levels, levels)
        )
        raise UsageError(
            f"The teacher {path} is trained for {known}, the run for {wanted}: give other weights, "
            "or other scale factors with --set levels=2,3,4."
        )
    return info


def _find(name: str, config: TrainingConfig, progress: SetProgress | None) -> Images:
    machine = config.machine
    return find_images(name, data_dir=machine.data_dir, offline=machine.offline, progress=progress)


def _set_name(name: str) -> str | None:
    """Return the catalogue's name of a set, or None for a folder."""
    return get_dataset(name).name if local_folder(name) is None else None


def hold_back(
    images: Images,
    before: Sequence[WeightsInfo],
    smallest: int,
    patch: int = 1,
) -> tuple[Images, Images]:
    """Split pictures into those to train on and a few, evenly spread, to measure on.

    Up to 4 and at most a tenth of them, but one as soon as there are two; none that the
    first weights or the teachers were trained on, nor with a side below ``smallest`` pixels; not
    the only one that holds a ``patch`` to train on.

    Raises:
        ImageError: for a file that is no picture.
    """
    seen = {name for info in before for name in seen_images(info, images)}
    able = [
        index
        for index, image in enumerate(images)
        if image.name not in seen and _shorter_side(image) >= smallest
    ]
    large = {index for index, image in enumerate(images) if _shorter_side(image) >= patch}
    if len(large) == 1:
        able = [index for index in able if index not in large]
    count = min(_MOST_HELD_BACK, max(len(images) // 10, int(len(images) > 1)), len(able))
    chosen = {able[int((k + 0.5) * len(able) / count)] for k in range(count)}
    held = tuple(images[index] for index in sorted(chosen))
    # the same file may be among them twice, in two folders or sets
    hashes = {content_hash(image) for image in held}
    kept = tuple(image for image in images if not hashes or content_hash(image) not in hashes)
    return kept, held


def _shorter_side(image: DatasetImage) -> int:
    size = picture_size(image.path)
    return min(size.height, size.width)


def _refuse_seen(origin: WeightsInfo, images: Sequence[DatasetImage], name: str) -> None:
    seen = sorted(seen_images(origin, images))
    if seen:
        few = ", ".join(seen[:3]) + (" ..." if len(seen) > 3 else "")
        raise UsageError(
            f"{len(seen)} of the {len(images)} pictures of {name} are trained on ({few}): measure "
            "on others with --val, or leave --val out to hold a few pictures back."
        )


def _origin(
    config: TrainingConfig,
    found: dict[str, Images],
    trained: Images,
    before: Sequence[WeightsInfo],
) -> WeightsInfo:
    """Return what the weights will say: their own data and that of the weights behind them."""
    sets = [catalogued for name in found if (catalogued := _set_name(name)) is not None]
    in_sets = {image.path for name in found if _set_name(name) for image in found[name]}
    hashes = {content_hash(image)[:HASH_DIGITS] for image in trained if image.path not in in_sets}
    earlier_sets, earlier_images = _trained_on(before)
    return WeightsInfo(
        model=config.model,
        config=config_to_mapping(config.model_config),
        task=config.task,
        levels=tuple(sorted(config.levels())),
        training_sets=tuple(dict.fromkeys([*earlier_sets, *sets])),
        training_images=tuple(sorted({*earlier_images, *hashes})),
        recipe=recipe_text(config),
        patch=config.recipe.patch,
        licence="MIT",
        source=_source(config.teachers),
    )


def _source(teachers: Sequence[Path]) -> str:
    taught = " and ".join(path.name for path in teachers)
    return "memnet train" + (f", taught by {taught}" if taught else "")

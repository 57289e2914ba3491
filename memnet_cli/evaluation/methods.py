"""What ``--model`` of the benchmark may name, and how it becomes something that restores.

A name is a baseline (``bicubic``), a model with its default weights (``memnet``), weights by name,
or a weights file. ``memnet@3`` stops after the third memory block, ``memnet+`` averages over the 8
flips and rotations, as the papers' "+" and "multi-view" rows do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memnet_cli.checkpoints import WeightsInfo, check_purpose, read_config
from memnet_cli.config import RuntimeOptions
from memnet_cli.errors import UsageError, did_you_mean
from memnet_cli.evaluation.baselines import BASELINES, Baseline
from memnet_cli.evaluation.benchmark import Method
from memnet_cli.evaluation.results import MethodCard
from memnet_cli.files import is_file
from memnet_cli.models import available_models
from memnet_cli.models.configs import MemNetConfig, ModelConfig, NLRNConfig, REDNetConfig
from memnet_cli.stores.weights import find_weights
from memnet_cli.stores.zoo import weights_names
from memnet_cli.tasks import Task

if TYPE_CHECKING:
    from memnet_cli.restoration.restorer import Restorer

#: Untrained rows of the papers: (baseline, task) -> their name for it.
_BASELINE_NAMES = {
    ("bicubic", "sr"): "Bicubic",
    ("degraded", "sr"): "Bicubic",
    ("degraded", "jpeg"): "JPEG",
    ("bm3d", "denoise"): "BM3D",
}
#: NLRN's own way, and the patches in which its authors' program tests.
_PAPERS_STRIDES = (None, 7)
_WARM_UP_SIDE = 64
#: What reports call the picture as it was before it was damaged.
_CLEAN = "clean"
_SAYS_HOW = re.compile(r"(.+)([@:])(\d\d?)")


@dataclass(frozen=True)
class MethodName:
    """A parsed ``--model``.

    Attributes:
        text: as the tables call it.
        base: a baseline, a model, weights by name, or the path of a weights file.
        tta: average over 8 flips and rotations.
        exit_block: stop after this memory block, or None.
        nlrn_stride: distance of NLRN's patches in the authors' way of testing, or None.
    """

    text: str
    base: str
    tta: bool = False
    exit_block: int | None = None
    nlrn_stride: int | None = None

    @property
    def is_file(self) -> bool:
        """Say whether the name is that of a file rather than one of ours."""
        return "/" in self.base or "\\" in self.base or self.base.endswith(".safetensors")


@dataclass(frozen=True)
class PlannedMethod:
    """A method for one task, checked but not loaded.

    Attributes:
        name: as the tables call it.
        baseline: or None for weights.
        weights: the weights file, or None for a baseline.
        info: what the weights file says about itself, or None.
        levels: that it is for; empty for all.
    """

    name: MethodName
    task: Task
    baseline: Baseline | None = None
    weights: Path | None = None
    info: WeightsInfo | None = None
    levels: tuple[int, ...] = ()

    def is_for(self, level: int) -> bool:
        """Say whether it is measured at ``level``."""
        return not self.levels or level in self.levels


@dataclass(frozen=True)
class LoadedMethod:
    """A method that can restore, and what is known about it.

    Attributes:
        at: level -> degraded plane to restored plane.
        device: "cuda:0" and the like, for measuring memory; "cpu" for baselines.
    """

    card: MethodCard
    at: Callable[[int], Method]
    device: str


def parse_method(text: str) -> MethodName:
    """Parse one ``--model``: a name or file, with "@N" or ":N", and "+", behind it.

    Raises:
        UsageError: for a name that is none of the known ones, nearest first.
    """
    if is_file(Path(text)):
        return _of_file(MethodName(Path(text).stem, text))
    base, tta = (text[:-1], True) if text.endswith("+") else (text, False)
    name = MethodName(text, base, tta)
    how = _SAYS_HOW.fullmatch(base)
    if how is not None:
        base, sign, number = how[1], how[2], int(how[3])
        name = (
            MethodName(text, base, tta, exit_block=number)
            if sign == "@"
            else MethodName(text, base, tta, nlrn_stride=number)
        )
    if name.is_file:
        return _of_file(replace(name, text=text.replace(base, Path(base).stem)))
    models = (model for model in available_models() if model != "plain")  # rivals, by file only
    known = (*BASELINES, *models, *weights_names())
    if base not in known:
        raise UsageError(
            f"There is no method '{base}': expected one of {', '.join(known)}, "
            f"or a .safetensors file.{did_you_mean(base, known)}"
        )
    if base in BASELINES and text != base:
        raise UsageError(f"'{text}': {base} has no weights, so neither +, @ nor : goes with it.")
    return name


def _of_file(name: MethodName) -> MethodName:
    """Refuse a file whose rows would look like what is no network."""
    if name.text in {*BASELINES, _CLEAN}:
        raise UsageError(
            f"{name.base} would be called '{name.text}', which stands for something else in tables "
            "and reports: give the file another name."
        )
    return name


def with_self_ensemble(names: tuple[MethodName, ...]) -> tuple[MethodName, ...]:
    """Return ``names`` with a "+" method behind every one that has weights."""
    both: dict[str, MethodName] = {}
    for name in names:
        both.setdefault(name.text, name)
        if name.base not in BASELINES and not name.tta:
            both.setdefault(f"{name.text}+", replace(name, text=f"{name.text}+", tta=True))
    return tuple(both.values())


def plan_levels(name: MethodName, task: Task, levels: Sequence[int]) -> tuple[PlannedMethod, ...]:
    """Find what ``name`` means at each of ``levels``: one method unless weights differ by level.

    Raises:
        UsageError, WeightsError: as :func:`plan_method` does.
    """
    planned: dict[Path | None, PlannedMethod] = {}
    for level in levels:
        method = plan_method(name, task, level)
        known = planned.get(method.weights, method)
        planned[method.weights] = replace(known, levels=(*known.levels, level))
    if len(planned) > 1:
        return tuple(planned.values())
    return tuple(replace(method, levels=()) for method in planned.values())


def plan_method(name: MethodName, task: Task, level: int | None = None) -> PlannedMethod:
    """Find what ``name`` means for ``task``, without torch.

    Args:
        name: as parsed.
        task: that it is to do.
        level: that default weights are chosen for; None takes those for most levels.

    Raises:
        UsageError: for a baseline that is not for the task or not installed, or an exit block
            that the model does not have.
        WeightsError: for weights that are missing, damaged, or trained for another task.
    """
    baseline = BASELINES.get(name.base)
    if baseline is not None:
        if task.name not in baseline.tasks:
            raise UsageError(
                f"{baseline.name} is for {', '.join(baseline.tasks)}, not for {task.name}."
            )
        baseline.check_installed()
        return PlannedMethod(name, task, baseline)
    weights = find_weights(None, model=name.base, task=task.name, level=level)
    info = check_purpose(weights, task.name, name.exit_block, name.nlrn_stride)
    return PlannedMethod(name, task, weights=weights, info=info)


def published_name(method: PlannedMethod) -> str | None:
    """Return what the papers call this very method, or None if they do not print it."""
    if method.baseline is not None:
        return _BASELINE_NAMES.get((method.baseline.name, method.task.name))
    assert method.info is not None
    assert method.weights is not None
    info, tta = method.info, method.name.tta
    if method.name.exit_block is not None or method.name.nlrn_stride not in _PAPERS_STRIDES:
        return None
    if info.model == "plain":
        stem = method.weights.stem.lower()
        name = next((n for n in ("VDSR", "DnCNN") if n.lower() in stem), None)
        return None if tta else name
    return _network_name(read_config(method.weights, info), tta)


def _network_name(config: ModelConfig, tta: bool) -> str | None:
    if isinstance(config, MemNetConfig):
        return None if tta else _memnet_name(config)
    if isinstance(config, REDNetConfig):
        # section 2.4 of its paper: the printed results are averaged over orientations; 64 maps are
        # "satisfactory" (section 2.1)
        return f"RED{config.depth}" if config.width in {64, REDNetConfig().width} else None
    if config != NLRNConfig():
        return None
    return "NLRN-MV" if tta else "NLRN"


def _memnet_name(config: MemNetConfig) -> str | None:
    paper = MemNetConfig(
        config.memory_blocks,
        config.recursions,
        preactivated_input=config.preactivated_input,
    )
    size = f"M{config.memory_blocks}R{config.recursions}"
    if config != paper:
        return None
    return "MemNet" if size == "M6R6" else f"MemNet-{size}"


def load_method(method: PlannedMethod, options: RuntimeOptions) -> LoadedMethod:
    """Make a planned method ready, with its first, slow call already made.

    Raises:
        WeightsError: for damaged weights.
        DeviceError: for a device that is not there.
    """
    loaded = _load_baseline(method) if method.baseline else _load_weights(method, options)
    warm_up = np.zeros((_WARM_UP_SIDE, _WARM_UP_SIDE), dtype=np.float32)
    loaded.at((*method.levels, *method.task.levels)[0])(warm_up)
    return loaded


def _load_baseline(method: PlannedMethod) -> LoadedMethod:
    baseline = method.baseline
    assert baseline is not None
    card = MethodCard(
        name=method.name.text,
        task=method.task.name,
        kind="baseline",
        published_as=published_name(method),
        precision="fp64" if baseline.package == "bm3d" else "fp32",
    )
    return LoadedMethod(
        card, lambda level: lambda degraded: baseline.restore(degraded, level / 255.0), "cpu"
    )


def _load_weights(method: PlannedMethod, options: RuntimeOptions) -> LoadedMethod:
    from memnet_cli.models.cost import multiply_adds_per_pixel
    from memnet_cli.restoration.restorer import Restorer

    name, weights = method.name, method.weights
    assert weights is not None
    chosen = replace(
        options, tta=name.tta, exit_block=name.exit_block, nlrn_stride=name.nlrn_stride
    )
    restorer: Restorer = Restorer.from_file(weights, method.task, chosen)
    model = restorer.engine.model
    work = multiply_adds_per_pixel(model, name.exit_block) * (8 if name.tta else 1)
    card = MethodCard(
        name=name.text,
        task=method.task.name,
        kind="weights",
        published_as=published_name(method),
        levels=method.levels,
        model=restorer.info.model,
        weights=weights.name,
        weights_hash=restorer.weights_hash,
        training_sets=restorer.info.training_sets,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds_per_pixel=work,
        device=str(restorer.engine.runtime).rpartition(",")[0],
        precision=restorer.engine.runtime.precision,
        tta=name.tta,
        exit_block=name.exit_block,
        nlrn_stride=name.nlrn_stride,
    )
    if card.as_it_is:
        card = replace(card, recorded=restorer.info.scores)
    return LoadedMethod(
        card, lambda _level: restorer.restore_plane, str(restorer.engine.runtime.device)
    )

"""What `memnet speed` is asked for, checked without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from memnet_cli.checkpoints import read_config, read_info
from memnet_cli.config import check_device_name, check_precision_name
from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.evaluation.baselines import BASELINES
from memnet_cli.evaluation.methods import MethodName, PlannedMethod, parse_method, plan_method
from memnet_cli.evaluation.plan import BenchmarkConfig, Plan, make_plan
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores.datasets import get_dataset, local_folder
from memnet_cli.stores.weights import locate
from memnet_cli.stores.zoo import weights_names
from memnet_cli.tasks import get_task

#: Tried in this order for a model with several: jpeg restores one plane of a picture, as it is.
_TASKS = ("jpeg", "denoise", "sr")
_LARGEST_SIDE = 1 << 15


@dataclass(frozen=True)
class SpeedConfig:
    """What the user asked for.

    Attributes:
        models: as for the benchmark, without baselines and "+".
        task: or None for the first that the weights are for.
        sizes: (height, width) of the planes.
        precisions: "auto" is what the device is good at.
        repeats: measurements of every candidate.
        side_processes: measure memory and the time to the first output too, in processes of
            their own.
    """

    models: tuple[str, ...] = ("memnet",)
    task: str | None = None
    device: str = "auto"
    sizes: tuple[tuple[int, int], ...] = ((512, 512),)
    precisions: tuple[str, ...] = ("auto",)
    repeats: int = 5
    side_processes: bool = True

    def __post_init__(self) -> None:
        """Check what can be checked without torch."""
        check_device_name(self.device)
        for precision in self.precisions:
            check_precision_name(precision)
        if self.repeats < 1:
            raise UsageError(f"--repeats {self.repeats}: expected at least 1.")


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) from "HxW" or one side.

    >>> parse_size("480x640"), parse_size("512")
    ((480, 640), (512, 512))
    """
    found = re.fullmatch(r"(\d{1,6})(?:[xX](\d{1,6}))?", text)
    sides = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not all(16 <= side <= _LARGEST_SIDE for side in sides):
        raise UsageError(
            f"'{text}' is no size: expected HEIGHTxWIDTH or one side, 16 to {_LARGEST_SIDE} pixels."
        )
    return sides


def plan_speed(config: SpeedConfig) -> tuple[PlannedMethod, ...]:
    """Find the weights of every model.

    Raises:
        UsageError: for an unknown model or task, a baseline or a self-ensemble.
        WeightsError: for weights that are missing, damaged, or for another task.
    """
    return tuple(_plan_model(text, config.task) for text in dict.fromkeys(config.models))


def _plan_model(text: str, task: str | None) -> PlannedMethod:
    name = parse_method(text)
    if name.base in BASELINES:
        raise UsageError(f"--model {text}: speed measures networks, which {name.base} is not.")
    if name.tta or name.nlrn_stride is not None:
        raise UsageError(f"--model {text}: speed is that of one pass, leave + and : out.")
    if task is None and name.is_file:
        task = read_info(Path(name.base)).task or None
    errors = []
    for choice in _TASKS if task is None else (task,):
        try:
            chosen = get_task(choice)
            # for sr pictures are enlarged by the smallest scale factor, as in `speed_subjects`
            return plan_method(name, chosen, chosen.levels[0])
        except WeightsError as error:
            errors.append(error)
    raise errors[0]


@dataclass(frozen=True)
class CurveConfig:
    """What to measure at every exit.

    Attributes:
        model: one multi-supervised MemNet.
        task: or None for the first that the dataset is for.
        level: or None for the task's first.
        limit: only the first so many images.
    """

    dataset: str
    model: str = "memnet"
    task: str | None = None
    level: int | None = None
    limit: int | None = None
    repeats: int = 5


def plan_curve(config: CurveConfig) -> Plan:
    """Plan a benchmark of all exits, the first block first and the whole network last.

    Raises:
        UsageError: for a model that is no multi-supervised MemNet, and as `make_plan`.
        DatasetError, WeightsError, DownloadError: as `make_plan`.
    """
    name = parse_method(config.model)
    task = get_task(config.task or _task_of(name) or _first_task(config.dataset))
    level = task.levels[0] if config.level is None else config.level
    if name.tta or name.exit_block is not None:
        raise UsageError(f"--model {config.model}: --exit-curve takes a model without + and @.")
    blocks = _supervised_blocks(plan_method(name, task, level))
    exits = tuple(f"{name.base}@{block}" for block in range(1, blocks + 1))
    return make_plan(
        BenchmarkConfig(
            datasets=(config.dataset,),
            tasks=(task.name,),
            levels=(level,),
            models=(*exits, name.base),
            limit=config.limit,
        )
    )


def _task_of(name: MethodName) -> str:
    """Return the one task of weights that are named; nothing of a model or a baseline."""
    if not name.is_file and name.base not in weights_names():
        return ""
    return read_info(Path(name.base) if name.is_file else locate(name.base)).task


def _first_task(dataset: str) -> str:
    if local_folder(dataset) is not None:
        return "sr"
    return (*get_dataset(dataset).tasks, "sr")[0]


def _supervised_blocks(method: PlannedMethod) -> int:
    config = None
    if method.weights is not None and method.info is not None:
        config = read_config(method.weights, method.info)
    if not isinstance(config, MemNetConfig) or not config.multi_supervised:
        raise UsageError(
            f"--exit-curve needs a multi-supervised MemNet, which {method.name.text} is not."
        )
    return config.memory_blocks

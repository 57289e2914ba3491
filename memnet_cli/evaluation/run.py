"""Carry out a planned benchmark."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType

import numpy as np
import psutil
from numpy.typing import NDArray

from memnet_cli.config import __version__
from memnet_cli.errors import DeviceError, MemnetError
from memnet_cli.evaluation.benchmark import ImageScore, Plane, evaluate
from memnet_cli.evaluation.methods import LoadedMethod, PlannedMethod, load_method
from memnet_cli.evaluation.plan import Plan, PlannedSet
from memnet_cli.evaluation.protocols import Pair
from memnet_cli.evaluation.results import Results, Row
from memnet_cli.restoration.host_memory import give_back_freed_memory

_SAMPLE_SECONDS = 0.02
_VERSIONED = ("torch", "numpy", "scikit-image", "pillow", "scipy", "PyWavelets", "bm3d")


@dataclass(frozen=True)
class Picture:
    """One restored picture as it comes out of the run, for progress and report.

    Attributes:
        pair: the clean and the damaged plane.
        restored: (H, W) float32, nominally in [0, 1].
    """

    dataset: str
    task: str
    level: int
    method: str
    score: ImageScore
    pair: Pair
    restored: NDArray[np.float32]


class PeakMemory:
    """Measures the most memory in use inside a ``with`` block, in bytes.

    On a GPU what torch allocated there; elsewhere the resident memory of this process, looked at
    every 20 ms from a thread of its own.
    """

    def __init__(self, device: str) -> None:
        self.bytes = 0
        self._device = device if device.startswith("cuda") else None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.bytes = max(self.bytes, process.memory_info().rss)
            if self._stop.wait(_SAMPLE_SECONDS):
                return

    def __enter__(self) -> PeakMemory:
        """Start measuring."""
        if self._device is None:
            # else what an earlier method needed would be counted again
            give_back_freed_memory()
            self._thread.start()
        else:
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop measuring."""
        if self._device is None:
            self._stop.set()
            self._thread.join()
        else:
            import torch

            self.bytes = torch.cuda.max_memory_allocated(self._device)


def environment() -> dict[str, str]:
    """Return the versions of everything that the numbers depend on."""
    found = {
        "memnet": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
    }
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _raise_failure(reason: BaseException) -> None:
    if not isinstance(reason, KeyboardInterrupt):
        raise reason


def run(
    plan: Plan,
    picture_done: Callable[[Picture], None] | None = None,
    *,
    ended: Callable[[BaseException], None] = _raise_failure,
) -> Results:
    """Restore and score every picture of ``plan``.

    Ctrl-C ends the run early; the rows that were finished are returned, marked as incomplete.

    Args:
        plan: what to measure.
        picture_done: told of every picture.
        ended: told why the run ends early, of Ctrl-C or a failure; where it does not raise, the
            rows that were finished are returned.

    Raises:
        DeviceError: for a device that is not there or has too little memory.
        ImageError: for a file that is no usable picture.
        WeightsError: for damaged weights.
    """
    loaded: dict[tuple[str, str, tuple[int, ...]], LoadedMethod] = {}
    rows: list[Row] = []
    complete = True
    try:
        for planned in plan.sets:
            for level in planned.levels:
                for method in planned.methods_at(level):
                    ready = _loaded(method, plan, loaded)
                    rows.append(_run_row(planned, ready, level, plan.config.seed, picture_done))
    except (KeyboardInterrupt, MemnetError, OSError, RuntimeError) as reason:
        complete = False
        ended(reason)
    except MemoryError:
        complete = False
        ended(DeviceError("There is not enough memory: give a smaller --tile."))
    return Results(
        methods=tuple(method.card for method in loaded.values()),
        rows=tuple(rows),
        seed=plan.config.seed,
        limit=plan.config.limit,
        environment=environment(),
        complete=complete,
    )


def _loaded(
    method: PlannedMethod, plan: Plan, loaded: dict[tuple[str, str, tuple[int, ...]], LoadedMethod]
) -> LoadedMethod:
    """Load a method once per task, however many datasets it is measured on."""
    key = method.name.text, method.task.name, method.levels
    if key not in loaded:
        loaded[key] = load_method(method, plan.config.runtime)
    return loaded[key]


def _run_row(
    planned: PlannedSet,
    method: LoadedMethod,
    level: int,
    seed: int,
    picture_done: Callable[[Picture], None] | None,
) -> Row:
    name = method.card.name

    def tell(score: ImageScore, pair: Pair, restored: Plane) -> None:
        if picture_done is not None:
            picture_done(
                Picture(planned.dataset, planned.task.name, level, name, score, pair, restored)
            )

    with PeakMemory(method.device) as memory:
        scores = evaluate(
            method.at(level),
            planned.images,
            planned.task,
            level,
            dataset=planned.dataset,
            seed=seed,
            image_done=tell,
        )
    seen = tuple(sorted(planned.seen.get(name, frozenset())))
    return Row(name, scores, seen, memory.bytes)

from __future__ import annotations

import numpy as np
import pytest

from memnet_cli.errors import UsageError
from memnet_cli.tasks import TASKS, get_task


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_degrading_keeps_the_size_and_hurts_more_at_the_harder_level(task: object) -> None:
    from memnet_cli.tasks import Task

    assert isinstance(task, Task)
    clean = np.add.outer(np.sin(np.arange(48) / 2), np.cos(np.arange(60))) / 4 + 0.5
    errors = []
    for level in task.levels:
        degraded = task.degrade(clean, level, np.random.default_rng(0))
        assert degraded.shape == clean.shape
        errors.append(np.mean((degraded - clean) ** 2))
    harder_last = task.name != "jpeg"  # a higher quality factor hurts less
    assert errors == sorted(errors, reverse=not harder_last)


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'denoise'"):
        get_task("denoising")


@pytest.mark.parametrize(
    ("task", "scale", "chroma", "message"),
    [
        ("sr", None, False, "needs a scale factor"),
        ("sr", 1.0, False, "out of range"),
        ("sr", 40.0, False, "out of range"),
        ("denoise", 2.0, False, "goes with --task sr"),
        ("denoise", None, True, "goes with --task jpeg"),
    ],
)
def test_options_that_do_not_go_with_the_task(
    task: str, scale: float | None, chroma: bool, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        get_task(task).check_options(scale, chroma)


def test_level_out_of_range() -> None:
    with pytest.raises(UsageError, match="quality factor 0 is out of range"):
        get_task("jpeg").check_level(0)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((), (5, 40)),
        ((10, 20), (5, 40)),
        ((5, 8, 10, 15, 20, 30, 40, 60, 80, 95), (5, 95)),
        ((10,), (10, 10)),
    ],
)
def test_the_range_of_training_is_what_weights_say(
    levels: tuple[int, ...], expected: tuple[int, int]
) -> None:
    assert get_task("jpeg").trained_range(levels) == expected

"""What `memnet speed` accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from memnet_cli.checkpoints import read_info
from memnet_cli.checkpoints.header import metadata_of
from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.evaluation.speed_plan import (
    CurveConfig,
    SpeedConfig,
    parse_size,
    plan_curve,
    plan_speed,
)
from tests.evaluation.conftest import MakeWeights


def test_sizes() -> None:
    assert parse_size("480x640") == (480, 640)
    assert parse_size("64") == (64, 64)
    for text in ("", "x", "3x", "15", "0x64", "64x99999", "-64", "64.5"):
        with pytest.raises(UsageError, match="is no size"):
            parse_size(text)


def test_task_is_that_of_the_weights(make_weights: MakeWeights) -> None:
    for task in ("sr", "denoise", "jpeg"):
        path = make_weights(task, name=f"tiny-{task}")
        (planned,) = plan_speed(SpeedConfig(models=(str(path),)))
        assert planned.task.name == task
        assert planned.weights == path


def test_weights_of_another_task_are_refused(make_weights: MakeWeights) -> None:
    path = make_weights("sr")
    with pytest.raises(WeightsError, match="trained for sr, not for jpeg"):
        plan_speed(SpeedConfig(models=(str(path),), task="jpeg"))


def test_what_is_wrong_with_a_file_is_told_and_not_its_task(make_weights: MakeWeights) -> None:
    path = make_weights("sr")
    config = json.dumps({**read_info(path).config, "memory_blocks": 10**9})
    metadata = {**metadata_of(read_info(path)), "config": config}
    save_file(load_file(path), path, metadata=metadata)
    with pytest.raises(WeightsError, match="memory_blocks"):
        plan_speed(SpeedConfig(models=(str(path),)))


@pytest.mark.parametrize("model", ["bicubic", "memnet+", "nlrn:7", "nosuch"])
def test_what_is_no_network_is_refused(model: str) -> None:
    with pytest.raises(UsageError):
        plan_speed(SpeedConfig(models=(model,)))


def test_curve_has_every_exit_and_the_whole_network_last(
    make_weights: MakeWeights, picture_folder: Path
) -> None:
    config = CurveConfig(f"{picture_folder}", model=str(make_weights("denoise")), task="denoise")
    (planned,) = plan_curve(config).sets
    assert [method.name.exit_block for method in planned.methods] == [1, 2, None]
    assert planned.levels == (30,)


def test_curve_has_the_task_of_the_weights(make_weights: MakeWeights, picture_folder: Path) -> None:
    for task in ("sr", "denoise", "jpeg"):
        model = str(make_weights(task, name=f"tiny-{task}"))
        (planned,) = plan_curve(CurveConfig(str(picture_folder), model=model)).sets
        assert planned.task.name == task


def test_curve_refuses_names_with_exits(picture_folder: Path) -> None:
    for model in ("memnet@2", "memnet+"):
        with pytest.raises(UsageError, match="without"):
            plan_curve(CurveConfig(str(picture_folder), model=model))

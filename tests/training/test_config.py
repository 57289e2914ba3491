"""Budgets, levels, and what a run is known by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from memnet_cli.errors import UsageError
from memnet_cli.training.config import (
    Budget,
    Machine,
    TrainingConfig,
    config_from_identity,
    identity,
    parse_duration,
)
from memnet_cli.training.recipe_files import load_recipe


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("9m", 540), ("1h30m", 5400), ("2d", 172800), ("0.5h", 1800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "9 minutes", "m", "-5m", "0s", "1x"])
def test_texts_that_are_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration"):
        parse_duration(text)


def test_a_budget_is_one_of_three() -> None:
    assert str(Budget(steps=5)) == "5 steps"
    with pytest.raises(UsageError, match="exactly one of --steps, --epochs and --time"):
        Budget(steps=5, seconds=60)
    with pytest.raises(UsageError, match="exactly one"):
        Budget()
    with pytest.raises(UsageError, match="budget is 0"):
        Budget(seconds=0)
    for epochs in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match=f"budget is {epochs}"):
            Budget(epochs=epochs)


def test_levels_are_those_of_the_papers_or_wider(tiny: TrainingConfig) -> None:
    denoise = replace(tiny, task="denoise")
    assert tiny.levels() == (2, 3, 4)
    assert denoise.levels() == (5, 30, 50, 70, 75)
    assert denoise.sigma_range() == (5, 75)
    assert denoise.measured_levels() == (30, 50, 70)
    paper = replace(denoise, recipe=load_recipe("paper", "memnet"))
    assert (paper.levels(), paper.sigma_range()) == ((30, 50, 70), None)
    single = replace(denoise, recipe=replace(denoise.recipe, levels=(25,)))
    assert (single.levels(), single.measured_levels(), single.sigma_range()) == ((25,), (25,), None)
    assert replace(tiny, task="jpeg").measured_levels() == (10, 20)


def test_what_does_not_go_together_is_refused(tiny: TrainingConfig) -> None:
    with pytest.raises(UsageError, match="nothing to train on"):
        replace(tiny, data=())
    with pytest.raises(UsageError, match="scale factor 50 is out of range"):
        replace(tiny, recipe=replace(tiny.recipe, levels=(50,)))
    jpeg = replace(tiny, task="jpeg")
    for qualities, message in (((10, 101), "quality factor 101"), ((), "no level to train for")):
        with pytest.raises(UsageError, match=message):
            replace(jpeg, recipe=replace(jpeg.recipe, qualities=qualities))
    with pytest.raises(UsageError, match="Only MemNet grows, not rednet"):
        replace(tiny, model="rednet", recipe=load_recipe("growth", "rednet"))
    growing = replace(load_recipe("growth", "memnet"), model={"recursions": 6})
    with pytest.raises(UsageError, match=r"grow_to is \[2, 6\]: expected more than the 6 recurs"):
        replace(tiny, model="memnet", recipe=growing)
    replace(tiny, model="memnet", recipe=growing, init=(Path("larger.safetensors"),))
    with pytest.raises(UsageError, match="has no setting 'blocks'"):
        replace(tiny, recipe=replace(tiny.recipe, model={"blocks": 3}))
    with pytest.raises(UsageError, match="--sync-bn does not go with --compile"):
        Machine(sync_bn=True, compile=True)
    with pytest.raises(UsageError, match="--gradient-checkpointing does not go with --compile"):
        Machine(gradient_checkpointing=True, compile=True)
    with pytest.raises(UsageError, match="fp16 would need loss scaling"):
        Machine(precision="fp16")
    with pytest.raises(UsageError, match="not trained in int8"):
        Machine(precision="int8")


def test_a_run_is_known_by_all_that_decides_its_weights(tiny: TrainingConfig) -> None:
    config = replace(tiny, init=(Path("a.safetensors"),), teachers=(Path("b.safetensors"),))
    config = replace(config, validation="Set5", validation_limit=2)
    stored = json.loads(json.dumps(identity(config)))
    again = config_from_identity(stored, config.out, config.machine)
    assert again == replace(config, resume=True)
    assert identity(replace(config, machine=Machine("cpu", keep=7))) == identity(config)
    assert identity(replace(config, seed=1)) != identity(config)
    for files in ((), (Path("b.safetensors"), Path("c.safetensors"))):
        several = replace(config, init=files, teachers=files)
        stored = json.loads(json.dumps(identity(several)))
        again = config_from_identity(stored, config.out, config.machine)
        assert (again.init, again.teachers) == (files, files)
    with pytest.raises(UsageError, match="holds no run that can be resumed"):
        config_from_identity({"task": "sr"}, config.out, config.machine)

"""Recipes: the papers' settings, overrides, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tomllib

from memnet_cli.errors import UsageError
from memnet_cli.training.recipe_files import (
    load_recipe,
    recipe_from_mapping,
    recipe_to_mapping,
    to_toml,
)


def test_the_recipe_of_the_memnet_paper() -> None:
    # papers/memnet.txt, section 5.1
    recipe = load_recipe("paper", "memnet")
    assert (recipe.optimizer, recipe.lr, recipe.momentum) == ("sgd", 0.1, 0.9)
    assert (recipe.weight_decay, recipe.batch) == (1e-4, 64)
    assert (recipe.patch, recipe.stride) == (31, 21)
    assert (recipe.schedule, recipe.drop_factor, recipe.drop_every_epochs) == ("step", 0.1, 20)
    assert (recipe.loss, recipe.alpha, recipe.clip_kind) == ("l2", 0.0, "adjustable")
    assert not recipe.wide


def test_the_recipe_of_the_rednet_paper() -> None:
    # papers/rednet.txt, section 2.3
    recipe = load_recipe("paper", "rednet")
    assert (recipe.optimizer, recipe.lr, recipe.patch) == ("adam", 1e-4, 50)
    assert recipe.loss == "l2"


def test_the_recipe_of_the_nlrn_paper() -> None:
    # papers/nlrn.txt, section 4.1, "Training settings"
    recipe = load_recipe("paper", "nlrn")
    assert (recipe.optimizer, recipe.lr, recipe.batch) == ("adam", 1e-3, 16)
    assert (recipe.clip, recipe.clip_kind, recipe.patch) == (0.5, "norm", 45)
    drops = recipe.epochs / recipe.drop_every_epochs - 1
    assert (recipe.drop_factor, drops) == (0.5, 5)


def test_fast_and_growth_are_as_the_issue_has_them() -> None:
    fast = load_recipe("fast", "memnet")
    assert (fast.optimizer, fast.schedule) == ("adamw", "cosine")
    assert fast.ema > 0
    growth = load_recipe("growth", "memnet")
    assert growth.model["recursions"] == 1
    assert growth.grow_to[-1] == 6


def test_continuing_is_gentler_than_beginning() -> None:
    growth, onward = load_recipe("growth", "memnet"), load_recipe("continue", "memnet")
    assert (onward.name, onward.optimizer) == ("continue", growth.optimizer)
    assert onward.lr < growth.lr
    assert onward.side_lr < growth.side_lr
    assert onward.refit > 0
    assert onward.freeze_statistics
    assert not growth.freeze_statistics
    assert not onward.model
    assert load_recipe("continue", "rednet").model == {}


def test_there_is_no_paper_for_the_plain_networks() -> None:
    with pytest.raises(UsageError, match="no recipe of a paper for the model 'plain'"):
        load_recipe("paper", "plain")


def test_overrides_reach_fields_lists_and_the_model() -> None:
    recipe = load_recipe(
        "fast", "memnet", ["lr=2e-4", "batch = 8", "levels=2,3", "model.width=32", "loss=l2"]
    )
    assert (recipe.lr, recipe.batch, recipe.levels) == (2e-4, 8, (2, 3))
    assert (recipe.model, recipe.loss) == ({"width": 32}, "l2")
    assert load_recipe("fast", "memnet", ["lr=1"]).lr == 1.0
    assert load_recipe("fast", "memnet", ["levels=30"]).levels == (30,)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learning_rate=1", "A recipe has no setting 'learning_rate'"),
        ("bach=1", "Did you mean 'batch'"),
        ("lr", "'lr' sets nothing: expected NAME=VALUE"),
        ("lr=fast", "lr is 'fast': expected a number"),
        ("batch=1.5", "batch is 1.5: expected a whole number"),
        ("augment=1", "augment is 1: expected true or false"),
        ("optimizer=moun", "optimizer is 'moun': expected one of .* Did you mean 'muon'"),
        ("whitened=true", "whitened is True: expected false with any optimizer but muon"),
        ("lr=-1", "lr is -1.0: expected more than 0"),
        ("epsilon=0", "epsilon is 0.0: expected more than 0"),
        ("ema=1.0", "ema is 1.0: expected less than 1"),
        ("accumulate=3", "batch is 16: expected a multiple of accumulate"),
        ("grow_at=0.5", "grow_to is .*: expected rising recursions, one for each"),
        ("restart_at=0.6,0.4", "restart_at is .*: expected rising shares"),
        ("sigmas=5", "sigmas is 5: expected two numbers"),
        ("hardest_of=0", "hardest_of is 0: expected 1 or more"),
        ("hardest_of=1000000000", "hardest_of is 1000000000: expected 100 at most"),
        ("lr=1e400", "lr is inf: expected a finite number"),
        ("weight_decay=inf", "weight_decay is inf: expected a finite number"),
        ("drawn=1.5", "drawn is 1.5: expected 0 to 1"),
        ("chroma=1.5", "chroma is 1.5: expected 0 to 1"),
        ("chroma=0.6 drawn=0.5", "chroma is 0.6: expected 1 at most, with drawn"),
        ("chroma=0.5 stride=16", "chroma is 0.5: expected 0 with a grid of patches"),
        ("sizes=2.0", "sizes is .*: expected sizes over 0 and up to 1"),
        ("turns=45,90", "turns is .*: expected degrees over 0 and under 90"),
        ("sizes=1.0 turns=45", "turns is .*: expected none without a size under 1"),
        ("sizes=1.0 mixed=0.5", "mixed is 0.5: expected 0 without a size under 1"),
        ("mixed=2", "mixed is 2.0: expected 0 to 1"),
        ("negatives=-1", "negatives is -1.0: expected 0 to 1"),
        ("contrasts=1.0,0.0", "contrasts is .*: expected contrasts over 0 and up to 10"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("fast", "memnet", override.split())


def test_a_recipe_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('lr = 3e-4\nloss = "charbonnier"\n[model]\nmemory_blocks = 4\n')
    recipe = load_recipe(str(path), "memnet")
    assert (recipe.name, recipe.lr, recipe.model) == ("mine", 3e-4, {"memory_blocks": 4})
    path.write_text("lr = = 3")
    with pytest.raises(UsageError, match=r"mine.toml is no TOML"):
        load_recipe(str(path), "memnet")
    with pytest.raises(UsageError, match="Cannot read the recipe"):
        load_recipe(str(tmp_path / "none.toml"), "memnet")
    with pytest.raises(UsageError, match=r"no recipe 'growht'.* Did you mean 'growth'"):
        load_recipe("growht", "memnet")


@pytest.mark.parametrize("model", ["memnet", "rednet", "nlrn"])
def test_a_recipe_survives_being_written(model: str, tmp_path: Path) -> None:
    recipe = load_recipe("paper", model, ["model.width=16", "grow_to=2", "grow_at=0.5"])
    assert recipe_from_mapping(recipe_to_mapping(recipe)) == recipe
    path = tmp_path / "again.toml"
    path.write_text(to_toml(recipe_to_mapping(recipe)))
    assert load_recipe(str(path), model) == recipe


@pytest.mark.parametrize("name", ["\U0001f600.toml", "caf\u00e9.toml", os.fsdecode(b"\xe9.toml")])
def test_a_recipe_of_any_name_is_toml_again(name: str) -> None:
    """The letter beyond 16 bits is two halves in JSON; the byte that is no UTF-8 is none."""
    read = tomllib.loads(to_toml({"name": name, "model": {"width": 4}}))
    assert read["model"] == {"width": 4}
    assert read["name"] == name.encode("utf-8", "replace").decode()

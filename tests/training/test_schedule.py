"""Learning rates and growth stages over a run."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from memnet_cli.training.recipe import Recipe
from memnet_cli.training.recipe_files import load_recipe
from memnet_cli.training.schedule import lr_factor, stage_at


def test_the_cosine_rises_falls_and_ends_low() -> None:
    recipe = Recipe(warmup=0.1, final_lr=0.01)
    assert lr_factor(recipe, 0.0, 1) == 0.0
    assert lr_factor(recipe, 0.05, 1) == pytest.approx(0.5 * lr_factor(recipe, 0.1, 1), rel=0.02)
    middle = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * 0.5))
    assert lr_factor(recipe, 0.5, 1) == pytest.approx(middle)
    assert lr_factor(recipe, 1.0, 1) == pytest.approx(0.01)


def test_the_cosine_starts_again() -> None:
    recipe = Recipe(warmup=0.0, final_lr=0.0, restart_at=(0.5,), restart_lr=0.3)
    assert lr_factor(recipe, 0.4999999, 1) == pytest.approx(0.0, abs=1e-9)
    assert lr_factor(recipe, 0.5, 1) == pytest.approx(0.3)
    assert lr_factor(recipe, 0.75, 1) == pytest.approx(0.15)
    assert lr_factor(recipe, 1.0, 1) == pytest.approx(0.0)


def test_memnet_divides_by_ten_every_twenty_epochs() -> None:
    recipe = load_recipe("paper", "memnet")
    factors = [lr_factor(recipe, epoch / 60, 60) for epoch in (0, 19.99, 20, 39.99, 40, 59)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    # a longer run drops more often, one that has nine minutes as often as the paper's
    assert lr_factor(recipe, 65 / 80, 80) == pytest.approx(0.001)


def test_nlrn_halves_five_times() -> None:
    recipe = load_recipe("paper", "nlrn")
    factors = {lr_factor(recipe, k / 1000, recipe.epochs) for k in range(1000)}
    assert sorted(factors, reverse=True) == [0.5**n for n in range(6)]


def test_stages_begin_at_their_share() -> None:
    recipe = replace(Recipe(), grow_to=(2, 6), grow_at=(0.4, 0.7))
    assert [stage_at(recipe, share) for share in (0, 0.39, 0.4, 0.69, 0.7, 1)] == [0, 0, 1, 1, 2, 2]

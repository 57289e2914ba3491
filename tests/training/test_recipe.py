"""Recipes: what a record of settings refuses."""

from __future__ import annotations

import pytest

from memnet_cli.errors import UsageError
from memnet_cli.training.recipe import Recipe


def test_the_defaults_are_sound() -> None:
    assert Recipe().name == "own"


def test_a_grid_takes_every_patch_however_hard() -> None:
    with pytest.raises(UsageError, match="hardest_of is 2: expected 1 with a grid of patches"):
        Recipe(stride=21, hardest_of=2)
    with pytest.raises(UsageError, match=r"drawn is 0.1: expected 0 with a grid of patches"):
        Recipe(stride=21, drawn=0.1)

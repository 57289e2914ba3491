"""What a run draws, next to the runs before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from memnet_cli.checkpoints import WeightsInfo, save_weights
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.training.config import TrainingConfig
from tests.training.conftest import session_of, with_recipe

_WHOLE = slice(None)


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    """Return weights of a hundred steps."""
    path = tmp_path / "learned.safetensors"
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4)
    info = WeightsInfo("memnet", config_to_mapping(config), "denoise", (30,), steps=100)
    save_weights(path, build_model(config), info)
    return path


@pytest.mark.parametrize("stride", [0, 8])
def test_a_run_that_goes_on_draws_what_one_long_run_would(
    tiny: TrainingConfig, learned: Path, stride: int
) -> None:
    fresh = replace(with_recipe(tiny, f"stride={stride}"), task="denoise")
    first, second = session_of(fresh), session_of(replace(fresh, init=(learned,)))
    for step in range(3):
        expected = first.batch(100 + step, _WHOLE)
        torch.testing.assert_close(second.batch(step, _WHOLE), expected, rtol=0.0, atol=0.0)
        assert not torch.equal(second.batch(step, _WHOLE)[1], first.batch(step, _WHOLE)[1])


def test_a_run_that_goes_on_has_other_drawings(tiny: TrainingConfig, learned: Path) -> None:
    fresh = replace(with_recipe(tiny, "drawn=0.5", "stride=0"), task="denoise")
    first, second = session_of(fresh), session_of(replace(fresh, init=(learned,)))
    assert first.sampler.drawings == second.sampler.drawings > 0
    assert not torch.equal(first.damage.pictures.pixels, second.damage.pictures.pixels)


def test_jpegs_before_jpegs_are_those_of_one_long_run_too(
    tiny: TrainingConfig, tmp_path: Path
) -> None:
    path = tmp_path / "learned.safetensors"
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4)
    info = WeightsInfo("memnet", config_to_mapping(config), "jpeg", (10, 80), steps=100)
    save_weights(path, build_model(config), info)
    recipe = with_recipe(tiny, "qualities=10,80", "resaved=1.0", "stride=0")
    fresh = replace(recipe, task="jpeg")
    first, second = session_of(fresh), session_of(replace(fresh, init=(path,)))
    for step in range(3):
        assert torch.equal(second.batch(step, _WHOLE)[1], first.batch(100 + step, _WHOLE)[1])
        assert not torch.equal(second.batch(step, _WHOLE)[1], first.batch(step, _WHOLE)[1])


def test_a_level_named_twice_is_drawn_twice_as_often(tiny: TrainingConfig) -> None:
    session = session_of(with_recipe(tiny, "levels=2,4,4", "batch=6", "stride=0"))
    drawn = [session.sampler.draw(step).level for step in range(5)]
    assert all(sorted(level) == [2, 2, 4, 4, 4, 4] for level in drawn)
    assert session.data.origin.levels == (2, 4)


def test_jpeg_pictures_that_were_saved_before_are_drawn_in_their_share(
    tiny: TrainingConfig,
) -> None:
    settings = ("qualities=10,80", "batch=8", "stride=0")
    recipe = with_recipe(tiny, *settings, "resaved=0.25")
    resaved = session_of(replace(recipe, task="jpeg"))
    drawn = [resaved.sampler.draw(step).altered for step in range(100)]
    assert 0.2 < np.mean(drawn) < 0.3
    assert resaved.damage.chance(0, 8).earlier is not None
    usual = session_of(replace(with_recipe(tiny, *settings), task="jpeg"))
    assert usual.damage.chance(0, 8).earlier is None
    narrow = with_recipe(tiny, *settings, "resaved=0.25", "wide=false")
    assert session_of(replace(narrow, task="jpeg")).sampler.altered == 0.0

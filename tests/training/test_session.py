"""What a run draws, next to the runs before it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from memnet_cli.checkpoints import WeightsInfo, save_weights
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.training.clock import Clock
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.data import gather_data
from memnet_cli.training.distributed import World
from memnet_cli.training.records import RunFolder
from memnet_cli.training.session import Session, prepare_session
from memnet_cli.training.stopping import StopRequest
from tests.training.conftest import with_recipe

_WHOLE = slice(None)


def _session(config: TrainingConfig) -> Session:
    return prepare_session(
        config,
        gather_data(config),
        World(),
        resolve_runtime("cpu", "fp32"),
        RunFolder(config.out),
        Clock(time.monotonic(), budget=None),
        StopRequest(),
        lambda _event: None,
    )


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
    first, second = _session(fresh), _session(replace(fresh, init=learned))
    for step in range(3):
        for one, other in zip(
            second.batch(step, _WHOLE), first.batch(100 + step, _WHOLE), strict=True
        ):
            assert torch.equal(one, other)
        assert not torch.equal(second.batch(step, _WHOLE)[1], first.batch(step, _WHOLE)[1])


def test_a_run_that_goes_on_has_other_drawings(tiny: TrainingConfig, learned: Path) -> None:
    fresh = replace(with_recipe(tiny, "drawn=0.5", "stride=0"), task="denoise")
    first, second = _session(fresh), _session(replace(fresh, init=learned))
    assert first.sampler.drawings == second.sampler.drawings > 0
    assert not torch.equal(first.damage.pictures.pixels, second.damage.pictures.pixels)

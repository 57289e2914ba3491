"""Where a run starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from memnet_cli.checkpoints import WeightsInfo, read_info, save_weights
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.events import Event, Note
from tests.training.conftest import run, with_recipe


@pytest.mark.parametrize(
    ("blocks", "recursions", "told"),
    [
        (2, 1, ["Cut down to 1 of the 3 recursions of three.safetensors."]),
        (1, 3, ["Cut down to 1 of the 2 memory blocks of three.safetensors."]),
        (2, 3, []),
        (3, 4, []),
    ],
)
def test_a_run_says_what_it_cuts_off_its_first_weights(
    tiny: TrainingConfig, tmp_path: Path, blocks: int, recursions: int, told: list[str]
) -> None:
    path = tmp_path / "three.safetensors"
    config = MemNetConfig(memory_blocks=2, recursions=3, width=4)
    save_weights(
        path,
        build_model(config),
        WeightsInfo("memnet", config_to_mapping(config), "denoise", (30,)),
    )
    said: list[Event] = []
    sizes = (f"model.memory_blocks={blocks}", f"model.recursions={recursions}")
    result = run(replace(with_recipe(tiny, *sizes), init=(path,)), said.append)
    kept = read_info(result.weights).config
    assert (kept["memory_blocks"], kept["recursions"]) == (blocks, recursions)
    cut = [event.text for event in said if isinstance(event, Note) and "Cut" in event.text]
    assert cut == told


def test_a_run_says_that_its_squares_are_others(tiny: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "pixels.safetensors"
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4)
    info = WeightsInfo("memnet", config_to_mapping(config), "denoise", (30,))
    save_weights(path, build_model(config), info)
    said: list[Event] = []
    result = run(replace(with_recipe(tiny, "model.unshuffle=2"), init=(path,)), said.append)
    assert read_info(result.weights).config["unshuffle"] == 2
    told = [event.text for event in said if isinstance(event, Note) and "squares" in event.text]
    assert told == [
        "Works on squares of 2x2 pixels, pixels.safetensors on 1x1: it is a start, not the same."
    ]

"""Half precision and compiled networks train as float32 ones do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.events import Event, Progress
from tests.training.conftest import checkpoint_of, run


def _last_loss(config: TrainingConfig) -> float:
    said: list[Event] = []
    run(config, said.append)
    return next(event.loss for event in reversed(said) if isinstance(event, Progress))


def test_bf16_trains_float32_weights(tiny: TrainingConfig) -> None:
    half = replace(
        tiny, machine=replace(tiny.machine, precision="bf16"), out=tiny.out.with_name("half")
    )
    assert _last_loss(half) == pytest.approx(_last_loss(tiny), rel=0.02)
    assert all(str(value.dtype) == "torch.float32" for value in checkpoint_of(half).model.values())


@pytest.mark.slow
def test_a_compiled_network_trains_the_same(tiny: TrainingConfig) -> None:
    quick = replace(
        tiny, machine=replace(tiny.machine, compile=True), out=tiny.out.with_name("quick")
    )
    assert _last_loss(quick) == pytest.approx(_last_loss(tiny), rel=1e-4)

"""TensorBoard events, read back with TensorBoard itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memnet_cli.errors import UsageError
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.tensorboard import check_tensorboard
from tests.training.conftest import run


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memnet_cli.training.tensorboard.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'memnet-cli\[tensorboard\]'"):
        check_tensorboard()


def test_losses_and_scores_are_written(tiny: TrainingConfig) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = run(replace(tiny, machine=replace(tiny.machine, tensorboard=True)))
    events = reader.EventAccumulator(str(tiny.out / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 5, 6]
    (score,) = events.Scalars("held-back 2/psnr")
    assert score.value == pytest.approx(result.scores[2].psnr, abs=1e-3)

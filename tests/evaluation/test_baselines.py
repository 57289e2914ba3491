from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from memnet_cli.errors import UsageError
from memnet_cli.evaluation import baselines
from memnet_cli.evaluation.baselines import BASELINES, UNTOUCHED
from memnet_cli.evaluation.protocols import Pair, prepare
from memnet_cli.imaging.metrics import psnr
from memnet_cli.tasks import TASKS

SIGMA = 50
# what each should at least gain over the noisy picture, in dB
GAINS = {"nlm": 8.0, "tv": 8.0, "wavelet": 7.0, "bm3d": 10.0}


@pytest.fixture
def noisy(photograph: NDArray[np.uint8], rng: np.random.Generator) -> Pair:
    return prepare(photograph[:128, 150:278], TASKS["denoise"], SIGMA, rng)


@pytest.mark.parametrize("name", GAINS)
def test_denoisers_gain_over_the_noise(noisy: Pair, name: str) -> None:
    baseline = BASELINES[name]
    if baseline.package is not None:
        pytest.importorskip(baseline.package)
    degraded = noisy.degraded.astype(np.float32)
    restored = baseline.restore(degraded, SIGMA / 255)
    assert restored.dtype == np.float32
    assert restored.shape == degraded.shape
    gain = psnr(noisy.clean, restored * 255) - psnr(noisy.clean, degraded * 255)
    assert gain > GAINS[name]


def test_the_input_is_handed_back_untouched(noisy: Pair) -> None:
    assert UNTOUCHED == ("degraded", "bicubic")
    degraded = noisy.degraded.astype(np.float32)
    for name in UNTOUCHED:
        np.testing.assert_array_equal(BASELINES[name].restore(degraded, 0.1), degraded)


def test_missing_package_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="--model bm3d needs the package bm3d: run `pip install"):
        BASELINES["bm3d"].check_installed()
    BASELINES["nlm"].check_installed()

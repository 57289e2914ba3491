"""The fast path is used where it is right, and left where it is not."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from memnet_cli.imaging.metrics import psnr
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig, REDNetConfig
from memnet_cli.models.kernels import PLAIN, Kernels
from memnet_cli.restoration import fast as fast_module
from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.restoration.fast import fast_model
from memnet_cli.restoration.memory import peak_bytes_per_pixel
from memnet_cli.restoration.restorer import Restorer

SMALL = MemNetConfig(2, 2, 8)


@pytest.mark.parametrize("task", ["sr", "denoise", "jpeg"])
def test_real_pictures_come_out_the_same(task: str, photograph: NDArray[np.uint8]) -> None:
    shipped = Restorer.load(task=task, precision="fp32")
    clean = photograph[60:156, 150:246, 1] / 255.0
    level = shipped.task.levels[-1]
    degraded = shipped.task.degrade(clean, level, np.random.default_rng(0)).astype(np.float32)
    assert shipped.engine.fast is not None
    slow = replace(shipped, engine=replace(shipped.engine, fast=None))
    results = [restorer.restore_plane(degraded) for restorer in (shipped, slow)]
    change = np.abs(results[1] - degraded).max()
    assert np.abs(results[0] - results[1]).max() < 1e-5 * change + 2e-6
    difference = psnr(clean, results[0], 1.0) - psnr(clean, results[1], 1.0)
    assert abs(difference) < 1e-3


def test_kernels_that_fail_or_differ_are_left_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> torch.Tensor:
        raise RuntimeError("no such instruction\nlong story")

    def wrong(x: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.rand_like(x)

    runtime, model = resolve_runtime("cpu", "fp32"), build_model(SMALL).eval()
    for conv, reason in ((fails, "no such instruction"), (wrong, "differs by")):
        broken = Kernels("broken", torch.contiguous_format, conv, conv, PLAIN.conv_to_one)
        monkeypatch.setattr(fast_module, "kernels_for", lambda *_, broken=broken: broken)
        with caplog.at_level(logging.WARNING):
            chosen = fast_model(model, runtime)
        assert chosen is not None  # plain kernels still do
        assert reason in caplog.text
        assert "long story" not in caplog.text
        monkeypatch.setattr(fast_module, "PLAIN", broken)
        assert fast_model(model, runtime) is None
        monkeypatch.undo()
        caplog.clear()


def test_other_networks_have_none() -> None:
    model = build_model(REDNetConfig(depth=10, width=4)).eval()
    assert fast_model(model, resolve_runtime("cpu", "fp32")) is None


def test_m6r6_takes_at_most_a_kilobyte_and_a_half_per_pixel() -> None:
    model = build_model(MemNetConfig())
    plain = peak_bytes_per_pixel(model, torch.bfloat16)
    fused = peak_bytes_per_pixel(model, torch.bfloat16, fused=True)
    assert fused <= 1536
    assert fused < plain

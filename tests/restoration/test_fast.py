"""The fast path is used where it is right, and left where it is not."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from memnet_cli.imaging.metrics import psnr
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig, REDNetConfig
from memnet_cli.models.fused import FusedMemNet
from memnet_cli.models.kernels import PLAIN, Kernels
from memnet_cli.models.memnet import MemNet
from memnet_cli.restoration import fast as fast_module
from memnet_cli.restoration.devices import Runtime, resolve_runtime
from memnet_cli.restoration.fast import fast_model, int8_model
from memnet_cli.restoration.memory import peak_bytes_per_pixel
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.tasks import get_task

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


@pytest.mark.parametrize("task", ["sr", "denoise", "jpeg"])
def test_int8_restores_real_pictures_within_a_twentieth_of_a_decibel(
    task: str, photograph: NDArray[np.uint8]
) -> None:
    exact = Restorer.load(task=task, precision="fp32")
    quantised = Restorer.load(task=task, precision="int8")
    if quantised.engine.runtime.precision != "int8":
        pytest.skip("this CPU or this torch has no oneDNN convolutions in 8 bits")
    # of 96 x 96 pixels the losses scatter by as much as they are
    clean = photograph[30:222, 130:322, 1] / 255.0
    for level in exact.task.levels:
        damaged = exact.task.degrade(clean, level, np.random.default_rng(0)).astype(np.float32)
        results = [restorer.restore_plane(damaged) for restorer in (exact, quantised)]
        assert (results[0] != results[1]).any()
        assert psnr(clean, results[1], 1.0) > psnr(clean, results[0], 1.0) - 0.05


def test_int8_falls_back_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> torch.Tensor:
        raise RuntimeError("no such instruction\nlong story")

    def mirrored(model: MemNet, *_: object) -> FusedMemNet:
        wrong = copy.deepcopy(model)
        torch.nn.init.normal_(wrong.feature.conv.weight)
        return FusedMemNet(wrong, torch.float32, PLAIN)

    runtime, task = Runtime(torch.device("cpu"), "int8"), get_task("jpeg")
    model = build_model(SMALL).eval()
    for build, reason in ((fails, "no such instruction"), (mirrored, "differs by")):
        monkeypatch.setattr(fast_module, "quantised_memnet", build)
        with caplog.at_level(logging.WARNING):
            assert int8_model(model, runtime, task) is None
        assert f"is used instead: {reason}" in caplog.text.replace("its result ", "")
        caplog.clear()
    other = build_model(REDNetConfig(depth=10, width=4)).eval()
    with caplog.at_level(logging.WARNING):
        assert int8_model(other, runtime, task) is None
    assert "MemNet only" in caplog.text


def test_the_runtime_says_what_int8_fell_back_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memnet_cli.restoration.restorer.int8_model", lambda *_: None)
    engine = Restorer.load(task="sr", precision="int8").engine
    assert engine.runtime == resolve_runtime("cpu", "auto")
    assert engine.fast is not None


def test_kernels_that_fail_or_differ_are_left_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> torch.Tensor:
        raise RuntimeError("no such instruction\nlong story")

    def wrong(x: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.rand_like(x)

    runtime, model = resolve_runtime("cpu", "fp32"), build_model(SMALL).eval()
    for conv, reason in ((fails, "no such instruction"), (wrong, "differs by")):
        broken = Kernels("broken", torch.contiguous_format, conv, conv, PLAIN.conv_to_few)
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


@pytest.mark.parametrize("allowed", [True, False])
def test_a_gpu_may_round_convolutions_in_float32(
    monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    """TF32 has 10 bits for a fraction; no other device has it."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    gpu, cpu = (Runtime(torch.device(kind), "fp32") for kind in ("cuda", "cpu"))
    assert fast_module._tolerance(cpu) == 1e-4
    assert (fast_module._tolerance(gpu) > 2**-10) is allowed
    assert fast_module._tolerance(Runtime(torch.device("cuda"), "bf16")) == 0.1


def test_other_networks_have_none() -> None:
    model = build_model(REDNetConfig(depth=10, width=4)).eval()
    assert fast_model(model, resolve_runtime("cpu", "fp32")) is None


def test_m6r6_takes_at_most_a_kilobyte_and_a_half_per_pixel() -> None:
    model = build_model(MemNetConfig())
    with torch.device("meta"):  # counted, not computed: a CPU without bf16 takes half a minute
        shadow = build_model(MemNetConfig())
    plain = peak_bytes_per_pixel(shadow, torch.bfloat16)
    fused = peak_bytes_per_pixel(model, torch.bfloat16, fused=True)
    assert fused <= 1536
    assert fused < plain

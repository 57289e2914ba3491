from __future__ import annotations

import pytest
import torch

from memnet_cli.errors import DeviceError, UsageError
from memnet_cli.restoration import devices
from memnet_cli.restoration.devices import resolve_runtime


def test_cpu_by_name_and_what_the_summary_says() -> None:
    runtime = resolve_runtime("cpu", "fp32")
    assert (runtime.device.type, runtime.dtype) == ("cpu", torch.float32)
    assert str(runtime) == f"cpu ({torch.get_num_threads()} threads), fp32"


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_bf16_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, fast: bool, precision: str
) -> None:
    monkeypatch.setattr(devices, "fast_bf16", lambda _device: fast)
    assert resolve_runtime("cpu", "auto").precision == precision


def test_auto_prefers_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_runtime("auto", "fp32").device.type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_runtime("auto", "fp32").device.type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert resolve_runtime("auto", "fp32").device == torch.device("cuda", 0)


@pytest.mark.parametrize("name", ["cuda", "cuda:3", "mps"])
def test_missing_device_is_an_error_never_the_cpu(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=f"{name} was asked for"):
        resolve_runtime(name)


def test_fp16_on_a_cpu() -> None:
    with pytest.raises(DeviceError, match="too slow"):
        resolve_runtime("cpu", "fp16")


def test_int8_is_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_runtime("cpu", "int8").precision == "int8"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(DeviceError, match="int8 is for CPUs, and mps was picked"):
        resolve_runtime("mps", "int8")


@pytest.mark.parametrize("units", [True, False])
def test_what_int8_leaves_is_the_best_type(units: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memnet_cli.restoration.devices.fast_bf16", lambda _: units)
    runtime = resolve_runtime("cpu", "int8")
    assert runtime.dtype == (torch.bfloat16 if units else torch.float32)
    assert runtime.without_int8 == resolve_runtime("cpu", "auto")
    exact = resolve_runtime("cpu", "fp32")
    assert exact.without_int8 is exact


@pytest.mark.parametrize(("device", "precision"), [("gpu", "auto"), ("cpu", "fp8")])
def test_names_that_are_none(device: str, precision: str) -> None:
    with pytest.raises(UsageError, match="is no"):
        resolve_runtime(device, precision)

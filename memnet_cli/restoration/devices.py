"""Which device computes, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from memnet_cli.config import check_device_name, check_precision_name
from memnet_cli.errors import DeviceError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """A device and the number format that the model's convolutions use on it.

    Attributes:
        device: where it computes.
        precision: fp32, bf16, fp16 or int8.
    """

    device: torch.device
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """The torch type behind ``precision``; of int8, that of all but its convolutions."""
        if self.precision == "int8":
            return self.without_int8.dtype
        return _DTYPES[self.precision]

    @property
    def without_int8(self) -> Runtime:
        """Itself, or of int8 what computes instead: the device's best floating-point type."""
        if self.precision != "int8":
            return self
        return Runtime(self.device, _best_precision(self.device))

    def __str__(self) -> str:
        if self.device.type == "cuda":
            return f"{self.device} ({torch.cuda.get_device_name(self.device)}), {self.precision}"
        if self.device.type == "cpu":
            return f"cpu ({torch.get_num_threads()} threads), {self.precision}"
        return f"{self.device}, {self.precision}"


def fast_bf16(device: torch.device) -> bool:
    """Say whether the device has bfloat16 units, so that bf16 is faster than float32 on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # the public torch.backends.cpu names only the vector width, not the bf16 instructions
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def _best_precision(device: torch.device) -> str:
    return "bf16" if fast_bf16(device) else "fp32"


def _pick_device(name: str) -> torch.device:
    mps = torch.backends.mps.is_available()
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if mps else "cpu")
    if name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(name.partition(":")[2] or 0)
        if index >= count:
            raise DeviceError(
                f"Device {name} was asked for, but this machine has {count} CUDA devices that "
                "torch can use: give --device cpu or auto, or install a CUDA build of torch."
            )
        return torch.device("cuda", index)
    if name == "mps" and not mps:
        raise DeviceError(
            "Device mps was asked for, but torch finds no Apple GPU here: give --device cpu "
            "or auto."
        )
    return torch.device(name)


def resolve_runtime(device: str = "auto", precision: str = "auto") -> Runtime:
    """Turn ``--device`` and ``--precision`` into a runtime.

    auto takes CUDA, then MPS, then the CPU; and bf16 where the device has bfloat16 units, else
    float32. A device that is asked for by name and is not there is an error.

    Raises:
        UsageError: for a name that is no device or precision.
        DeviceError: for a device that this machine lacks.
    """
    check_device_name(device)
    check_precision_name(precision)
    picked = _pick_device(device)
    if precision == "auto":
        precision = _best_precision(picked)
    if precision == "int8" and picked.type != "cpu":
        raise DeviceError(
            f"int8 is for CPUs, and {picked} was picked: give --device cpu, or --precision auto."
        )
    if precision == "fp16" and picked.type == "cpu":
        raise DeviceError("fp16 is too slow on a CPU: give --precision bf16, fp32 or auto.")
    return Runtime(picked, precision)

"""The fast path of a network where there is one, checked against the network itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from memnet_cli.models.base import RestorationModel
from memnet_cli.models.fused import FusedMemNet
from memnet_cli.models.kernels import ONEDNN, PLAIN, Kernels, kernels_for
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.quantised import quantised_memnet
from memnet_cli.restoration.calibration import calibration_planes
from memnet_cli.restoration.devices import Runtime
from memnet_cli.tasks import Task

#: (N, 1, H, W) float32 and the memory block to exit at, or None; float32 out.
FastModel = Callable[[Tensor, int | None], Tensor]

_log = logging.getLogger(__name__)
_CHECK_SIDE = 16
#: Largest difference to the network in float32, as a share of what it changes in the plane.
_TOLERANCE = {"fp32": 1e-4, "bf16": 0.1, "fp16": 0.05, "int8": 0.1}
#: The same where convolutions in float32 have 10 bits of it, as torch has them on CUDA.
_TOLERANCE_TF32 = 5e-3


def fast_model(model: RestorationModel, runtime: Runtime) -> FastModel | None:
    """Return a faster function that restores as ``model`` does on this device, if there is one.

    It is tried on a small plane first; where it fails or differs, the reason is logged and the
    network itself is used.
    """
    if not isinstance(model, MemNet):
        return None
    generator = torch.Generator().manual_seed(0)
    plane = torch.rand(1, 1, _CHECK_SIDE, _CHECK_SIDE, generator=generator).to(runtime.device)
    for kernels in dict.fromkeys((kernels_for(runtime.device, runtime.dtype), PLAIN)):

        def build(kernels: Kernels = kernels) -> FusedMemNet:
            return FusedMemNet(model, runtime.dtype, kernels)

        fast, problem = _tried(model, build, plane, _tolerance(runtime))
        if fast is not None:
            return fast
        _log.warning("%s cannot be used here: %s.", kernels.name, problem)
    return None


def _tolerance(runtime: Runtime) -> float:
    """Return the largest difference that precision alone may make."""
    rough = runtime.device.type == "cuda" and torch.backends.cudnn.allow_tf32
    if rough and runtime.precision == "fp32":
        return _TOLERANCE_TF32
    return _TOLERANCE[runtime.precision]


def int8_model(model: RestorationModel, runtime: Runtime, task: Task) -> FastModel | None:
    """Return a function with convolutions in 8 bits that restores nearly as ``model`` does.

    None, with the reason in the log, where the CPU or torch has none or the network is no MemNet.

    Args:
        model: in evaluation, on the CPU.
        runtime: of int8.
        task: what it restores; how large its values become is measured with that damage.
    """
    fast, problem = _quantised(model, runtime, task)
    if fast is None:
        instead = runtime.without_int8.precision
        _log.warning("int8 cannot be used here, %s is used instead: %s.", instead, problem)
    return fast


def _quantised(
    model: RestorationModel, runtime: Runtime, task: Task
) -> tuple[FastModel | None, str]:
    if not isinstance(model, MemNet):
        return None, "it is for MemNet only"
    planes = calibration_planes(task)
    middle = slice((planes.shape[2] - _CHECK_SIDE) // 2, (planes.shape[2] + _CHECK_SIDE) // 2)

    def build() -> FusedMemNet:
        return quantised_memnet(model, [planes], runtime.dtype, ONEDNN)

    return _tried(model, build, planes[:1, :, middle, middle], _TOLERANCE["int8"])


def _tried(
    model: MemNet, build: Callable[[], FusedMemNet], plane: Tensor, tolerance: float
) -> tuple[FusedMemNet | None, str]:
    """Return the fused network, or why it cannot be used."""
    try:
        fused = build()
        with torch.inference_mode():
            expected = model(plane)
            result = fused(plane)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        return None, str(error).splitlines()[0]
    change = float((expected - plane).abs().max()) + 1e-6
    difference = float((result - expected).abs().max()) / change
    if difference <= tolerance:
        return fused, ""
    return None, f"its result differs by {difference:.1e} of the change"

"""The fast path of a network where there is one, checked against the network itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from memnet_cli.models.base import RestorationModel
from memnet_cli.models.fused import FusedMemNet
from memnet_cli.models.kernels import PLAIN, Kernels, kernels_for
from memnet_cli.models.memnet import MemNet
from memnet_cli.restoration.devices import Runtime

#: (N, 1, H, W) float32 and the memory block to exit at, or None; float32 out.
FastModel = Callable[[Tensor, int | None], Tensor]

_log = logging.getLogger(__name__)
_CHECK_SIDE = 16
#: Largest difference to the network in float32, as a share of what it changes in the plane.
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.05}


def fast_model(model: RestorationModel, runtime: Runtime) -> FastModel | None:
    """Return a faster function that restores as ``model`` does on this device, if there is one.

    It is tried on a small plane first; where it fails or differs, the reason is logged and the
    network itself is used.
    """
    if not isinstance(model, MemNet):
        return None
    kernels = kernels_for(runtime.device, runtime.dtype)
    for candidate in dict.fromkeys((kernels, PLAIN)):
        fused, problem = _tried(model, runtime, candidate)
        if fused is not None:
            return fused
        _log.warning("%s cannot be used here: %s.", candidate.name, problem)
    return None


def _tried(model: MemNet, runtime: Runtime, kernels: Kernels) -> tuple[FusedMemNet | None, str]:
    """Return the fused network, or why it cannot be used."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.rand(1, 1, _CHECK_SIDE, _CHECK_SIDE, generator=generator).to(runtime.device)
    try:
        fused = FusedMemNet(model, runtime.dtype, kernels)
        with torch.inference_mode():
            expected = model(plane)
            result = fused(plane)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        return None, str(error).splitlines()[0]
    change = float((expected - plane).abs().max()) + 1e-6
    difference = float((result - expected).abs().max()) / change
    if difference <= _TOLERANCE[runtime.dtype]:
        return fused, ""
    return None, f"its result differs by {difference:.1e} of the change"

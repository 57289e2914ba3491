"""How much memory a model needs per pixel, and how large a tile fits."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch.overrides import TorchFunctionMode

from memnet_cli.models import build_model
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.fused import FusedMemNet
from memnet_cli.models.kernels import PLAIN
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.nlrn import NLRN, PatchAverage

_PROBE_SIDE = 64
#: NLRN's patches are worked on a few at a time, whatever the plane: it must hold many.
_PATCHES_SIDE = 512
#: Of the memory that is free now; the rest is for the pictures and for other programs.
_SHARE_OF_FREE = 0.5
#: What a process takes for every byte of tensors: scratch of the convolution library, and on the
#: CPU the gaps in a heap that is reused (resident memory of a Set14 benchmark: 2.7 times).
_OVERHEAD = {"cpu": 3.0}
_OVERHEAD_ELSEWHERE = 1.4
#: A tile that is larger gains nothing on any device and delays the first progress.
_MAX_TILE_PIXELS = 4096 * 4096


class _LiveBytes(TorchFunctionMode):
    """Counts the bytes of all tensors that are alive while a model runs.

    A TorchDispatchMode would load torch's compiler, and so does the meta device: over a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live: int = 0
        self.peak: int = 0
        self._seen: set[int] = set()

    def _release(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key not in self._seen:
                self._seen.add(key)
                self.live += size
                self.peak = max(self.peak, self.live)
                weakref.finalize(storage, self._release, key, size)
        return result


def peak_bytes_per_pixel(model: RestorationModel, dtype: torch.dtype, fused: bool = False) -> float:
    """Return the most bytes that the model's tensors take at once, per pixel of its input.

    Counted while it restores a small plane; NLRN by patches, for which that must be a large one, as
    a shadow on the meta device.

    Args:
        model: in eval mode, on any device.
        dtype: of its maps.
        fused: count MemNet's fast path; the plane itself is float32 there.
    """
    if isinstance(model, PatchAverage):
        model, side = _shadow(model), _PATCHES_SIDE
    else:
        side = _PROBE_SIDE
    plane = torch.zeros(1, 1, side, side, device=next(model.parameters()).device)
    run: Callable[[torch.Tensor], torch.Tensor] = model
    if fused and isinstance(model, MemNet):
        run = FusedMemNet(model, dtype, PLAIN)
    elif dtype != torch.float32:
        run, plane = copy.deepcopy(model).to(dtype), plane.to(dtype)
    with torch.inference_mode(), _LiveBytes() as counter:
        run(plane)
    return float(counter.peak) / side**2


def _shadow(model: PatchAverage) -> PatchAverage:
    """Return a model of the same shapes on the meta device, where nothing is computed.

    It works on as much at once as the model does on its own device.
    """
    with torch.device("meta"):
        shadow = build_model(model.config).eval()
    assert isinstance(shadow, NLRN)
    shadow.limits_of = model.model.limits_of or next(model.parameters()).device.type
    return PatchAverage(shadow, model.stride, model.side)


def overhead(device: torch.device) -> float:
    """Return how many bytes the process takes on the device for every byte of tensors."""
    return _OVERHEAD.get(device.type, _OVERHEAD_ELSEWHERE)


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on the device now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(psutil.virtual_memory().available)


def largest_tile(bytes_per_pixel: float, device: torch.device, overlap: int) -> int:
    """Return the side of the largest square tile that fits into the free memory.

    At least a few pixels more than twice the ``overlap``, whatever the memory.
    """
    pixels = free_bytes(device) * _SHARE_OF_FREE / (bytes_per_pixel * overhead(device))
    side = math.isqrt(int(min(pixels, _MAX_TILE_PIXELS)))
    return max(side // 16 * 16, 2 * overlap + 32)

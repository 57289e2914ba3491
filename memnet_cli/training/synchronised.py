"""BN statistics over the patches of all processes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: object, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(own: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(own)  # type: ignore[no-untyped-call]
    return total


_PARAMETERS = inspect.signature(F.batch_norm)


class SynchronisedBatchNorm(TorchFunctionMode):
    """While it is on, every ``F.batch_norm`` in training shares its statistics.

    torch's own SyncBatchNorm is for GPUs only, and for modules; MemNet's gates normalise slices
    of their channels. All processes must have equally many patches.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is not F.batch_norm:
            return func(*args, **(kwargs or {}))
        bound = _PARAMETERS.bind(*args, **(kwargs or {}))
        bound.apply_defaults()
        if not bound.arguments["training"]:
            return func(*args, **(kwargs or {}))
        return _normalised(**bound.arguments)


def _normalised(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """Return what F.batch_norm would over all processes' (N, C, H, W), and update the statistics.

    Ioffe and Szegedy, ICML 2015, algorithm 1; gradients flow through the exchanged sums. The mean
    is exchanged first: a difference of squares loses a variance far below the squared mean.
    """
    values = input.float()
    mean = _sum_over_processes(values.mean((0, 2, 3))) / dist.get_world_size()
    squares = (values - mean[:, None, None]).square().mean((0, 2, 3))
    variance = _sum_over_processes(squares) / dist.get_world_size()
    with torch.no_grad():
        count = values.numel() // values.shape[1] * dist.get_world_size()
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * count / max(count - 1, 1), momentum)
    scale = weight * torch.rsqrt(variance + eps)
    shift = bias - mean * scale
    return torch.addcmul(shift[:, None, None], values, scale[:, None, None]).to(input.dtype)

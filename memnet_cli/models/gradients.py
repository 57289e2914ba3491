"""3x3 convolutions for training in float32 on CPUs with AVX2: Winograd, and matrix products.

oneDNN takes as long for the gradient of a 3x3 weight as for the convolution and the gradient of
its input together; nine matrix products take less, and NNPACK's Winograd convolution is faster than
both of the others. What a step of MemNet gains: benchmarks/training_convolutions.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

#: Convolutions of fewer maps are left to torch: their matrices are too narrow to gain.
_LEAST_MAPS = 32


def _winograd(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve (N, C, H, W) with (K, C, 3, 3), zeros around."""
    result: Tensor = torch._nnpack_spatial_convolution(
        x.contiguous(), weight.contiguous(), bias, [1, 1], [1, 1]
    )
    return result


def _weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient (K, C, 3, 3) of a 3x3 weight with zeros around ``x``.

    One matrix product for each entry of the 3x3 weight, over the rows of the map one after the
    other, padded so that every neighbour is at a fixed distance in memory.

    Args:
        x: (N, C, H, W), what was convolved.
        gradient: (N, K, H, W), of the result.
    """
    height, width = x.shape[2:]
    row = width + 2
    size = height * row - 2
    maps = nn.functional.pad(x, (1, 1, 1, 1)).contiguous().flatten(2)
    outer = nn.functional.pad(gradient, (0, 2)).contiguous().flatten(2)[:, :, :size]
    starts = [vertical * row + horizontal for vertical in range(3) for horizontal in range(3)]
    entries = [torch.bmm(outer, maps[:, :, at : at + size].mT).sum(0) for at in starts]
    return torch.stack(entries, 2).view(*entries[0].shape, 3, 3)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _winograd(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        turned = weight.flip(2, 3).transpose(0, 1)
        to_x = _winograd(gradient, turned, None) if ctx.needs_input_grad[0] else None
        to_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        return to_x, _weight_gradient(x, gradient), to_bias


def _gains(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (3, 3)
        and module.padding == module.stride == module.dilation == (1, 1)
        and module.groups == 1
        and min(module.in_channels, module.out_channels) >= _LEAST_MAPS
    )


def can_train_faster(device: torch.device, dtype: torch.dtype) -> bool:
    """Say whether this module's convolutions measure faster than torch's own here.

    Newer instructions than AVX2 are known to oneDNN and not to NNPACK.
    """
    return (
        device.type == "cpu"
        and dtype == torch.float32
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
        and bool(torch._nnpack_available())
    )


def train_faster(model: nn.Module) -> None:
    """Let the wide 3x3 convolutions of a model in float32 on the CPU compute as said above."""
    for module in model.modules():
        if _gains(module):
            module.forward = partial(_convolved, module)  # type: ignore[arg-type]


def _convolved(module: nn.Conv2d, x: Tensor) -> Tensor:
    result: Tensor = _Convolution.apply(x, module.weight, module.bias)  # type: ignore[no-untyped-call]
    return result

"""Convolutions for restoration on different machines: torch's own, oneDNN's fused, Winograd's.

All take rows above and below that are there already, so that a plane can be worked on in bands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: conv(x, weight, bias, relu, rows): zeros are put left and right so that the width stays, and
#: ``rows`` of them above and below.
Conv = Callable[[Tensor, Tensor, Tensor | None, bool, int], Tensor]
#: conv_into(total, x, weight, bias, rows): the same, added to ``total``.
ConvInto = Callable[[Tensor, Tensor, Tensor, Tensor | None, int], Tensor]
#: conv_to_few(x, weight, bias, rows): as conv without ReLU, for a weight (K, C, 3, 3) of small K.
ConvToFew = Callable[[Tensor, Tensor, Tensor, int], Tensor]


@dataclass(frozen=True)
class Kernels:
    """A way to compute convolutions with 3x3 or 1x1 weights.

    Attributes:
        name: as it is reported.
        layout: memory format of the maps.
        conv, conv_into, conv_to_few: see above.
        band_pixels: planes are worked on in bands of rows of about as many; None, whole.
        in_columns: whether gates are matrix products rather than convolutions.
    """

    name: str
    layout: torch.memory_format
    conv: Conv
    conv_into: ConvInto
    conv_to_few: ConvToFew
    band_pixels: int | None = None
    in_columns: bool = False


def _padding(weight: Tensor, rows: int) -> list[int]:
    return [rows, weight.shape[-1] // 2]


def _plain_conv(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool, rows: int) -> Tensor:
    result = F.conv2d(x, weight, bias, padding=_padding(weight, rows))
    return result.relu_() if relu else result


def _plain_conv_into(
    total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, rows: int
) -> Tensor:
    return total.add_(_plain_conv(x, weight, bias, False, rows))


def _plain_conv_to_few(x: Tensor, weight: Tensor, bias: Tensor, rows: int) -> Tensor:
    return F.conv2d(x, weight, bias, padding=_padding(weight, rows))


def _winograd_conv(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool, rows: int) -> Tensor:
    padding = _padding(weight, rows)
    result: Tensor = torch._nnpack_spatial_convolution(x, weight, bias, padding, [1, 1])
    return result.relu_() if relu else result


def _winograd_conv_into(
    total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, rows: int
) -> Tensor:
    return total.add_(_winograd_conv(x, weight, bias, False, rows))


def _product_conv_to_few(x: Tensor, weight: Tensor, bias: Tensor, rows: int) -> Tensor:
    """One matrix product makes nine maps of each output, one an entry of the weight; shifted."""
    outputs = len(weight)
    entries = weight.permute(2, 3, 0, 1).flatten(0, 2) @ x.flatten(2)
    maps = F.pad(entries.view(-1, 9 * outputs, *x.shape[2:]), (1, 1, rows, rows))
    height, width = maps.shape[2] - 2, maps.shape[3] - 2
    result = bias.view(1, outputs, 1, 1).repeat(maps.shape[0], 1, height, width)
    for entry, shifted in enumerate(maps.chunk(9, dim=1)):
        top, left = divmod(entry, 3)
        result += shifted[:, :, top : top + height, left : left + width]
    return result


def _onednn_conv(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool, rows: int) -> Tensor:
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x,
        weight,
        bias,
        _padding(weight, rows),
        [1, 1],
        [1, 1],
        1,
        "relu" if relu else "none",
        [],
        "",
    )
    return result


def _onednn_conv_into(
    total: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, rows: int
) -> Tensor:
    padding = _padding(weight, rows)
    result: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
        total, x, weight, bias, padding, [1, 1], [1, 1], 1, "add", 1.0, None, [], None
    )
    return result


PLAIN = Kernels(
    "torch convolutions", torch.channels_last, _plain_conv, _plain_conv_into, _plain_conv_to_few
)
ONEDNN = Kernels(
    "oneDNN fused",
    torch.channels_last,
    _onednn_conv,
    _onednn_conv_into,
    _plain_conv_to_few,
    band_pixels=1 << 21,
)
WINOGRAD = Kernels(
    "NNPACK Winograd",
    torch.contiguous_format,
    _winograd_conv,
    _winograd_conv_into,
    _product_conv_to_few,
    band_pixels=1 << 19,
    in_columns=True,
)


def onednn_knows(dtype: torch.dtype) -> bool:
    """Say whether this CPU and this torch have oneDNN convolutions of a type."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def kernels_for(device: torch.device, dtype: torch.dtype) -> Kernels:
    """Choose the kernels for a device and the type of the maps.

    Measured on an AVX2 core in float32, share of the time of the plain module: NNPACK's Winograd
    0.76, oneDNN with fused ReLU and sum 0.93 (benchmarks/restoring_kernels.py). NNPACK knows
    float32 only.
    """
    if device.type != "cpu":
        return PLAIN
    if dtype == torch.float32 and torch._nnpack_available():
        return WINOGRAD
    return ONEDNN if onednn_knows(dtype) else PLAIN

"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def he_normal(weight: Tensor, mode: str = "fan_in") -> None:
    """Fill convolution weights as He et al. (ICCV 2015) do, eq. 10 or, "fan_out", eq. 14.

    Weights on the meta device are left: there is nothing to fill, and torch would import its
    compiler for it, which takes seconds.
    """
    if not weight.is_meta:
        nn.init.kaiming_normal_(weight, mode=mode)  # type: ignore[arg-type]


def from_the_picture(layer: nn.Module, x: Tensor) -> Tensor:
    """Return what a first layer makes of a picture: computed in float32 under autocast too.

    bfloat16 would round the picture itself to 8 bits of mantissa, which costs VDSR 0.09 dB at x4 on
    Set5. The result is of the type of autocast.
    """
    kind = x.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        whole: Tensor = layer(x)
        return whole
    with torch.autocast(kind, enabled=False):
        exact: Tensor = layer(x.float())
    return exact.to(torch.get_autocast_dtype(kind))


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose state is weight, bias and the running statistics, nothing else.

    torch counts batches in a further buffer, which only a momentum of None needs; weights files
    do not hold it.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-5, momentum=0.1)
        self.num_batches_tracked = None

    def _load_from_state_dict(self, *args: Any) -> None:
        # torch's own version would put the missing counter back
        nn.Module._load_from_state_dict(self, *args)

"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
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


def to_channels(planes: Tensor, side: int) -> Tensor:
    """Return (N, side side, h, w) from (N, 1, H, W): squares of pixels as channels of one pixel.

    Where ``side`` does not divide H or W, the last row or column is repeated until it does.
    """
    if side == 1:
        return planes
    height, width = planes.shape[2:]
    whole = F.pad(planes, (0, -width % side, 0, -height % side), mode="replicate")
    return F.pixel_unshuffle(whole, side)


def to_planes(maps: Tensor, side: int, height: int, width: int) -> Tensor:
    """Return the (N, 1, H, W) that :func:`to_channels` makes ``maps`` of."""
    if side == 1:
        return maps
    return F.pixel_shuffle(maps, side)[:, :, :height, :width]


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

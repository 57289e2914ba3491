"""BN-ReLU for restoration: the statistics of evaluation as a scale and an offset for each map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.models.layers import BatchNorm


@dataclass(frozen=True)
class Activation:
    """BN-ReLU with the statistics of evaluation, as one scale and offset for each map."""

    scale: Tensor
    offset: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return max(0, scale * x + offset) for maps (N, C, H, W)."""
        return _rectified(self.affine(x))

    def affine(self, x: Tensor) -> Tensor:
        """Return scale * x + offset for maps (N, C, H, W)."""
        whole = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
        if x.dtype == self.scale.dtype and not whole:
            # some rows of NCHW maps, for which batch_norm has no fast path
            return torch.addcmul(_maps(self.offset), x, _maps(self.scale))
        zero, one = torch.zeros_like(self.offset), torch.ones_like(self.scale)
        return F.batch_norm(x, zero, one, self.scale, self.offset, False, 0.0, 0.0)


def activation_of(norm: BatchNorm) -> Activation:
    """Return the ReLU of a normalisation as it is in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return Activation(scale, norm.bias - norm.running_mean * scale)


def _rectified(x: Tensor) -> Tensor:
    """Set what is below zero to zero, in place.

    The sign of a 16-bit float is that of its bits as an integer, and integers need no conversion
    to float32: 6 instead of 11 ns for 64 maps of a pixel (benchmarks/bf16_tries.py). A NaN whose
    sign is set becomes zero as well.
    """
    if x.device.type == "cpu" and x.dtype in (torch.bfloat16, torch.float16):
        x.view(torch.int16).clamp_(min=0)
        return x
    return x.relu_()


def _maps(values: Tensor) -> Tensor:
    return values[:, None, None]

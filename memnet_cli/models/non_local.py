"""NLRN's non-local module (Liu et al., NeurIPS 2018, section 3.3), for between memory blocks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memnet_cli.models.neighbourhood import BLOCK, Correlation, Grid, attend

#: Maps of theta and psi.
EMBEDDING = 32
#: How far the pixels of a block of 8x8 look beyond it: each sees the same 24x24.
REACH = 8
#: What cosines are multiplied by before training.
_SCALE = 12.0


class NonLocalModule(nn.Module):
    """Adds to every pixel what it has in common with those around it (eq. 6 and 7 of its paper).

    The embedded Gaussian of NLRN with five differences: its correlations are cosines, times a
    learned scale, so that no weights make them too large for 16 bits; all pixels of a block of
    8x8 see the same 24x24 pixels around them, where each has a window of its own in NLRN; what was
    found goes through one more 1x1 convolution; no correlations come from an earlier module; and
    the last pixels go on beyond the borders, so that a tile is restored as in its picture. It
    starts as the identity.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(width, EMBEDDING, 1)
        self.psi = nn.Conv2d(width, EMBEDDING, 1)
        self.g = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_SCALE)))

    @torch.no_grad()
    def start_as_identity(self) -> None:
        """Let it add nothing, and compare pixels by one embedding, so that it learns from there."""
        self.psi.weight.copy_(self.theta.weight)
        for tensor in (self.theta.bias, self.psi.bias, self.out.weight, self.out.bias):
            assert tensor is not None
            tensor.zero_()

    def forward(self, memory: Tensor) -> Tensor:
        """Return (N, width, H, W) for a memory of that shape, in its type."""
        grid = Grid(memory.shape[2], memory.shape[3], REACH, BLOCK, None, circular=False)
        values = self.g(memory)
        exact = torch.promote_types(values.dtype, torch.float32)
        theta = F.normalize(self.theta(memory).to(exact), dim=1) * self.log_scale.exp()
        psi = F.normalize(self.psi(memory).to(exact), dim=1)
        embedded = theta.to(values.dtype), psi.to(values.dtype)
        found, _ = attend(grid, *embedded, values, Correlation(), softmax=True, keep=False)
        added: Tensor = self.out(found)
        return memory + added

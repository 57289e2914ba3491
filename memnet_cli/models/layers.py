"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

from torch import nn


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

"""VDSR (Kim et al., CVPR 2016) and DnCNN (Zhang et al., IEEE TIP 2017): plain chains around a skip.

As published rivals: the batch normalisations of DnCNN are folded into its convolutions.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import PlainConfig
from memnet_cli.models.layers import from_the_picture, he_normal


class PlainNet(RestorationModel):
    """``depth`` 3x3 convolutions with ReLU between them; the output is a residual."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__(config)
        self.subtract = config.subtract
        self.halo = config.depth  # one pixel a layer
        widths = [1, *[config.width] * (config.depth - 1), 1]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=config.bias)
            for before, after in pairwise(widths)
        )
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            he_normal(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Restore (N, 1, H, W)."""
        state = torch.relu(from_the_picture(self.layers[0], x))
        for layer in self.layers[1:-1]:
            state = torch.relu(layer(state))
        residual: Tensor = self.layers[-1](state)
        return x - residual if self.subtract else x + residual

"""RED-Net, the residual encoder-decoder network (Mao et al., NIPS 2016; papers/rednet.txt)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import REDNetConfig
from memnet_cli.models.layers import from_the_picture, he_normal

#: RED10 is printed without skips, RED20 and RED30 with them (section 3).
_SHALLOWEST_WITH_SKIPS = 20


def skip_sources(depth: int) -> dict[int, int]:
    """Return, for each transposed convolution that a skip ends at, the convolution it starts at.

    Both count from 0 in their own half. The halves mirror each other: what convolution number i
    makes has the resolution and the level of what transposed convolution L/2 - 2 - i makes, and
    the last transposed one mirrors the picture itself, which the output adds (section 2.1.2).
    Skips start at every second convolution, counted from the outside: 2, 4, ... of 1 to L/2.
    """
    half = depth // 2
    if depth < _SHALLOWEST_WITH_SKIPS:
        return {}
    return {half - 2 - start: start for start in range(1, half - 1, 2)}


class REDNet(RestorationModel):
    """``depth`` / 2 convolutions, then as many transposed ones, all 3x3 with stride 1 and ReLU.

    A skip is added before the ReLU of the transposed convolution that it ends at; the network
    learns the residual of its input (section 2.1). The ReLU of the last layer would only clip the
    restored plane at 0, which is done when it is rounded; it is left out, so that dark pixels keep
    their gradient.
    """

    def __init__(self, config: REDNetConfig) -> None:
        super().__init__(config)
        half, width = config.depth // 2, config.width
        self.halo = config.depth  # one pixel a layer
        self.encoder = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1)
            for before, after in pairwise([1, *[width] * half])
        )
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 3, padding=1)
            for before, after in pairwise([*[width] * half, 1])
        )
        self.skips = skip_sources(config.depth)
        for layer in (*self.encoder, *self.decoder):
            assert isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
            assert layer.bias is not None
            # torch counts fans as for a convolution; a transposed one has them the other way round
            transposed = isinstance(layer, nn.ConvTranspose2d)
            he_normal(layer.weight, mode="fan_out" if transposed else "fan_in")
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Restore (N, 1, H, W)."""
        state = x
        kept: dict[int, Tensor] = {}
        for index, layer in enumerate(self.encoder):
            state = torch.relu(layer(state) if index else from_the_picture(layer, state))
            if index in self.skips.values():
                kept[index] = state
        last = len(self.decoder) - 1
        for index, layer in enumerate(self.decoder):
            state = layer(state)
            if index in self.skips:
                state = state + kept.pop(self.skips[index])
            if index < last:
                state = torch.relu(state)
        return x + state

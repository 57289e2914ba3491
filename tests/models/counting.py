"""How the papers count a network's weights."""

from __future__ import annotations

from torch import nn


def conv_weights(model: nn.Module) -> int:
    """Return the weights of all convolutions, shared ones once, without biases and BN.

    This is how the papers count parameters (MemNet-M6R6: 677K, section 5.2).
    """
    return sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    )

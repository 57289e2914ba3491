"""Memory layouts: of a network's weights on a device, and of what its optimizers keep for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from memnet_cli.models.base import RestorationModel
from memnet_cli.restoration.devices import Runtime


def weights_layout(device_type: str, faster: bool) -> torch.memory_format:
    """Return the layout that a network computes fastest in, of those that it computes right in.

    Args:
        device_type: cpu, cuda or mps.
        faster: whether it has the convolutions of :mod:`memnet_cli.models.gradients`.
    """
    # on Apple's GPUs, torch up to 2.13 gives wrong gradients of BN in channels_last
    # (github.com/pytorch/pytorch/issues/175189)
    if faster or device_type == "mps":
        return torch.contiguous_format
    return torch.channels_last


def placed(model: RestorationModel, runtime: Runtime, faster: bool) -> RestorationModel:
    """Return the network on the device, in the layout of :func:`weights_layout`."""
    layout = weights_layout(runtime.device.type, faster)
    on_device = model.to(runtime.device, memory_format=layout)  # type: ignore[call-overload]
    return cast(RestorationModel, on_device)


def load_state(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Give an optimizer the state that another one had, on whatever machine that was."""
    optimizer.load_state_dict(dict(state))
    for parameter, known in list(optimizer.state.items()):
        optimizer.state[parameter] = laid_out_as(parameter, known)


def laid_out_as(parameter: Tensor, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optimizer's state of a parameter, with all that has its shape in its layout.

    Fused optimizers walk weights, gradients and state by their places in memory.
    """
    return {
        name: torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        if isinstance(value, Tensor) and value.shape == parameter.shape
        else value
        for name, value in state.items()
    }

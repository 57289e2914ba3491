"""Changing MemNet before and during a run, with what the optimizer and the running mean know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn
from torch.optim import Optimizer

from memnet_cli.models.base import RestorationModel
from memnet_cli.models.growing import deepened, grown, shortened, shrunk, with_modules
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.regridding import regridded
from memnet_cli.models.widening import widened
from memnet_cli.training.layout import laid_out_as


def recursions_of(model: RestorationModel) -> int:
    """Return R of a MemNet, 0 of any other network."""
    return model.settings.recursions if isinstance(model, MemNet) else 0


def with_recursions(model: RestorationModel, recursions: int) -> RestorationModel:
    """Return the network grown or cut down to that many, on its device; any but MemNet as it is."""
    if not isinstance(model, MemNet) or recursions == model.settings.recursions:
        return model
    change = grown if recursions > model.settings.recursions else shrunk
    return change(model, recursions)


def with_memory_blocks(model: MemNet, memory_blocks: int) -> MemNet:
    """Return the network deepened or cut down to that many, on its device.

    Raises:
        UsageError: if it has non-local modules, or has fewer of them and is the NL ablation.
    """
    change = deepened if memory_blocks > model.settings.memory_blocks else shortened
    return change(model, memory_blocks)


#: What of MemNet's config may be other than in the first weights, and what brings it about.
CHANGES: dict[str, Callable[[MemNet, int], RestorationModel]] = {
    "recursions": with_recursions,
    "memory_blocks": with_memory_blocks,
    "unshuffle": regridded,
    "non_local": with_modules,
    "width": widened,
}


def carry_over(
    old: Sequence[Optimizer], old_model: nn.Module, new: Sequence[Optimizer], new_model: nn.Module
) -> None:
    """Give every parameter that kept its shape the state that its optimizer had for it.

    Parameters that are new or wider start afresh.
    """
    before = dict(old_model.named_parameters())
    names = {id(parameter): name for name, parameter in new_model.named_parameters()}
    for source, target in zip(old, new, strict=True):
        for group in target.param_groups:
            for parameter in group["params"]:
                earlier = before.get(names[id(parameter)])
                if earlier is not None and earlier.shape == parameter.shape:
                    state = source.state.get(earlier)
                    if state:
                        target.state[parameter] = laid_out_as(parameter, state)

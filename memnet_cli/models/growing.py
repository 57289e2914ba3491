"""MemNets made of other MemNets: with more or fewer recursions or memory blocks, or non-local.

Growing preserves the function (as in Net2Net; Chen et al., ICLR 2016), so that training goes on
from where the smaller network came to.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.errors import UsageError
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.layers import BatchNorm
from memnet_cli.models.memnet import MemNet


def another(model: MemNet, settings: MemNetConfig) -> MemNet:
    """Return an untrained network on the model's device, of its type and in its mode."""
    other = MemNet(settings).to(model.feature.conv.weight)
    return other.train(model.training)


def grown(model: MemNet, recursions: int) -> MemNet:
    """Return a model with more recursions that computes the same function.

    A new recursion starts with the normalisations of the last one; it reaches the output through
    the gate alone, and the gate starts with zero weight for it. Its gate BN is that of the last
    short-term memory.

    Raises:
        UsageError: if ``recursions`` is fewer than the model has, or with the NS ablation, whose
            gate sees the last recursion and nothing else.
    """
    old = model.settings
    if recursions < old.recursions or not old.short_term:
        raise UsageError(
            f"Cannot grow from {old.recursions} to {recursions} recursions: expected more, and "
            "gates that see every recursion."
        )
    return _rebuilt(model, recursions)


def shrunk(model: MemNet, recursions: int) -> MemNet:
    """Return a model of the first recursions alone, with the weights that it had for them.

    The later recursions' share of every gate is lost, so the function changes: little where the
    gates weigh them little, as after growth. A step of training costs as much less as there are
    fewer recursions; the model can be grown again afterwards.

    Raises:
        UsageError: if ``recursions`` is more than the model has or less than 1, or with the NS
            ablation, whose gate sees the last recursion and nothing else.
    """
    old = model.settings
    if not 1 <= recursions <= old.recursions or not old.short_term:
        raise UsageError(
            f"Cannot shrink from {old.recursions} to {recursions} recursions: expected fewer, "
            "at least 1, and gates that see every recursion."
        )
    return _rebuilt(model, recursions)


@torch.no_grad()
def _rebuilt(model: MemNet, recursions: int) -> MemNet:
    """Return a network of so many recursions made of the tensors of this one."""
    other = another(model, dataclasses.replace(model.settings, recursions=recursions))
    source, target = model.state_dict(), other.state_dict()
    for name, tensor in target.items():
        target[name] = _fitted(name, tensor, source, model.settings)
    other.load_state_dict(target)
    return other


def _fitted(name: str, tensor: Tensor, source: dict[str, Tensor], old: MemNetConfig) -> Tensor:
    """Return the tensor for a place of that name and shape; only the gates' differ in shape."""
    if name not in source:  # a normalisation of a new recursion: copy the last one's
        parts = name.split(".")
        parts[-2] = str(old.recursions - 1)
        return source[".".join(parts)]
    # gates begin with the long-term memories, oldest first; later recursions stand last
    kept = source[name][tuple(map(slice, tensor.shape))]
    if kept.shape == tensor.shape:
        return kept
    if name.endswith("gate.conv.weight"):
        return F.pad(kept, (0, 0, 0, 0, 0, tensor.shape[1] - kept.shape[1]))
    # gate BN: that of a new short-term memory is a copy of the last one's
    extra = (len(tensor) - len(kept)) // old.width
    return torch.cat([kept, *[kept[-old.width :]] * extra])


def deepened(model: MemNet, memory_blocks: int) -> MemNet:
    """Return a model with more memory blocks that computes the same function in evaluation.

    A new block passes on the memory before it: its second convolution starts with zero weight, so
    that its recursions give B_{m-1} again, and its gate, which sees both, adds ReLU(H) - ReLU(-B),
    the memory itself. Other memories start with the BN that the gate before has for them and zero
    weight. Of a multi-supervised model every new output is that of the last old block, whose
    weight in the average goes to the new last one.

    In training, BN by the batch makes another function of it; frozen statistics do not.

    Raises:
        UsageError: if ``memory_blocks`` is fewer than the model has, with the NL ablation,
            whose gates do not see B_{m-1}, or with non-local modules, which would move.
    """
    old = model.settings
    _refuse_non_local(old)
    if memory_blocks < old.memory_blocks or not old.long_term:
        raise UsageError(
            f"Cannot grow from {old.memory_blocks} to {memory_blocks} memory blocks: expected "
            "more, and gates that see the long-term memories."
        )
    other = another(model, dataclasses.replace(old, memory_blocks=memory_blocks))
    _take_over(other, model)
    return other


@torch.no_grad()
def shortened(model: MemNet, memory_blocks: int) -> MemNet:
    """Return a model of the first memory blocks alone, with the weights that it had for them.

    The outputs of the blocks that stay are what they were. Of a multi-supervised model the last
    of them takes over the weights that the cut-off ones had in the average; of a basic one, whose
    single output has learned from the last block alone, far more is lost.

    Raises:
        UsageError: if ``memory_blocks`` is more than the model has or less than 1, or with
            non-local modules, which would move.
    """
    old = model.settings
    _refuse_non_local(old)
    if not 1 <= memory_blocks <= old.memory_blocks:
        raise UsageError(
            f"Cannot cut {old.memory_blocks} memory blocks down to {memory_blocks}: expected "
            "fewer, at least 1."
        )
    other = another(model, dataclasses.replace(old, memory_blocks=memory_blocks))
    source = model.state_dict()
    state = {name: source[name] for name in other.state_dict()}
    if old.multi_supervised:
        rest = model.ensemble[memory_blocks - 1 :].sum(0, keepdim=True)
        state["ensemble"] = torch.cat([model.ensemble[: memory_blocks - 1], rest])
    other.load_state_dict(state)
    return other


def _refuse_non_local(config: MemNetConfig) -> None:
    if config.non_local:
        raise UsageError(
            f"Cannot change the {config.memory_blocks} memory blocks of a network with "
            f"{config.non_local} non-local modules between them: expected as many."
        )


def with_modules(model: MemNet, non_local: int) -> MemNet:
    """Return a model with so many non-local modules that computes the same function.

    Raises:
        UsageError: if the model has some already, or there is no place for so many.
    """
    old = model.settings
    if old.non_local:
        raise UsageError(
            f"Cannot change {old.non_local} non-local modules to {non_local}: expected a network "
            "without any, or as many."
        )
    other = another(model, dataclasses.replace(old, non_local=non_local))
    other.load_state_dict({**other.state_dict(), **model.state_dict()})
    return other


@torch.no_grad()
def _take_over(other: MemNet, model: MemNet) -> None:
    """Give a deeper network the function of another one."""
    old = model.settings
    state = other.state_dict()
    state.update({n: t for n, t in model.state_dict().items() if n != "ensemble"})
    # the BN of the last output has seen B_M, which every new block is given
    output = f"reconstruction.norms.{len(model.reconstruction.norms) - 1}."
    mean, variance = state[output + "running_mean"], state[output + "running_var"]
    if old.multi_supervised:
        state["ensemble"] = torch.zeros_like(state["ensemble"])
        state["ensemble"][: old.memory_blocks] = model.ensemble
        state["ensemble"][old.memory_blocks - 1] = 0.0
        state["ensemble"][-1] = model.ensemble[-1]
        for name in [name for name in state if name.startswith("reconstruction.norms.")]:
            if int(name.split(".")[2]) >= old.memory_blocks:
                state[name] = state[output + name.split(".")[3]]
    for block in range(old.memory_blocks, other.settings.memory_blocks):
        _pass_on(state, other.settings, block, mean, variance)
    other.load_state_dict(state)


def _pass_on(
    state: dict[str, Tensor], config: MemNetConfig, block: int, mean: Tensor, variance: Tensor
) -> None:
    """Make B_m = B_{m-1} of a new block, from 0; mean and variance are those of B_{m-1}."""
    width, begin = config.width, f"blocks.{block}."
    state[begin + "recursion.conv2.weight"].zero_()
    for recursion in range(config.recursions):
        state[f"{begin}recursion.norm1.{recursion}.running_mean"] = mean
        state[f"{begin}recursion.norm1.{recursion}.running_var"] = variance
    known = config.long_terms(block) * width - width
    one, zero = torch.ones_like(mean), torch.zeros_like(mean)
    neutral = {"weight": one, "bias": zero, "running_mean": mean, "running_var": variance}
    for field, value in neutral.items():
        # memories that the gate before has seen keep its BN, all others are B_{m-1}
        values = state[f"{begin}gate.norm.{field}"]
        values.view(-1, width)[:] = value
        values[:known] = state[f"blocks.{block - 1}.gate.norm.{field}"][:known]
    state[begin + "gate.conv.weight"].zero_()
    state[begin + "gate.conv.bias"].zero_()
    deviation = (variance + BatchNorm(width).eps).sqrt()
    for start, sign in ((known, -1.0), (known + width, 1.0)):
        part = slice(start, start + width)
        state[begin + "gate.norm.weight"][part] = sign * deviation
        state[begin + "gate.norm.bias"][part] = sign * mean
        state[begin + "gate.conv.weight"][:, part, 0, 0] = sign * torch.eye(width).to(mean)

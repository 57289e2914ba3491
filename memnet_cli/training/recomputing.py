"""Gradient checkpointing: memory blocks keep their input only and are computed again backwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from memnet_cli.errors import UsageError
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.layers import BatchNorm
from memnet_cli.models.memnet import MemNet
from memnet_cli.training.synchronised import SynchronisedBatchNorm


def recompute_blocks(model: RestorationModel, sync_bn: bool) -> None:
    """Make every memory block of ``model`` forget what is inside it until it is needed.

    Raises:
        UsageError: for a network without memory blocks.
    """
    if not isinstance(model, MemNet):
        raise UsageError(
            f"--gradient-checkpointing is for memnet, not for {model.config.model}: use "
            "--set accumulate=2 or more to save memory."
        )
    for block in model.blocks:
        contexts = partial(_contexts, block, sync_bn)
        again = partial(
            checkpoint,
            block.forward,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=contexts,
        )
        block.forward = again


def _contexts(
    block: nn.Module, sync_bn: bool
) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
    """Return what surrounds the first and the second computation of a block."""
    return nullcontext(), _statistics_kept(block, sync_bn)


@contextmanager
def _statistics_kept(block: nn.Module, sync_bn: bool) -> Iterator[None]:
    """Leave the running statistics alone, which the first computation has updated already."""
    norms = [module for module in block.modules() if isinstance(module, BatchNorm)]
    usual = [norm.momentum for norm in norms]
    with ExitStack() as stack:
        if sync_bn:
            stack.enter_context(SynchronisedBatchNorm())
        for norm in norms:
            norm.momentum = 0.0
        try:
            yield  # torch leaves with an exception once it has what it needs
        finally:
            for norm, momentum in zip(norms, usual, strict=True):
                norm.momentum = momentum

"""MemNet, the persistent memory network (Tai et al., ICCV 2017; papers/memnet.txt).

Names of modules are the names in weights files; see docs/weights.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memnet_cli.errors import UsageError
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.layers import (
    BatchNorm,
    from_the_picture,
    he_normal,
    to_channels,
    to_planes,
)
from memnet_cli.models.neighbourhood import BLOCK
from memnet_cli.models.non_local import REACH, NonLocalModule

#: Pixels of context, but for unshuffling. Tiled against whole with M6R6 at the strongest levels,
#: largest difference in grey levels of 255 at 32/40/48 pixels: denoise 70 1.15/0.28/0.018 on the
#: worst of four pictures; sr x4 and jpeg 10 0.0003 at 32. It grows with training (denoise 0.029 at
#: 24 with the first weights), so to be measured again with better ones, on a picture of 320 less
#: twice the overlap: `memnet restore --verify-tiles --tile 160 --tile-overlap 40 --precision fp32`.
#: M16R1 on squares of 2x2 with non-local modules: 2.6/0.62/0.065 at 32/48/64 pixels, denoise 70.
_HALO = 40


def _reach(config: MemNetConfig) -> int:
    """Return how many pixels away anything can have influence: one for every 3x3 convolution.

    The last pixel of a non-local module's block sees the first of its window.
    """
    convolutions = 2 * config.memory_blocks * config.recursions + 2
    return convolutions + config.non_local * (REACH + BLOCK - 1)


class RecursiveUnit(nn.Module):
    """One residual unit, applied R times: convolutions shared, normalisations not (eq. 5 to 7)."""

    def __init__(self, width: int, recursions: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.norm1 = nn.ModuleList(BatchNorm(width) for _ in range(recursions))
        self.norm2 = nn.ModuleList(BatchNorm(width) for _ in range(recursions))

    def forward(self, state: Tensor) -> Iterator[Tensor]:
        """Yield H^1, ..., H^R, each (N, width, H, W), as soon as it is known."""
        for norm1, norm2 in zip(self.norm1, self.norm2, strict=True):
            residual = self.conv1(torch.relu_(norm1(state)))
            state = self.conv2(torch.relu_(norm2(residual))).add_(state)
            yield state


class GateUnit(nn.Module):
    """BN-ReLU and a 1x1 convolution over all memories (eq. 9).

    The convolution is accumulated memory by memory over slices of its weight, so that the
    memories are never concatenated and each can be dropped once it is added. BN works on every
    channel alone, so the result is that of the concatenation.
    """

    def __init__(self, memories: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.norm = BatchNorm(memories * width)
        self.conv = nn.Conv2d(memories * width, width, 1)

    def add(self, total: Tensor | None, memory: Tensor, index: int) -> Tensor:
        """Add memory number ``index`` to the gate's sum; the first one brings the bias."""
        part = slice(index * self.width, (index + 1) * self.width)
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        normed = F.batch_norm(
            memory,
            norm.running_mean[part],
            norm.running_var[part],
            norm.weight[part],
            norm.bias[part],
            training=norm.training,
            momentum=norm.momentum or 0.0,
            eps=norm.eps,
        )
        bias = self.conv.bias if total is None else None
        product = F.conv2d(torch.relu_(normed), self.conv.weight[:, part], bias)
        return product if total is None else product.add_(total)


class MemoryBlock(nn.Module):
    """A recursive unit and a gate unit over long- and short-term memories (eq. 8 to 10)."""

    def __init__(self, config: MemNetConfig, block: int) -> None:
        super().__init__()
        self.long_terms = config.long_terms(block)
        self.every_recursion = config.short_term
        self.recursion = RecursiveUnit(config.width, config.recursions)
        self.gate = GateUnit(self.long_terms + config.short_terms, config.width)

    def forward(self, earlier: Sequence[Tensor]) -> Tensor:
        """Return B_m from [B_0, ..., B_{m-1}], each (N, width, H, W)."""
        total: Tensor | None = None
        for index in range(self.long_terms):
            total = self.gate.add(total, earlier[index], index)
        index, state = self.long_terms, earlier[-1]
        for state in self.recursion(earlier[-1]):
            if self.every_recursion:
                total = self.gate.add(total, state, index)
                index += 1
        if not self.every_recursion:
            total = self.gate.add(total, state, index)
        assert total is not None
        return total


class FeatureNet(nn.Module):
    """FENet, the first convolution (eq. 1), with BN-ReLU before it in the authors' release."""

    def __init__(self, config: MemNetConfig) -> None:
        super().__init__()
        pixels = config.unshuffle**2
        self.norm = BatchNorm(pixels) if config.preactivated_input else None
        self.conv = nn.Conv2d(pixels, config.width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return B_0 (N, width, H, W)."""
        features: Tensor = self.conv(x if self.norm is None else torch.relu(self.norm(x)))
        return features


class ReconstructionNet(nn.Module):
    """ReconNet, one convolution for every block, each with its own BN (eq. 3 and 11)."""

    def __init__(self, config: MemNetConfig) -> None:
        super().__init__()
        outputs = config.memory_blocks if config.multi_supervised else 1
        self.norms = nn.ModuleList(BatchNorm(config.width) for _ in range(outputs))
        self.conv = nn.Conv2d(config.width, config.unshuffle**2, 3, padding=1)

    def forward(self, x: Tensor, memory: Tensor, output: int) -> Tensor:
        """Return y_m, of the input's shape: the input and the residual made of the memory."""
        residual: Tensor = self.conv(torch.relu_(self.norms[output](memory)))
        return x + residual


class MemNet(RestorationModel):
    """MemNet with any M and R, basic or multi-supervised, and its ablations NL and NS.

    The convolutions start from He et al.'s normal distribution, as in section 5.1. With
    ``unshuffle``, all but the first and the last step is done on squares of pixels.
    """

    def __init__(self, config: MemNetConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.grid = config.unshuffle * (BLOCK if config.non_local else 1)
        self.pixels_in_one = config.unshuffle**2
        self.halo = config.unshuffle * min(_HALO, _reach(config))
        self.feature = FeatureNet(config)
        self.blocks = nn.ModuleList(
            MemoryBlock(config, block) for block in range(config.memory_blocks)
        )
        self.reconstruction = ReconstructionNet(config)
        self.non_local = nn.ModuleDict(
            {str(block): NonLocalModule(config.width) for block in config.non_local_places}
        )
        if config.multi_supervised:
            self.ensemble = nn.Parameter(
                torch.full((config.memory_blocks,), 1.0 / config.memory_blocks)
            )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_normal(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        for module in self.non_local.values():
            assert isinstance(module, NonLocalModule)
            module.start_as_identity()

    def _memories(self, x: Tensor) -> Iterator[Tensor]:
        """Yield B_1, ..., B_M; earlier ones are kept only as long as a gate needs them."""
        memories = [from_the_picture(self.feature, x)]
        for number, block in enumerate(self.blocks):
            memory = block(memories)
            if str(number) in self.non_local:
                memory = self.non_local[str(number)](memory)
            memories = [*memories, memory] if self.settings.long_term else [memory]
            yield memory

    def _predicted(self, x: Tensor, memory: Tensor, output: int) -> Tensor:
        restored: Tensor = self.reconstruction(x, memory, output)
        return restored

    def predictions(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return (y_1, ..., y_M, y) when multi-supervised (eq. 11), else (y,)."""
        if not self.settings.multi_supervised:
            return (self(x),)
        squares = to_channels(x, self.settings.unshuffle)
        single = [
            self._predicted(squares, memory, block)
            for block, memory in enumerate(self._memories(squares))
        ]
        final = torch.zeros_like(squares)
        for weight, restored in zip(self.ensemble, single, strict=True):
            final = final + weight * restored
        return tuple(self._planes(restored, x) for restored in (*single, final))

    def forward(self, x: Tensor, exit_block: int | None = None) -> Tensor:
        """Restore (N, 1, H, W).

        Args:
            x: degraded planes.
            exit_block: stop after this memory block, counted from 1, and return its prediction
                y_m instead of the weighted average.

        Raises:
            UsageError: for a block that is not there, or of a model that is not multi-supervised.
        """
        squares = to_channels(x, self.settings.unshuffle)
        return self._planes(self._restored(squares, exit_block), x)

    def _planes(self, restored: Tensor, x: Tensor) -> Tensor:
        return to_planes(restored, self.settings.unshuffle, *x.shape[2:])

    def _restored(self, x: Tensor, exit_block: int | None) -> Tensor:
        if exit_block is not None:
            return self._exit(x, exit_block)
        if not self.settings.multi_supervised:
            *_, last = self._memories(x)
            return self._predicted(x, last, 0)
        restored = torch.zeros_like(x)
        for block, memory in enumerate(self._memories(x)):
            restored = restored + self.ensemble[block] * self._predicted(x, memory, block)
        return restored

    def _exit(self, x: Tensor, exit_block: int) -> Tensor:
        if not self.settings.multi_supervised:
            raise UsageError("exit_block works with multi-supervised MemNet only.")
        if not 1 <= exit_block <= self.settings.memory_blocks:
            raise UsageError(
                f"exit_block is {exit_block}: expected 1 to {self.settings.memory_blocks}."
            )
        for block, memory in enumerate(self._memories(x), start=1):
            if block == exit_block:
                return self._predicted(x, memory, block - 1)
        raise AssertionError("unreachable: the block was checked above")

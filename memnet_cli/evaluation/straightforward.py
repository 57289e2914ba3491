"""MemNet as one writes it down from the paper: the yardstick that `memnet speed` compares with.

Eager float32 modules in NCHW, batch normalisation as a layer of its own, every memory kept and
concatenated before the gate (Tai et al., ICCV 2017, eq. 1 to 12): what the ports in use do.
It is there to be measured and restores nothing; ``tests/test_reference_memnet.py`` holds it equal
to the package's own network.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.layers import to_channels, to_planes
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.neighbourhood import BLOCK
from memnet_cli.models.non_local import EMBEDDING, REACH


class BNReLUConv(nn.Sequential):
    """BN, ReLU and a convolution of the same size: tau and W of eq. 6."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
        )


class ResidualUnit(nn.Module):
    """Eq. 6: W2 tau(W1 tau(H)) + H; the convolutions of all recursions are the same."""

    def __init__(self, conv1: nn.Conv2d, conv2: nn.Conv2d) -> None:
        super().__init__()
        self.bn1, self.relu1, self.conv1 = nn.BatchNorm2d(conv1.in_channels), nn.ReLU(), conv1
        self.bn2, self.relu2, self.conv2 = nn.BatchNorm2d(conv2.in_channels), nn.ReLU(), conv2

    def forward(self, x: Tensor) -> Tensor:
        """Return the state after one recursion, (N, width, H, W)."""
        residual = self.conv1(self.relu1(self.bn1(x)))
        result: Tensor = self.conv2(self.relu2(self.bn2(residual))) + x
        return result


class MemoryBlock(nn.Module):
    """Eq. 4 to 10: recursions, then a gate over the concatenation of all memories."""

    def __init__(self, config: MemNetConfig, block: int) -> None:
        super().__init__()
        self.long_term, self.short_term = config.long_term, config.short_term
        width = config.width
        conv1, conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.units = nn.ModuleList(ResidualUnit(conv1, conv2) for _ in range(config.recursions))
        memories = config.long_terms(block) + config.short_terms
        self.gate = BNReLUConv(memories * width, width, 1)

    def forward(self, earlier: Sequence[Tensor]) -> Tensor:
        """Return B_m from [B_0, ..., B_{m-1}], each (N, width, H, W)."""
        x, short = earlier[-1], []
        for unit in self.units:
            x = unit(x)
            short.append(x)
        long = list(earlier) if self.long_term else []
        memories = torch.cat([*long, *(short if self.short_term else short[-1:])], dim=1)
        gated: Tensor = self.gate(memories)
        return gated


class NonLocal(nn.Module):
    """Every 8x8 pixels against the 24x24 around them: the windows copied, softmax over cosines."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.theta, self.psi = (nn.Conv2d(width, EMBEDDING, 1) for _ in range(2))
        self.g, self.out = (nn.Conv2d(width, width, 1) for _ in range(2))
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return x and what was found around every pixel, (N, width, H, W)."""
        count, _, height, width = x.shape
        high, wide = -(-height // BLOCK), -(-width // BLOCK)
        theta = _windows(F.normalize(self.theta(x), dim=1) * self.log_scale.exp(), 0)
        psi, g = _windows(F.normalize(self.psi(x), dim=1), REACH), _windows(self.g(x), REACH)
        found = torch.softmax(theta @ psi.transpose(1, 2), dim=-1) @ g
        squares = found.reshape(count, high, wide, BLOCK, BLOCK, -1).permute(0, 5, 1, 3, 2, 4)
        planes = squares.reshape(count, -1, high * BLOCK, wide * BLOCK)
        result: Tensor = x + self.out(planes[:, :, :height, :width])
        return result


def _windows(x: Tensor, reach: int) -> Tensor:
    """Return (windows, pixels, C), a window around every 8x8 pixels; the last ones are repeated."""
    rows, columns = (
        torch.arange(-reach, -(-size // BLOCK) * BLOCK + reach, device=x.device).clamp(0, size - 1)
        for size in x.shape[2:]
    )
    side = BLOCK + 2 * reach
    windows = x[:, :, rows][:, :, :, columns].unfold(2, side, BLOCK).unfold(3, side, BLOCK)
    return windows.permute(0, 2, 3, 4, 5, 1).reshape(-1, side * side, x.shape[1])


class StraightforwardMemNet(nn.Module):
    """The whole network; made by :func:`straightforward_port`."""

    def __init__(self, config: MemNetConfig) -> None:
        super().__init__()
        width, blocks = config.width, config.memory_blocks
        self.side = config.unshuffle
        pixels = self.side**2
        feature = nn.Conv2d(pixels, width, 3, padding=1)
        self.feature: nn.Module = feature
        if config.preactivated_input:
            self.feature = nn.Sequential(nn.BatchNorm2d(pixels), nn.ReLU(), feature)
        self.blocks = nn.ModuleList(MemoryBlock(config, block) for block in range(blocks))
        self.non_local = nn.ModuleDict({str(b): NonLocal(width) for b in config.non_local_places})
        outputs = blocks if config.multi_supervised else 1
        self.norms = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.ReLU()) for _ in range(outputs)
        )
        self.reconstruction = nn.Conv2d(width, pixels, 3, padding=1)
        self.ensemble = nn.Parameter(torch.ones(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Restore (N, 1, H, W) float32 in [0, 1]; same shape, not clipped."""
        height, width = x.shape[2:]
        x = to_channels(x, self.side)
        memories = [self.feature(x)]
        for number, block in enumerate(self.blocks):
            memory = block(memories)
            if str(number) in self.non_local:
                memory = self.non_local[str(number)](memory)
            memories.append(memory)
        supervised = memories[-len(self.norms) :]
        predictions = [
            self.reconstruction(norm(memory)) + x
            for norm, memory in zip(self.norms, supervised, strict=True)
        ]
        result: Tensor = torch.stack(
            [w * y for w, y in zip(self.ensemble, predictions, strict=True)]
        ).sum(0)
        return to_planes(result, self.side, height, width)


def straightforward_port(model: MemNet) -> StraightforwardMemNet:
    """Return the port with the weights of ``model``, in eval mode, float32, on its device."""
    port = StraightforwardMemNet(model.settings)
    for target, source in _counterparts(model.settings):
        layer = port.get_submodule(target)
        # strict=False: torch counts batches in a buffer that the package's BN does not have
        strict = isinstance(layer, nn.Conv2d)
        layer.load_state_dict(model.get_submodule(source).state_dict(), strict=strict)
    port.non_local.load_state_dict(model.non_local.state_dict())
    if model.settings.multi_supervised:
        port.ensemble.data.copy_(model.ensemble)
    return port.eval().to(next(model.parameters()).device)


def _counterparts(config: MemNetConfig) -> Iterator[tuple[str, str]]:
    """Yield the name of every layer of the port and of the package's layer with its weights."""
    if config.preactivated_input:
        yield "feature.0", "feature.norm"
    yield ("feature.2" if config.preactivated_input else "feature"), "feature.conv"
    for index in range(config.memory_blocks):
        block = f"blocks.{index}"
        for number, layer in itertools.product(range(config.recursions), (1, 2)):
            unit = f"{block}.units.{number}"
            yield f"{unit}.bn{layer}", f"{block}.recursion.norm{layer}.{number}"
            yield f"{unit}.conv{layer}", f"{block}.recursion.conv{layer}"
        yield f"{block}.gate.0", f"{block}.gate.norm"
        yield f"{block}.gate.2", f"{block}.gate.conv"
    for index in range(config.memory_blocks if config.multi_supervised else 1):
        yield f"norms.{index}.0", f"reconstruction.norms.{index}"
    yield "reconstruction", "reconstruction.conv"

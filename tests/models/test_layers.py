"""What all networks do with a picture in lower precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memnet_cli.models import build_model
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import MemNetConfig, NLRNConfig, PlainConfig, REDNetConfig
from memnet_cli.models.layers import from_the_picture, to_channels, to_planes


def test_faint_detail_on_bright_ground_is_seen() -> None:
    difference = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.zeros_(difference.weight)
    with torch.no_grad():
        difference.weight[0, 0, 1, 0], difference.weight[0, 0, 1, 1] = -1.0, 1.0
    faint = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) / 1000
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = from_the_picture(difference, 0.9 + faint)
        rounded = difference(0.9 + faint)
    wanted = difference(faint)[..., 1:]
    assert seen.dtype == torch.bfloat16
    torch.testing.assert_close(seen[..., 1:].float(), wanted, rtol=0.01, atol=1e-6)
    assert (rounded[..., 1:].float() - wanted).abs().max() > 0.5 * wanted.abs().max()


@pytest.mark.parametrize(
    ("config", "first"),
    [
        (PlainConfig(depth=3, width=4), "layers.0"),
        (REDNetConfig(depth=4, width=4), "encoder.0"),
        (MemNetConfig(1, 1, 4), "feature.conv"),
        (NLRNConfig(steps=1, width=4, embedding_width=2, neighbourhood=3), "feature"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_every_network_sees_the_picture_in_float32(config: Any, first: str) -> None:
    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(output.dtype)

    seen: list[torch.dtype] = []
    model = build_model(config)
    assert isinstance(model, RestorationModel)
    modules = dict(model.named_modules())
    modules[first].register_forward_hook(note)
    convolutions = [m for m in modules.values() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    convolutions[-1].register_forward_hook(note)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.rand(1, 1, 8, 8))
    assert seen == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize(("side", "height", "width"), [(1, 5, 3), (2, 6, 8), (2, 5, 7), (3, 1, 4)])
def test_squares_become_channels_and_back(side: int, height: int, width: int) -> None:
    planes = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0))
    maps = to_channels(planes, side)
    assert maps.shape == (2, side**2, -(-height // side), -(-width // side))
    for row, column in [(0, 0), (height - 1, width - 1), (height - 1, 0)]:
        channel = row % side * side + column % side
        at = maps[:, channel, row // side, column // side]
        assert torch.equal(at, planes[:, 0, row, column])
    assert torch.equal(to_planes(maps, side, height, width), planes)
    # what is added at the lower right is the last row and column once more
    if height % side and width % side:
        assert torch.equal(maps[:, -1, -1, -1], planes[:, 0, -1, -1])

"""VDSR and DnCNN, also with their published weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from memnet_cli.checkpoints import load_weights
from memnet_cli.models import build_model
from memnet_cli.models.configs import PlainConfig
from memnet_cli.models.cost import multiply_adds_per_pixel
from memnet_cli.models.plain import PlainNet
from tests.models.counting import conv_weights
from tests.models.reach import assert_blind_beyond_the_halo


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_the_network_is_a_chain_around_a_skip(subtract: bool, bias: bool) -> None:
    torch.manual_seed(0)
    model = build_model(PlainConfig(depth=4, width=3, bias=bias, subtract=subtract)).double()
    assert isinstance(model, PlainNet)
    x = torch.rand(2, 1, 6, 5, dtype=torch.float64)
    state = model.state_dict()
    chain = x
    for layer in range(4):
        offset = torch.full((3 if layer < 3 else 1,), 0.1 * layer, dtype=torch.float64)
        if bias:
            state[f"layers.{layer}.bias"].copy_(offset)
        chain = F.conv2d(
            chain, state[f"layers.{layer}.weight"], offset if bias else None, padding=1
        )
        if layer < 3:
            chain = chain.clamp(min=0)
    torch.testing.assert_close(model(x), x - chain if subtract else x + chain)


@pytest.mark.parametrize("depth", [20, 44])
def test_pixels_beyond_the_halo_have_no_influence(depth: int) -> None:
    assert_blind_beyond_the_halo(build_model(PlainConfig(depth=depth, width=2)).double())


def test_twenty_layers_have_the_papers_weights() -> None:
    model = build_model(PlainConfig())
    # "665K" in MemNet's Table 2: VDSR, 20 layers of 64 maps
    assert round(conv_weights(model) / 1000) == 665
    assert conv_weights(model) == multiply_adds_per_pixel(model) == 18 * 9 * 64 * 64 + 2 * 9 * 64


@pytest.mark.parametrize(("name", "bias"), [
    ("vdsr", False), ("dncnn3", True), ("gd_gray_blind", True),
])  # fmt: skip
def test_published_weights_load_and_move_towards_the_clean_picture(
    shared: Path, name: str, bias: bool
) -> None:
    from skimage.data import camera
    from skimage.transform import resize

    model, info = load_weights(shared / "peers" / f"{name}.safetensors")
    assert info.model == "plain"
    assert isinstance(model, PlainNet)
    assert model.config == PlainConfig(20, 64, bias=bias, subtract=bias)
    clean = torch.from_numpy(camera()[100:164, 200:264] / 255.0).float()[None, None]
    if name == "gd_gray_blind":
        degraded = clean + 25 / 255 * torch.randn(clean.shape, generator=torch.manual_seed(0))
    else:
        small = F.interpolate(clean, scale_factor=0.5, mode="bicubic", antialias=True)
        degraded = torch.from_numpy(resize(small[0, 0].numpy(), (64, 64), order=3))[None, None]
    with torch.no_grad():
        residual = model(degraded) - degraded
    before = (degraded - clean).square().mean()
    after = (degraded + residual - clean).square().mean()
    wrong_sign = (degraded - residual - clean).square().mean()
    assert float(after) < float(before) < float(wrong_sign)

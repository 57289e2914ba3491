"""MemNet against its paper's counts and equations."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from memnet_cli.checkpoints import load_weights, read_info
from memnet_cli.errors import UsageError
from memnet_cli.models import build_model, config_from_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.cost import multiply_adds_per_pixel
from memnet_cli.models.memnet import MemNet
from tests.models.counting import conv_weights
from tests.models.literal_memnet import Literal

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
VARIANTS = {
    "multi-supervised": MemNetConfig(3, 2, 4),
    "basic": MemNetConfig(3, 2, 4, multi_supervised=False),
    "NL": MemNetConfig(3, 2, 4, long_term=False),
    "NS": MemNetConfig(3, 3, 4, short_term=False),
    "NL and NS": MemNetConfig(2, 2, 4, long_term=False, short_term=False),
    "preactivated": MemNetConfig(2, 3, 4, preactivated_input=True),
}


def memnet(config: MemNetConfig, seed: int = 0) -> MemNet:
    """Build a float64 network none of whose parameters or statistics is a neutral value."""
    torch.manual_seed(seed)
    model = build_model(config).double()
    assert isinstance(model, MemNet)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var") or (".norm" in name and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
            elif not name.endswith("conv.weight"):
                tensor.normal_(0, 0.3)
    return model


def planes(height: int = 9, width: int = 8, batch: int = 2) -> Tensor:
    """Return random planes (batch, 1, height, width) in [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 1, height, width, generator=generator, dtype=torch.float64)


def test_m6r6_has_the_papers_weights_and_multiply_adds() -> None:
    with torch.device("meta"):
        model = build_model(MemNetConfig())
    assert conv_weights(model) == 676_992
    # every layer once a use: first and six last convolutions, six times the 72 shared ones, gates
    inner = 6 * 6 * 2 * 9 * 64 * 64
    gates = sum((6 + long) * 64 * 64 for long in range(1, 7))
    assert multiply_adds_per_pixel(model) == 9 * 64 + 6 * 9 * 64 + inner + gates == 2_891_712


def test_an_early_exit_costs_less() -> None:
    with torch.device("meta"):
        model = build_model(MemNetConfig())
    inner = 2 * 6 * 2 * 9 * 64 * 64
    assert multiply_adds_per_pixel(model, exit_block=2) == 2 * 9 * 64 + inner + 15 * 64 * 64


def test_counting_costs_leaves_the_model_alone() -> None:
    model = build_model(MemNetConfig(2, 1, 4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    multiply_adds_per_pixel(model)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("blocks", "recursions", "depth"), [
    (6, 6, 80), (4, 6, 54), (6, 8, 104), (10, 10, 212),
])  # fmt: skip
def test_depth_is_the_papers(blocks: int, recursions: int, depth: int) -> None:
    config = MemNetConfig(blocks, recursions, 2)
    assert config.depth == depth
    # and the same counted on the longest path of the real network
    applied = 0

    def count(*_: object) -> None:
        nonlocal applied
        applied += 1

    with torch.device("meta"):
        model = build_model(config).eval()
        for block in model.get_submodule("blocks").children():
            block.recursion.conv1.register_forward_hook(count)  # type: ignore[union-attr]
            block.recursion.conv2.register_forward_hook(count)  # type: ignore[union-attr]
        model.get_submodule("feature.conv").register_forward_hook(count)
        model(torch.empty(1, 1, 4, 4))
    gates, last = blocks, 1
    assert applied + gates + last == depth


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 13), (1, 6), (16, 2)])
def test_the_output_has_the_size_of_the_input(height: int, width: int) -> None:
    model = build_model(MemNetConfig(2, 2, 3)).eval()
    assert model(torch.rand(2, 1, height, width)).shape == (2, 1, height, width)


@pytest.mark.parametrize(("long_term", "short_term", "widths"), [
    (True, True, [7, 8, 9, 10, 11, 12]),
    (False, True, [6] * 6),
    (True, False, [2, 3, 4, 5, 6, 7]),
    (False, False, [1] * 6),
])  # fmt: skip
def test_gates_see_the_memories_of_their_variant(
    long_term: bool, short_term: bool, widths: list[int]
) -> None:
    with torch.device("meta"):
        model = build_model(MemNetConfig(long_term=long_term, short_term=short_term))
    for block, memories in enumerate(widths):
        gate = model.get_parameter(f"blocks.{block}.gate.conv.weight")
        assert gate.shape == (64, 64 * memories, 1, 1)


def test_recursions_share_convolutions_and_not_normalisations() -> None:
    model = build_model(MemNetConfig(2, 3, 4))
    names = model.state_dict().keys()
    inside = [name for name in names if name.startswith("blocks.0.recursion")]
    assert sum(name.endswith(("conv1.weight", "conv2.weight")) for name in inside) == 2
    assert sum(name.endswith("running_mean") for name in inside) == 6
    model.train()(torch.rand(2, 1, 8, 8))
    for norm in ("norm1", "norm2"):
        means = [model.get_buffer(f"blocks.0.recursion.{norm}.{r}.running_mean") for r in range(3)]
        for one, other in itertools.combinations(means, 2):
            assert not torch.equal(one, other)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_gets_a_gradient(variant: str) -> None:
    config = VARIANTS[variant]
    model = memnet(config).train()
    target = planes(batch=2)
    outputs = model.predictions(planes().sqrt())
    loss: Tensor = torch.stack([(output - target).square().mean() for output in outputs]).sum()
    torch.autograd.backward(loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        largest = float(parameter.grad.abs().max())
        # Every use of what these biases shift (also through the sums of the residual units) ends
        # in a BN of batch statistics, which takes the constant away again.
        cancelled = name.endswith((
            "recursion.conv1.bias", "recursion.conv2.bias", "gate.conv.bias", "feature.conv.bias",
        ))  # fmt: skip
        if cancelled:
            assert largest < 1e-12, name
        else:
            assert largest > 1e-9, name


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_equations_hold(variant: str, training: bool) -> None:
    config = VARIANTS[variant]
    model = memnet(config).train(training)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    literal = Literal(
        state, config.memory_blocks, config.recursions, training,
        config.multi_supervised, config.preactivated_input, config.long_term, config.short_term,
    )  # fmt: skip
    expected = literal(planes())
    got = model.predictions(planes())
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(model(planes()), expected[-1], rtol=1e-10, atol=1e-10)


def test_exits_are_the_predictions() -> None:
    model = memnet(VARIANTS["multi-supervised"]).eval()
    *single, final = model.predictions(planes())
    for block, prediction in enumerate(single, start=1):
        torch.testing.assert_close(model(planes(), exit_block=block), prediction)
    torch.testing.assert_close(model(planes()), final)


@pytest.mark.parametrize("block", [0, 4, -1])
def test_an_exit_that_is_not_there_is_an_error(block: int) -> None:
    model = memnet(VARIANTS["multi-supervised"]).eval()
    with pytest.raises(UsageError, match=r"expected 1 to 3"):
        model(planes(), exit_block=block)


def test_the_basic_network_has_no_exits() -> None:
    with pytest.raises(UsageError, match="multi-supervised"):
        memnet(VARIANTS["basic"])(planes(), exit_block=1)


@pytest.mark.parametrize("side", [2, 4])
def test_unshuffled_it_is_memnet_on_squares_of_pixels(side: int) -> None:
    config = MemNetConfig(2, 1, 4, unshuffle=side)
    model = memnet(config).eval()
    moved, length = side * 4, side * 20
    whole = planes(length, length, 1)
    there, here = model(whole[..., moved:, moved:]), model(whole)[..., moved:, moved:]
    inner = slice(model.halo, -model.halo)
    assert here[..., inner, inner].numel() == (4 * side) ** 2
    torch.testing.assert_close(there[..., inner, inner], here[..., inner, inner])
    # as many multiply-adds for a square as MemNet takes for a pixel, but in FENet and ReconNet
    ends = (1 + config.memory_blocks) * 9 * config.width
    papers = multiply_adds_per_pixel(build_model(MemNetConfig(2, 1, 4))) - ends
    mine = multiply_adds_per_pixel(model) * side**2
    assert mine == pytest.approx(papers + ends * side**2, abs=side**2)


@pytest.mark.parametrize("config", [MemNetConfig(3, 1, 3), MemNetConfig(2, 1, 3, unshuffle=2)])
def test_pixels_beyond_the_halo_have_no_influence(config: MemNetConfig) -> None:
    model = memnet(config).eval()
    near = planes(8, 80, 1)
    far = near.clone()
    far[..., : 40 - model.halo] = 0
    with torch.no_grad():
        difference = (model(near) - model(far)).abs()
    assert float(difference[..., 40:].max()) == 0
    # and it is not larger than need be
    assert float(difference[..., 40 - 2 * config.unshuffle : 40].max()) > 0


def test_running_statistics_of_a_gate_are_those_of_the_concatenation() -> None:
    model = memnet(MemNetConfig(1, 2, 4)).train()
    gate = model.get_submodule("blocks.0.gate")
    reference = nn.BatchNorm2d(12).double().train()
    reference.load_state_dict(gate.get_submodule("norm").state_dict(), strict=False)
    seen: list[Tensor] = []
    feature = model.get_submodule("feature")
    feature.register_forward_hook(lambda _m, _i, output: seen.append(output))
    recursion = model.get_submodule("blocks.0.recursion")
    model(planes())
    with torch.no_grad():
        reference(torch.cat([seen[0], *recursion(seen[0])], dim=1))
    for name in ("running_mean", "running_var"):
        got = gate.get_submodule("norm").get_buffer(name)
        torch.testing.assert_close(got, reference.get_buffer(name), rtol=1e-12, atol=1e-12)


def test_state_names_are_the_canonical_ones() -> None:
    names = set(build_model(MemNetConfig(2, 2, 4, preactivated_input=True)).state_dict())
    norm = ("weight", "bias", "running_mean", "running_var")
    conv = ("weight", "bias")
    expected = {"ensemble"}
    expected |= {f"feature.conv.{leaf}" for leaf in conv} | {f"feature.norm.{n}" for n in norm}
    expected |= {f"reconstruction.conv.{leaf}" for leaf in conv}
    for m in range(2):
        expected |= {f"reconstruction.norms.{m}.{leaf}" for leaf in norm}
        expected |= {f"blocks.{m}.gate.norm.{leaf}" for leaf in norm}
        expected |= {f"blocks.{m}.gate.conv.{leaf}" for leaf in conv}
        for part, r, leaf in itertools.product(("norm1", "norm2"), range(2), norm):
            expected.add(f"blocks.{m}.recursion.{part}.{r}.{leaf}")
        for part, leaf in itertools.product(("conv1", "conv2"), conv):
            expected.add(f"blocks.{m}.recursion.{part}.{leaf}")
    assert names == expected


@pytest.mark.parametrize("task", ["sr", "denoise", "jpeg"])
def test_shipped_weights_load(task: str) -> None:
    model, info = load_weights(WEIGHTS / f"memnet-m6r6-{task}.safetensors")
    assert info == read_info(WEIGHTS / f"memnet-m6r6-{task}.safetensors")
    assert info.task == task
    assert conv_weights(model) == 676_992


@pytest.mark.parametrize("task", ["sr", "denoise", "jpeg"])
def test_the_reference_weights_fit_without_translation(shared: Path, task: str) -> None:
    file = shared / "weights" / f"bootstrap-memnet-m6r6-{task}.safetensors"
    with safe_open(file, "pt") as opened:
        config = config_from_mapping("memnet", json.loads(opened.metadata()["config"]))
    model = build_model(config)
    tensors = load_file(file)
    model.load_state_dict(tensors, strict=True)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())


def test_autocast_returns_float32_close_to_float32() -> None:
    model, _ = load_weights(WEIGHTS / "memnet-m6r6-denoise.safetensors")
    degraded = planes(24, 24, 1).float()
    with torch.no_grad():
        exact = model(degraded)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model(degraded)
    assert rounded.dtype == torch.float32
    assert float((rounded - exact).square().mean().sqrt()) < 1 / 255

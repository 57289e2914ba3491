"""NLRN against a literal transcription of the paper, and what it must cost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memnet_cli.errors import UsageError
from memnet_cli.models import build_model
from memnet_cli.models import neighbourhood as neighbourhood_module
from memnet_cli.models.configs import METRICS, MemNetConfig, NLRNConfig
from memnet_cli.models.neighbourhood import BLOCK, Correlation, attend, plan_grid
from memnet_cli.models.nlrn import NLRN, PatchAverage, in_patches
from memnet_cli.restoration.memory import peak_bytes_per_pixel

from .counting import conv_weights
from .literal_nlrn import literal_nlrn

SMALL = NLRNConfig(steps=3, width=4, embedding_width=2, neighbourhood=5)


def scrambled(config: NLRNConfig) -> NLRN:
    """Return a network in float64 whose every weight and statistic is random."""
    model = build_model(config).double().eval()
    assert isinstance(model, NLRN)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            values = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            if name.endswith("running_var"):
                values = values.abs() + 0.5
            elif name.endswith("weight") and tensor.ndim == 4:
                values = values * 0.4
            tensor.copy_(values)
    return model


def plane(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.rand(1, 1, height, width, generator=generator, dtype=torch.float64)


def assert_literal(config: NLRNConfig, height: int, width: int) -> None:
    model = scrambled(config)
    expected = literal_nlrn(plane(height, width), config, dict(model.state_dict()))
    with torch.no_grad():
        result = model(plane(height, width))
    assert (expected - plane(height, width)).abs().max() > 1e-3  # the network says something
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("propagate", [True, False])
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_the_papers(metric: str, propagate: bool) -> None:
    config = NLRNConfig(3, 4, 2, 5, metric=metric, propagate=propagate)
    assert_literal(config, 6, 9)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("metric", METRICS)
def test_large_planes_are_worked_on_in_squares(
    monkeypatch: pytest.MonkeyPatch, metric: str, stored: bool
) -> None:
    config = NLRNConfig(2, 3, 2, 3, metric=metric)
    if not stored:
        monkeypatch.setattr(neighbourhood_module, "STORED_BYTES", 0)
    monkeypatch.setattr(neighbourhood_module, "_CHUNK_BYTES_ELSEWHERE", 60_000)
    height, width = BLOCK + 5, BLOCK + 3
    assert plan_grid(height, width, 3, torch.device("cpu")).block == BLOCK
    assert_literal(config, height, width)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [(1, [1] * 24), (3, [3, 1] * 6), (4, [4] * 6), (11, [8, 4] * 2), (24, [12] * 2)],
)
def test_groups_are_taken_by_whole_rows_or_by_parts_of_one(
    monkeypatch: pytest.MonkeyPatch, groups: int, expected: list[int]
) -> None:
    grid = plan_grid(3 * BLOCK - 1, 4 * BLOCK - 3, 3, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    theta, psi, values = torch.rand(3, 2, 4, grid.height, grid.width, generator=generator)
    with torch.no_grad():
        whole, _ = attend(grid, theta, psi, values, Correlation(), softmax=True)
        limit = groups * BLOCK**2 * grid.keys * 4
        monkeypatch.setattr(neighbourhood_module, "_CHUNK_BYTES_ELSEWHERE", limit)
        parts, kept = attend(grid, theta, psi, values, Correlation(), softmax=True)
    assert [len(logits) for logits in kept.logits] == expected
    torch.testing.assert_close(parts, whole, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("metric", ["embedded_gaussian", "dot_product"])
@pytest.mark.parametrize("size", [(5, 5), (6, 7), (BLOCK + 5, BLOCK + 3)])
def test_a_group_too_large_for_the_caches_is_worked_on_in_rows(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], metric: str
) -> None:
    monkeypatch.setattr(neighbourhood_module, "_CHUNK_BYTES_ELSEWHERE", 4 * 42 * 10)
    assert_literal(NLRNConfig(2, 3, 2, 5, metric=metric), *size)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (5, 5), (1, 12), (4, 5), (7, 3)])
@pytest.mark.parametrize("metric", ["embedded_gaussian", "dot_product"])
def test_planes_smaller_than_the_neighbourhood_go_round(
    metric: str, height: int, width: int
) -> None:
    assert_literal(NLRNConfig(2, 4, 2, 5, metric=metric), height, width)


@pytest.mark.parametrize(
    "config",
    [
        NLRNConfig(3, 4, 2, 3, share_weights=False),
        NLRNConfig(4, 4, 2, 3, nonlocal_every=2),
        NLRNConfig(4, 4, 2, 3, nonlocal_every=3, propagate=False),
        NLRNConfig(3, 4, 2, 3, nonlocal_every=0),
    ],
)
def test_the_variants_of_table_2(config: NLRNConfig) -> None:
    assert_literal(config, 6, 5)


@pytest.mark.parametrize("limit", [2 << 30, 0])
def test_gradients_are_those_of_finite_differences(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(neighbourhood_module, "STORED_BYTES", limit)
    model = scrambled(SMALL)
    assert torch.autograd.gradcheck(model, plane(4, 6).requires_grad_())


def test_kept_and_recomputed_correlations_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scrambled(NLRNConfig(6, 8, 4, 5))
    degraded = plane(40, 37)
    with torch.inference_mode():
        stored = model(degraded)
        monkeypatch.setattr(neighbourhood_module, "STORED_BYTES", 0)
        torch.testing.assert_close(model(degraded), stored, rtol=1e-8, atol=1e-8)


def test_weights_are_as_many_as_the_paper_says() -> None:
    weights = conv_weights(build_model(NLRNConfig()))
    # in and out 2 * 9 * 128, theta and psi 2 * 128 * 64, g 128^2, two of 3x3: 2 * 9 * 128^2
    assert weights == 2 * 9 * 128 + 2 * 128 * 64 + 128**2 + 2 * 9 * 128**2
    assert round(weights / 1000) == 330  # Table 3
    plain = conv_weights(build_model(NLRNConfig(nonlocal_every=0)))
    assert plain == weights  # "RNN with same parameter no.", Table 2


def test_the_non_local_unit_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    with_units = build_model(SMALL).double().eval()
    far = plane(9, 30)
    far[..., 15:] = 0.0
    near = far.clone()
    near[..., 20:] = 1.0  # two convolutions a step reach 2 * 3 + 2 pixels
    with torch.no_grad():
        torch.testing.assert_close(with_units(far)[..., :11], with_units(near)[..., :11])


def test_recomputing_takes_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(NLRNConfig(steps=4, width=16, embedding_width=8, neighbourhood=21))
    stored = peak_bytes_per_pixel(model, torch.float32)
    monkeypatch.setattr(neighbourhood_module, "STORED_BYTES", 0)
    monkeypatch.setattr(neighbourhood_module, "_CHUNK_BYTES_ELSEWHERE", 1 << 20)
    assert peak_bytes_per_pixel(model, torch.float32) < stored / 2


def test_one_patch_is_the_network_itself() -> None:
    model = scrambled(SMALL)
    with torch.no_grad():
        assert torch.equal(PatchAverage(model, 3, 5)(plane(5, 5)), model(plane(5, 5)))
        assert torch.equal(PatchAverage(model, 3, 5)(plane(4, 3)), model(plane(4, 3)))


def test_patches_are_averaged_where_they_overlap() -> None:
    model = scrambled(SMALL)
    degraded = plane(6, 9)
    with torch.no_grad():
        left, right = model(degraded[:, :, :5, :5]), model(degraded[:, :, :5, 3:8])
        last = model(degraded[:, :, :5, 4:9])
        low = [model(degraded[:, :, 1:6, start : start + 5]) for start in (0, 3, 4)]
        result = PatchAverage(model, 3, 5)(degraded)
    torch.testing.assert_close(result[..., 0, 0], left[..., 0, 0])
    torch.testing.assert_close(result[..., 0, 3], (left[..., 0, 3] + right[..., 0, 0]) / 2)
    six = [left[..., 1, 4], right[..., 1, 1], last[..., 1, 0]]
    six += [low[0][..., 0, 4], low[1][..., 0, 1], low[2][..., 0, 0]]
    torch.testing.assert_close(result[..., 1, 4], torch.stack(six).mean(0))


@pytest.mark.parametrize("stride", [0, 6, -1])
def test_a_stride_beyond_the_patch_is_an_error(stride: int) -> None:
    with pytest.raises(UsageError, match=f"--nlrn-stride is {stride}: expected 1 to 5"):
        PatchAverage(scrambled(SMALL), stride, 5)


def test_only_nlrn_is_restored_in_patches() -> None:
    other = build_model(MemNetConfig(memory_blocks=1, recursions=1, width=4))
    assert in_patches(other, 7) is other
    model = scrambled(SMALL)
    assert in_patches(model, 0) is model
    patches = [in_patches(model, stride) for stride in (4, None)]
    assert [isinstance(one, PatchAverage) and one.stride for one in patches] == [4, 3]


def test_a_network_trained_on_large_patches_slides_its_neighbourhood() -> None:
    model = scrambled(SMALL)
    assert in_patches(model, None, training_patch=10) is model
    smaller, asked = in_patches(model, None, training_patch=9), in_patches(model, 7, 10)
    assert isinstance(smaller, PatchAverage)
    assert (smaller.side, smaller.stride) == (9, 6)
    assert isinstance(asked, PatchAverage)
    assert (asked.side, asked.stride) == (10, 7)
    assert (asked.grid, asked.halo) == (7, 10)


@pytest.mark.parametrize("reach", [3, 4, 8, 22])
def test_copies_are_the_windows_and_so_is_their_gradient(reach: int) -> None:
    height, width = 2 * reach + 13, 2 * reach + 20
    grid = plan_grid(height, width, 2 * reach + 1, torch.device("cpu"))
    assert grid.block
    maps = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    copies = grid.copies(maps)
    windows = grid.windows(maps).flatten(3, 4).flatten(0, 2)
    torch.testing.assert_close(copies, windows, rtol=0, atol=0)
    toward = torch.randn_like(windows)
    (ours,) = torch.autograd.grad(copies, maps, toward)
    (views,) = torch.autograd.grad(windows, maps, toward)
    torch.testing.assert_close(ours, views)

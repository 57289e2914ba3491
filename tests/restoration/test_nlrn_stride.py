"""NLRN's two ways of restoring a plane, through the same door as every other network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from memnet_cli.checkpoints import WeightsInfo, load_weights, save_weights
from memnet_cli.errors import UsageError
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import NLRNConfig
from memnet_cli.restoration.restorer import Restorer

CONFIG = NLRNConfig(steps=2, width=4, embedding_width=2, neighbourhood=9)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = build_model(CONFIG)
    torch.nn.init.normal_(model.get_submodule("transitions.0.unit.g").weight)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("nlrn") / "nlrn.safetensors"
    save_weights(path, model, WeightsInfo("nlrn", config_to_mapping(CONFIG), "denoise"))
    return path


def restored(weights: Path, degraded: np.ndarray, stride: int | None) -> np.ndarray:
    return Restorer.load(
        task="denoise", weights=weights, precision="fp32", nlrn_stride=stride
    ).restore_plane(degraded)


def test_the_stride_averages_patches(weights: Path) -> None:
    degraded = np.random.default_rng(0).random((9, 15), dtype=np.float32)
    left, right = restored(weights, degraded[:, :9], 0), restored(weights, degraded[:, 6:], 0)
    averaged = restored(weights, degraded, 6)
    np.testing.assert_allclose(averaged[:, :6], left[:, :6], atol=1e-6)
    np.testing.assert_allclose(averaged[:, 6:9], (left[:, 6:] + right[:, :3]) / 2, atol=1e-6)
    assert np.abs(averaged - restored(weights, degraded, 0)).max() > 1e-4
    np.testing.assert_array_equal(restored(weights, degraded, None), averaged)  # 3/4 of 9


@pytest.mark.parametrize("stride", [1, 4, 6, 9])
def test_patches_in_tiles_are_those_of_the_whole_plane(weights: Path, stride: int) -> None:
    degraded = np.random.default_rng(0).random((61, 50), dtype=np.float32)
    engine = Restorer.load(
        task="denoise", weights=weights, precision="fp32", nlrn_stride=stride
    ).engine
    whole, tiled = (replace(engine, tile=tile).restore([degraded])[0].plane for tile in ("off", 36))
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_weights_trained_on_large_patches_are_slid(weights: Path, tmp_path: Path) -> None:
    model, info = load_weights(weights)
    save_weights(tmp_path / "large.safetensors", model, replace(info, patch=18))
    degraded = np.random.default_rng(0).random((21, 30), dtype=np.float32)
    default, slid, strided = (
        restored(tmp_path / "large.safetensors", degraded, stride) for stride in (None, 0, 18)
    )
    np.testing.assert_array_equal(default, slid)
    first = restored(weights, degraded[:18, :18], 0)
    np.testing.assert_allclose(strided[:3, :12], first[:3, :12], atol=1e-6)


def test_the_output_says_so(weights: Path) -> None:
    restorer = Restorer.load(task="denoise", weights=weights, nlrn_stride=7)
    assert "nlrn-stride=7" in restorer.provenance()["memnet:options"]


@pytest.mark.parametrize("stride", [-1, 10])
def test_strides_that_leave_gaps_are_refused(weights: Path, stride: int) -> None:
    with pytest.raises(UsageError, match=f"--nlrn-stride {stride}"):
        Restorer.load(task="denoise", weights=weights, nlrn_stride=stride)


def test_other_networks_have_no_stride(tiny_weights: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="--nlrn-stride is for NLRN"):
        Restorer.load(task="sr", weights=tiny_weights["sr"], nlrn_stride=7)


def test_tiles_stay_small_enough_to_keep_correlations(weights: Path) -> None:
    engine = Restorer.load(task="denoise", weights=weights, nlrn_stride=0).engine
    assert engine.tile_side(300, 380) == 380
    assert engine.tile_side(3000, 4000) <= 384


def test_patches_need_no_small_tiles(weights: Path) -> None:
    patches, sliding = (
        Restorer.load(task="denoise", weights=weights, nlrn_stride=stride).engine
        for stride in (None, 0)
    )
    assert patches.tile_side(1000, 1000) == 1000
    assert patches.bytes_per_pixel < sliding.bytes_per_pixel / 2

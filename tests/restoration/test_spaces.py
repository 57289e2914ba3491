"""Opponent colours that a network trained in [0, 1] can restore."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from memnet_cli.imaging.color import rgb_to_opponent
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.restoration.spaces import OPPONENT, within_reach

_COLOURS = {"green": (20, 230, 20), "magenta": (230, 20, 230), "yellow": (230, 230, 20)}


def _planes(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    return tuple(np.moveaxis(rgb_to_opponent(pixels).astype(np.float32), 2, 0).copy())


def _noisy(colour: tuple[int, ...], sigma: int, side: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(3).normal(0, sigma / 255, (side, side, 3))
    return (np.array(colour) / 255 + noise).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (61, 50)])
@pytest.mark.parametrize("colour", _COLOURS.values(), ids=_COLOURS)
def test_saturated_colours_are_shifted_into_reach_and_back(
    shape: tuple[int, int], colour: tuple[int, ...]
) -> None:
    pixels = np.broadcast_to(np.array(colour, np.float32) / 255, (*shape, 3)).astype(np.float32)
    pixels[:, : shape[1] // 2] = 1 - pixels[:, : shape[1] // 2]
    planes = _planes(pixels)
    space = within_reach(planes)
    assert min(plane.min() for plane in planes) > -1e-6
    assert max(plane.max() for plane in planes) < 1 + 1e-6
    np.testing.assert_allclose(np.moveaxis(space.of(pixels), 2, 0), planes, atol=1e-6)
    np.testing.assert_allclose(space.back(space.of(pixels)), pixels, atol=1e-6)


def test_what_is_narrowed_from_0_on_comes_back() -> None:
    planes = tuple(np.full((4, 8), 0.5, np.float32) for _ in range(3))
    planes[1][:, :4], planes[1][:, 4:] = 0.0, 1.25
    before = np.stack(planes, axis=2)
    space = within_reach(planes)
    assert planes[1].max() <= 1.0
    colours = space.back(np.stack(planes, axis=2))
    np.testing.assert_allclose(rgb_to_opponent(colours), before, atol=1e-6)


def test_colours_within_reach_stay_as_they_are(photograph: NDArray[np.uint8]) -> None:
    planes = _planes((photograph[:64, :64] / 255).astype(np.float32))
    before = [plane.copy() for plane in planes]
    assert within_reach(planes) is OPPONENT
    np.testing.assert_array_equal(planes, before)


@pytest.mark.parametrize("colour", _COLOURS.values(), ids=_COLOURS)
def test_denoising_keeps_saturated_colours(colour: tuple[int, ...]) -> None:
    noisy = _noisy(colour, 10, 48)
    restored = Restorer.load(task="denoise", precision="fp32")(noisy)
    shift = 255 * np.abs(restored.mean((0, 1)) - noisy.mean((0, 1)))
    assert shift.max() < 0.5  # 6 to 10 where the differences are left beyond reach

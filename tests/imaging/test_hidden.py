"""Colours under alpha 0, and what they must not do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from memnet_cli.imaging.hidden import hidden_again, hidden_colour, with_nearest_colours
from memnet_cli.imaging.picture import picture_from_array
from memnet_cli.restoration.restorer import Restorer

_SKIN = (250, 220, 180)


def _disc(side: int, radius: float, hidden: tuple[int, int, int]) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    samples = np.zeros((side, side, 4), np.uint8)
    samples[:, :, :3] = hidden
    samples[rows**2 + columns**2 < radius**2] = (*_SKIN, 255)
    return samples


def test_hidden_pixels_take_the_colour_of_the_nearest_that_is_seen() -> None:
    samples = np.zeros((3, 7, 4), np.uint8)
    samples[:, 1] = (255, 0, 0, 255)
    samples[:, 5] = (0, 0, 255, 1)
    picture = picture_from_array(samples)
    colour = hidden_colour(picture)
    assert colour is not None and colour.tolist() == [0.0, 0.0, 0.0]
    filled = with_nearest_colours(picture)
    assert (filled.pixels[:, :3] == (1.0, 0.0, 0.0)).all()
    assert (filled.pixels[:, 4:] == (0.0, 0.0, 1.0)).all()
    near = with_nearest_colours(picture, within=1)
    assert (near.pixels[:, :3] == (1.0, 0.0, 0.0)).all()
    assert (near.pixels[:, 3] == 0.0).all()
    assert (near.pixels[:, 4:] == (0.0, 0.0, 1.0)).all()
    np.testing.assert_array_equal(hidden_again(filled, colour).pixels, picture.pixels)


@pytest.mark.parametrize("alpha", [0, 255, None])
def test_where_nothing_or_all_is_hidden_there_is_nothing_to_fill(alpha: int | None) -> None:
    samples = np.full((5, 5, 3 if alpha is None else 4), 255 if alpha is None else alpha, np.uint8)
    assert hidden_colour(picture_from_array(samples)) is None


def test_hidden_colours_that_differ_are_a_picture_of_their_own() -> None:
    samples = _disc(16, 5.0, (0, 0, 0))
    samples[0, 0] = (1, 2, 3, 0)
    assert hidden_colour(picture_from_array(samples)) is None


@pytest.mark.parametrize(("task", "scale"), [("sr", 2), ("sr", 2.5), ("denoise", None)])
def test_a_cut_out_looks_the_same_whatever_is_hidden(task: str, scale: float | None) -> None:
    restorer = Restorer.load(task=task, precision="fp32")
    black, skin = (restorer(_disc(32, 10.0, hidden), scale=scale) for hidden in ((0, 0, 0), _SKIN))
    np.testing.assert_array_equal(black[:, :, 3], skin[:, :, 3])
    on_white = [255 + (made[:, :, :3] - 255.0) * (made[:, :, 3:] / 255.0) for made in (black, skin)]
    assert np.abs(on_white[0] - on_white[1]).max() <= 1
    assert (black[black[:, :, 3] == 0] == 0).all()

"""Colours that alpha hides, which must not show when pixels are mixed with their neighbours."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.picture import Picture


def hidden_colour(picture: Picture) -> NDArray[np.float32] | None:
    """Return the one colour (C,) of all pixels of alpha 0, which a program put there.

    None where nothing or everything is hidden, and where hidden colours differ: then they are a
    picture of their own, without an edge to what is seen.
    """
    if picture.alpha is None:
        return None
    hidden = picture.pixels[picture.alpha == 0.0]
    if len(hidden) in (0, picture.height * picture.width) or np.ptp(hidden, axis=0).any():
        return None
    colour: NDArray[np.float32] = hidden[0].copy()
    return colour


def with_nearest_colours(picture: Picture, within: float = math.inf) -> Picture:
    """Give every pixel of alpha 0 the colour of the nearest one that is seen.

    ``within`` is a distance in pixels; farther ones become black.
    """
    from scipy.ndimage import distance_transform_edt

    assert picture.alpha is not None
    hidden = picture.alpha == 0.0
    rows, columns = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    pixels = picture.pixels[rows, columns]
    if within < math.inf:
        # the transform takes three times as long where it gives distances itself
        rows -= np.arange(picture.height, dtype=rows.dtype)[:, None]
        columns -= np.arange(picture.width, dtype=columns.dtype)
        pixels[np.hypot(rows, columns, dtype=np.float32) > within] = 0.0
    return replace(picture, pixels=pixels)


def hidden_again(picture: Picture, colour: NDArray[np.float32]) -> Picture:
    """Give every pixel whose alpha is 0 in the picture's bit depth the colour (C,)."""
    assert picture.alpha is not None
    hidden = picture.alpha < 0.5 / (2**picture.bit_depth - 1)
    pixels = np.where(hidden[:, :, None], colour, picture.pixels)
    return replace(picture, pixels=pixels)

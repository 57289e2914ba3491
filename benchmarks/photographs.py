"""Crops of the photographs that scikit-image ships, which no bundled weights were trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut, chelsea, coffee, rocket


def photographs(side: int) -> dict[str, NDArray[np.uint8]]:
    """Return the middle ``side`` x ``side`` pixels of four colour photographs by name."""
    pictures = {
        "astronaut": astronaut(),
        "coffee": coffee(),
        "chelsea": chelsea(),
        "rocket": rocket(),
    }
    return {name: _middle(picture, side) for name, picture in pictures.items()}


def _middle(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])

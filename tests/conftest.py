"""Fixtures for the whole suite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference data that stands beside a checkout; skip without it."""
    if not (_SHARED / "published.json").is_file():
        pytest.skip(f"the reference data is not there: {_SHARED}")
    return _SHARED


@pytest.fixture(scope="session")
def photograph() -> NDArray[np.uint8]:
    """Return a real photograph, (512, 512, 3) uint8, that scikit-image ships."""
    from skimage.data import astronaut

    picture: NDArray[np.uint8] = astronaut()
    return picture


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator that is the same in every run."""
    return np.random.default_rng(20170807)

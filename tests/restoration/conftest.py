"""What the tests of the threads around the model share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

_PATIENCE = 20.0


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that ends with more threads than it began with."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _PATIENCE
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before

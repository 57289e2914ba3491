"""Starting a command that needs torch."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

# fewer cost time where nothing else runs, see docs/performance.md
_SPIN_COUNT = "10000"


def let_others_run() -> None:
    """Have threads that wait for each other give up the core soon; to be called before torch comes.

    libgomp, with which torch computes on Linux, spins 300,000 times by itself: beside one other
    busy program, a thread that has its core keeps the one that it waits for from running. What the
    user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)


@contextmanager
def kept_to_the_end() -> Iterator[None]:
    """Import modules, or load what else stays until the process ends.

    None of torch's 165,000 objects is garbage: looking through them while they are made, and once
    more when Python ends, takes half a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()

"""Starting a command that needs torch."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

# of OpenMP and of GCC's libgomp, which torch computes with on Linux
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_LOOKS = "10000"


def let_others_run() -> None:
    """Have threads that wait for each other give up the core soon; to be called before torch comes.

    Unasked libgomp looks some 300,000 times: beside one other busy program, a thread that has its
    core keeps the one that it waits for from running. What the user has set stays.
    """
    if not any(name in os.environ for name in _WAITING):
        os.environ["GOMP_SPINCOUNT"] = _LOOKS


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

"""Starting a command that needs torch."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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

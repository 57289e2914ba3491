"""How the C library of this process treats freed memory; Linux with glibc only, else nothing."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def reuse_freed_memory() -> None:
    """Keep freed memory for the next layer instead of giving it back to the system.

    A layer's activations are larger than what glibc takes from its heap, so that every layer
    would get fresh pages and pay for their faults: on a 512x512 plane and one thread, 80 of 160
    CPU-seconds a megapixel of MemNet-M6R6. For programs: a library leaves this to its host.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        glibc = ctypes.CDLL(None)
        glibc.mallopt(_M_MMAP_MAX, 0)
        glibc.mallopt(_M_TRIM_THRESHOLD, _LARGEST)


def give_back_freed_memory() -> None:
    """Give freed memory back, so that the resident memory is what is in use."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

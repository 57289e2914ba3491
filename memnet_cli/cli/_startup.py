"""Starting a command that needs torch."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# fewer cost time where nothing else runs, see docs/performance.md
_SPIN_COUNT = "10000"


def open_streams() -> frozenset[str]:
    """Put the null device in the place of standard streams that were closed (``>&-``).

    Else the next file that is opened would take their place, and be written to.

    Returns:
        Which were closed: "stdin", "stdout", "stderr".
    """
    closed = set()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            closed.add(name)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    return frozenset(closed)


def let_others_run() -> None:
    """Have threads that wait for each other give up the core soon; to be called before torch comes.

    libgomp, with which torch computes on Linux, spins 300,000 times by itself: beside one other
    busy program, a thread that has its core keeps the one that it waits for from running. What the
    user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let no module that is imported swallow Ctrl-C, as a callback or finaliser does."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or not _in_main_thread():
        yield
        return
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
        if pressed:
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def kept_to_the_end() -> Iterator[None]:
    """Import modules, or load what else stays until the process ends.

    None of torch's 165,000 objects is garbage: looking through them while they are made, and once
    more when Python ends, takes half a second.

    Raises:
        KeyboardInterrupt: after Ctrl-C, at the end at the latest.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with interruptible():
            yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()

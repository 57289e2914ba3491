"""SIGTERM and Ctrl-C: asked once, the run saves and leaves; a second Ctrl-C ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether somebody asked this process to stop, and how."""

    signal_name: str = ""

    def asked(self) -> bool:
        """Say whether somebody has asked; may change at any time."""
        return self.signal_name != ""


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note SIGTERM and SIGINT while training.

    A second SIGTERM changes nothing: schedulers repeat it while the run is still saving.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may set handlers: the embedding program has its own
        return

    def note(number: int, _frame: FrameType | None) -> None:
        if request.signal_name and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal_name = signal.Signals(number).name

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

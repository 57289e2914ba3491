"""SIGTERM, SIGHUP and Ctrl-C: asked once, the run saves and leaves; a second Ctrl-C ends it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from memnet_cli.config import ending_signals


@dataclass
class StopRequest:
    """Whether somebody asked this process to stop, and how."""

    signal_name: str = ""

    def asked(self) -> bool:
        """Say whether somebody has asked; may change at any time."""
        return self.signal_name != ""

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal.

        Raises:
            KeyboardInterrupt: for a Ctrl-C after somebody has asked already.
        """
        if self.asked() and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_name = signal.Signals(number).name


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note SIGTERM, SIGHUP and SIGINT while training; inside another, yield its request.

    A second SIGTERM changes nothing: schedulers repeat it while the run is still saving.
    """
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()  # only the main thread may set handlers: the program around has its own
        return
    outer = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if isinstance(outer, StopRequest):
        yield outer
        return
    request = StopRequest()
    numbers = (*ending_signals(), signal.SIGINT)
    before = {number: signal.signal(number, request.note) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

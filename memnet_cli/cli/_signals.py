"""Ending on SIGTERM and SIGHUP as on Ctrl-C: finish what is being written, tell, leave."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from memnet_cli.config import ending_signals


class Stopped(KeyboardInterrupt):
    """Somebody asked the process to end.

    Attributes:
        name: of the signal, for the user.
        exit_code: 128 and the signal's number, as shells have it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        self.exit_code = 128 + number


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Raise Stopped on SIGTERM, SIGHUP and Ctrl-C inside; a SIGHUP that nohup ignores stays so."""
    before = {number: signal.signal(number, _stop) for number in ending_signals()}
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:
        raise Stopped(signal.SIGINT) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Who notes a signal."""

from __future__ import annotations

import os
import signal

import pytest

from memnet_cli.training.stopping import stop_requests


def test_one_who_asks_has_asked_all_that_are_entered_and_nobody_after_them() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_requests() as outer:
        with stop_requests() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner.asked()
        assert outer.asked() and outer.signal_name == "SIGTERM"
        with stop_requests() as later:
            assert later.asked()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    with stop_requests() as other:
        assert not other.asked()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before

"""Who notes a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memnet_cli.training.stopping import stop_requests
from tests.training.conftest import TINY


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP")
def test_a_closed_terminal_asks_unless_nohup_ignores_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with stop_requests() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert request.signal_name == "SIGHUP"
        assert signal.signal(signal.SIGHUP, signal.SIG_IGN) is signal.SIG_DFL
        with stop_requests() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request.asked()
    finally:
        signal.signal(signal.SIGHUP, before)


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


@pytest.mark.timeout(120)
def test_a_run_goes_on_when_nobody_reads_what_it_says(pictures: Path, tmp_path: Path) -> None:
    """As when ``tee`` ends before it, of the same closed terminal."""
    read, write = os.pipe()
    command = [sys.executable, "-m", "memnet_cli", "train", "--task", "sr", "--steps", "12"]
    command += ["--data", str(pictures), "--out", str(tmp_path / "run"), "--device", "cpu"]
    command += [part for setting in TINY for part in ("--set", setting)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=write)
    os.close(write)
    os.close(read)
    assert running.wait(100) == 0
    assert (tmp_path / "run" / "last.safetensors").exists()

"""What stays to the end is not looked through for garbage."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from memnet_cli.cli._startup import kept_to_the_end


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_meanwhile_and_what_came_is_kept() -> None:
    before = gc.get_freeze_count()
    with kept_to_the_end():
        assert not gc.isenabled()
        made = [[index] for index in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_an_error_goes_on_and_garbage_is_collected_again() -> None:
    with pytest.raises(ValueError, match="weights"), kept_to_the_end():
        raise ValueError("weights")
    assert gc.isenabled()


def test_ctrl_c_is_not_swallowed_by_what_is_imported() -> None:
    before = signal.getsignal(signal.SIGINT)
    # swallowed as by a callback of an extension module
    swallowed = contextlib.suppress(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt), kept_to_the_end(), swallowed:
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with kept_to_the_end():
        pass


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with kept_to_the_end():
        pass
    assert not gc.isenabled()


@pytest.mark.skipif(sys.platform != "linux", reason="torch computes with libgomp on Linux alone")
@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, "GOMP_SPINCOUNT = '10000'"),
        ({"GOMP_SPINCOUNT": "77"}, "GOMP_SPINCOUNT = '77'"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "GOMP_SPINCOUNT = '0'"),
    ],
)
def test_libgomp_says_how_long_threads_wait_awake(own: dict[str, str], expected: str) -> None:
    # the whole command, then what a command that computes would import next
    program = "from memnet_cli.cli import main\ntry:\n    main()\nfinally:\n    import torch"
    clean = {key: text for key, text in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    told = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        env={**clean, **own, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    if "GOMP_SPINCOUNT" not in told:
        pytest.skip("this torch computes with another OpenMP")
    assert expected in told

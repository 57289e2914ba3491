"""Run `memnet` as a user does, in this process or in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from memnet_cli import cli
from memnet_cli.cli._training import TrainingView


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


Memnet = Callable[..., Ran]


@pytest.fixture
def memnet(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Memnet:
    """Run the command line in this process: fast, torch is loaded already."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["memnet", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfd.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0 if code is None else 1, *captured)

    return run


@pytest.fixture
def memnet_process() -> Memnet:
    """Run the command line in a process of its own, which must not import torch."""

    def run(*arguments: object) -> Ran:
        code = (
            "import sys\n"
            "sys.modules['torch'] = None  # importing torch now fails\n"
            "from memnet_cli.cli import main\n"
            "main()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def stopped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C, once, at the first word of a training run."""
    shown = TrainingView.show
    asked: list[bool] = []

    def interrupted(view: TrainingView, event: object) -> None:
        shown(view, event)  # type: ignore[arg-type]
        if not asked:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrainingView, "show", interrupted)

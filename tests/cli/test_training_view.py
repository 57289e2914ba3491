"""What a training run looks like on a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from memnet_cli.cli import _training
from memnet_cli.cli._training import TrainingView, clock_text, progress_text
from memnet_cli.training.config import Budget
from memnet_cli.training.events import Measured, Note, Progress

_PROGRESS = Progress(
    step=1234,
    progress=0.42,
    seconds=130.0,
    seconds_left=3700.0,
    loss=0.01234,
    lr=2e-4,
    recursions=6,
    steps_per_second=1.5,
    patches_per_second=24.0,
    pixels_per_second=24576.0,
    peak_share=0.55,
    data_share=0.004,
)


def _measured(psnr: float, best: bool) -> Measured:
    scores = {level: {"psnr": psnr - level, "ssim": 0.9} for level in (2, 3, 4)}
    return Measured(1200, 120.0, "Set5", scores, best=best, took=1.0)


def test_no_time_left_is_claimed_before_anything_is_known_of_it() -> None:
    assert progress_text(_PROGRESS).endswith("2:10 used, 1:01:40 left")
    assert progress_text(replace(_PROGRESS, seconds_left=None)).endswith("2:10 used")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    """Return a terminal of 80 columns in place of stderr."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(_training, "err", console)
    yield console


def test_the_dashboard_fits_80_columns_and_has_what_one_waits_for(
    terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    # its clock goes on after an event; here it stands, however slow the machine is
    monkeypatch.setattr(_training, "time", SimpleNamespace(monotonic=lambda: 100.0))
    view = TrainingView(Budget(seconds=3830), quiet=False)
    with view:
        view.show(_PROGRESS)
        view.show(_measured(40.0, best=True))
        view.show(_measured(39.0, best=False))
    rendered = terminal.render_lines(view.dashboard, pad=False)
    lines = ["".join(segment.text for segment in line) for line in rendered]
    assert len(lines) == 5, "nothing is wrapped"
    text = "\n".join(lines)
    for part in (
        *("42.0%", "2:10 used, 1:01:40 left", "step 1234 R6", "loss 0.01234", "lr 2.00e-04"),
        *("1.50 steps/s", "24.0 patches/s", "24.6 kpx/s", "55% of peak", "data 0.4%"),
        *("Set5  2: 37.00 dB  3: 36.00 dB  4: 35.00 dB", "best  2: 38.00 dB"),
    ):
        assert part in text


def test_without_a_terminal_every_event_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(_training, "err", Console(file=file, width=80, soft_wrap=True))
    with TrainingView(Budget(steps=9), quiet=False) as view:
        for event in (_PROGRESS, _measured(40.0, best=True), Note("Grown to 6 recursions.")):
            view.show(event)
    first, second, third = file.getvalue().splitlines()
    assert first.startswith(" 42.0% step 1234 R6  loss 0.01234") and first.endswith("left")
    assert second.startswith("measured after step 1200 on Set5  2: 38.000 dB / 0.9000")
    assert second.endswith("best so far")
    assert third == "Grown to 6 recursions."


def test_quiet_is_quiet(terminal: Console) -> None:
    with TrainingView(Budget(steps=9), quiet=True) as view:
        view.show(_PROGRESS)
    assert terminal.file.getvalue() == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (130, "2:10"), (3700, "1:01:40")])
def test_clocks(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text

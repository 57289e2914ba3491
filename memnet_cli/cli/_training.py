"""How a training run is shown: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from memnet_cli.cli._console import err, out, print_warning, table
from memnet_cli.training import events

if TYPE_CHECKING:
    from memnet_cli.training.config import Budget, TrainingConfig
    from memnet_cli.training.data import TrainingData
    from memnet_cli.training.loop import TrainingResult

#: Exit code of a run that was stopped and waits to be resumed.
STOPPED = 130


def clock_text(seconds: float) -> str:
    """Return "1:02:03" or "2:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class Dashboard:
    """The last lines of the terminal: how far, how fast, how good; drawn anew every second.

    Attributes:
        progress: of the last steps, or None before the first.
        measured: last scores, or None.
        best: best scores so far, or None.
        shown_at: ``time.monotonic`` when the progress came.
    """

    progress: events.Progress | None = None
    measured: events.Measured | None = None
    best: events.Measured | None = None
    shown_at: float = 0.0

    def __rich__(self) -> Group:
        """Return the lines, each short enough for 80 columns."""
        event = self.progress
        if event is None:
            return Group(Text("preparing pictures"))
        since = time.monotonic() - self.shown_at
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(total=1.0, completed=event.progress, width=30),
            f"{event.progress:.1%}",
            time_text(event, since),
        )
        lines: list[Table | Text] = [line, *(Text(text) for text in progress_lines(event))]
        if self.measured is not None:
            lines.append(Text(f"{self.measured.dataset}  {psnr_text(self.measured)}"))
        if self.best is not None and self.best is not self.measured:
            lines.append(Text(f"best  {psnr_text(self.best)}  (step {self.best.step})"))
        return Group(*lines)


class TrainingView:
    """Shows the events of a run on stderr: a dashboard on a terminal, else one line each."""

    def __init__(self, budget: Budget, *, quiet: bool) -> None:
        self.quiet = quiet
        self.budget = budget
        self.dashboard = Dashboard()
        self.live = Live(self.dashboard, console=err, refresh_per_second=1, transient=True)
        self.is_live = err.is_terminal and not quiet

    def __enter__(self) -> TrainingView:
        if self.is_live:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self.is_live:
                self.live.stop()
        except OSError:  # the terminal is gone
            err.quiet = True

    def title(self, config: TrainingConfig, data: TrainingData, recipe: str) -> None:
        """Say what is going to be done, with the recipe in full."""
        if self.quiet:
            return
        measured = data.validation
        err.print(f"Training {config.model} for {config.task} into {config.out}, {self.budget}.")
        err.print(
            f"Training pictures: {len(data.images)} from {', '.join(config.data)}; measured on: "
            f"{len(measured.images)} of {measured.name} at {list(measured.levels)}.",
        )
        err.print(recipe.rstrip())
        if not measured.images:
            print_warning(
                "No picture is left to measure on, so there will be no best weights: give --val."
            )

    def show(self, event: events.Event) -> None:
        """Show one event; a terminal that is gone by then does not end the run."""
        if self.quiet:
            return
        try:
            self._show(event)
        except OSError:
            err.quiet = True

    def _show(self, event: events.Event) -> None:
        if isinstance(event, events.Progress):
            self.dashboard.progress, self.dashboard.shown_at = event, time.monotonic()
            if not self.is_live:
                err.print(progress_text(event))
        elif isinstance(event, events.Measured):
            self.dashboard.measured = event
            self.dashboard.best = event if event.best else self.dashboard.best
            err.print(measured_text(event))
        elif isinstance(event, events.Note):
            err.print(event.text)


def progress_lines(event: events.Progress) -> tuple[str, str]:
    """Return two lines about the last steps: what was learned, and how fast."""
    grown = f" R{event.recursions}" if event.recursions else ""
    return (
        f"step {event.step}{grown}  loss {event.loss:.5f}  lr {event.lr:.2e}",
        f"{event.steps_per_second:.2f} steps/s  {event.patches_per_second:.1f} patches/s  "
        f"{event.pixels_per_second / 1e3:.1f} kpx/s  {event.peak_share:.0%} of peak  "
        f"data {event.data_share:.1%}",
    )


def time_text(event: events.Progress, since: float = 0.0) -> str:
    """Return what is used and, where that is known, left, ``since`` seconds after the event."""
    used = f"{clock_text(event.seconds + since)} used"
    if event.seconds_left is None:
        return used
    return f"{used}, {clock_text(max(0.0, event.seconds_left - since))} left"


def progress_text(event: events.Progress) -> str:
    """Return one line about the last steps."""
    return f"{event.progress:6.1%} {'  '.join(progress_lines(event))}  {time_text(event)}"


def psnr_text(event: events.Measured) -> str:
    """Return the PSNR at every level."""
    return "  ".join(f"{level}: {score['psnr']:.2f} dB" for level, score in event.scores.items())


def measured_text(event: events.Measured) -> str:
    """Return one line about a measurement."""
    scores = "  ".join(
        f"{level}: {score['psnr']:.3f} dB / {score['ssim']:.4f}"
        for level, score in event.scores.items()
    )
    star = "  best so far" if event.best else ""
    return f"measured after step {event.step} on {event.dataset}  {scores}{star}"


def print_result(config: TrainingConfig, result: TrainingResult) -> None:
    """Say how the session ended and where the weights are."""
    if not result.finished:
        err.print(
            f"Stopped after step {result.step} ({result.reason}): everything is saved; go on with "
            f"memnet train --out {config.out} --resume",
        )
        return
    out.print(
        f"{result.step} steps, {result.pixels / 1e6:.1f} million pixels in "
        f"{clock_text(result.seconds)}: {result.weights}",
    )
    if result.scores:
        rows = [
            (str(level), f"{score.psnr:.3f}", f"{score.ssim:.4f}")
            for level, score in result.scores.items()
        ]
        name = next(iter(result.scores.values())).dataset
        out.print(table(f"{name}, {config.task}", ("level", "PSNR", "SSIM"), rows))

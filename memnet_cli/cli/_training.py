"""How a training run is shown: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn

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


class TrainingView:
    """Shows the events of a run on stderr."""

    def __init__(self, budget: Budget, *, quiet: bool) -> None:
        self.quiet = quiet
        self.budget = budget
        self.live = err.is_terminal and not quiet
        self.bar = Progress(
            TextColumn("{task.percentage:5.1f}%"),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=err,
            disable=not self.live,
            transient=True,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> TrainingView:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def title(self, config: TrainingConfig, data: TrainingData, recipe: str) -> None:
        """Say what is going to be done, with the recipe in full."""
        if self.quiet:
            return
        measured = data.validation
        err.print(f"Training {config.model} for {config.task} into {config.out}, {self.budget}.")
        err.print(
            f"Training pictures: {len(data.images)} from {', '.join(config.data)}; measured on: "
            f"{len(measured.images)} of {measured.name} at {list(measured.levels)}."
        )
        err.print(recipe.rstrip(), markup=False)
        if not measured.images:
            print_warning(
                "No picture is left to measure on, so there will be no best weights: give --val."
            )

    def show(self, event: events.Event) -> None:
        """Show one event."""
        if self.quiet:
            return
        if isinstance(event, events.Progress):
            self._progress(event)
        elif isinstance(event, events.Measured):
            err.print(measured_text(event))
        elif isinstance(event, events.Note):
            err.print(event.text, markup=False)

    def _progress(self, event: events.Progress) -> None:
        text = progress_text(event)
        if not self.live:
            err.print(f"{event.progress:6.1%} {text}")
            return
        if self.task is None:
            self.task = self.bar.add_task("", total=1.0)
        self.bar.update(self.task, completed=event.progress, description=text)


def progress_text(event: events.Progress) -> str:
    """Return one line about the last steps."""
    grown = f" R{event.recursions}" if event.recursions else ""
    return (
        f"step {event.step}{grown}  loss {event.loss:.5f}  lr {event.lr:.2e}  "
        f"{event.steps_per_second:.2f} steps/s  {event.pixels_per_second / 1e3:.1f} kpx/s  "
        f"{event.peak_share:.0%} of peak  data {event.data_share:.1%}  "
        f"{clock_text(event.seconds)} used, {clock_text(event.seconds_left)} left"
    )


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
            markup=False,
        )
        return
    out.print(
        f"{result.step} steps, {result.pixels / 1e6:.1f} million pixels in "
        f"{clock_text(result.seconds)}: {result.weights}",
        markup=False,
    )
    if result.scores:
        rows = [
            (str(level), f"{score.psnr:.3f}", f"{score.ssim:.4f}")
            for level, score in result.scores.items()
        ]
        name = next(iter(result.scores.values())).dataset
        out.print(table(f"{name}, {config.task}", ("level", "PSNR", "SSIM"), rows))

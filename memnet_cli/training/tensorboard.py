"""TensorBoard events of a run, through the extra memnet-cli[tensorboard]."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from memnet_cli.errors import UsageError
from memnet_cli.training.events import Event, Measured, Progress, Say

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def check_tensorboard() -> None:
    """Raise UsageError if the extra is not installed."""
    if find_spec("tensorboard") is None:
        raise UsageError(
            "--tensorboard needs a package that is not there: pip install 'memnet-cli[tensorboard]'"
        )


def with_board(say: Say, folder: Path, step: int) -> Say:
    """Return ``say`` that also writes into ``folder``, where what came after ``step`` is dropped.

    Raises:
        UsageError: if the extra is not installed.
    """
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    board = SummaryWriter(str(folder), purge_step=step + 1)

    def say_and_write(event: Event) -> None:
        say(event)
        _write(board, event)

    return say_and_write


def _write(board: SummaryWriter, event: Event) -> None:
    """Write the numbers of an event."""
    if isinstance(event, Progress):
        values = {
            "train/loss": event.loss,
            "train/lr": event.lr,
            "speed/pixels per second": event.pixels_per_second,
            "speed/share of peak": event.peak_share,
            "speed/data share": event.data_share,
        }
    elif isinstance(event, Measured):
        values = {
            f"{event.dataset} {level}/{kind}": value
            for level, score in event.scores.items()
            for kind, value in score.items()
        }
    else:
        return
    for name, value in values.items():
        board.add_scalar(name, value, event.step)
    board.flush()

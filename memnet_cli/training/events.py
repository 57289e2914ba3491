"""What a run says while it goes on; the command line shows it, the records keep it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One sentence for the reader."""

    text: str


@dataclass(frozen=True)
class Progress:
    """How the steps since the last report went.

    Attributes:
        step: optimizer steps done in all.
        progress: share of the budget, 0 to 1.
        seconds: wall time used so far, over all sessions.
        seconds_left: predicted; None where nothing is known yet.
        loss: mean over the steps.
        lr: learning rate, of the first optimizer.
        recursions: of a MemNet that grows; 0 of any other network.
        steps_per_second, patches_per_second, pixels_per_second: of the training itself.
        peak_share: of the machine's measured convolution peak, 0 to 1.
        data_share: of the time, spent on making patches, 0 to 1.
    """

    step: int
    progress: float
    seconds: float
    seconds_left: float | None
    loss: float
    lr: float
    recursions: int
    steps_per_second: float
    patches_per_second: float
    pixels_per_second: float
    peak_share: float
    data_share: float


@dataclass(frozen=True)
class Measured:
    """Validation scores.

    Attributes:
        step: optimizer steps done in all.
        seconds: wall time used so far.
        dataset: what was measured on.
        scores: level -> {"psnr": dB, "ssim": 0..1}.
        best: whether it is the best so far.
        took: seconds.
    """

    step: int
    seconds: float
    dataset: str
    scores: Mapping[int, Mapping[str, float]]
    best: bool
    took: float


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written."""

    step: int
    name: str


Event = Note | Progress | Measured | Saved
Say = Callable[[Event], None]

"""Time of a run: what is used, what is left for training, what the last measurement will take."""

from __future__ import annotations

import time
from dataclasses import dataclass

#: Measuring is slower than the arithmetic says: tiles overlap, pictures are read and scored.
_CAUTION = 1.25
#: For the last checkpoint and the curves.
_CLOSING_SECONDS = 2.0


@dataclass
class Clock:
    """Wall time of a run over all its sessions.

    Attributes:
        started: when this session began, by ``time.monotonic``.
        earlier: seconds of the sessions before.
        budget: seconds in all; None where steps or epochs are counted.
        measuring: what one measurement of the last network is expected to take.
        step: what one step takes, of late.
        began_at: progress when this session began.
    """

    started: float
    earlier: float
    budget: float | None
    measuring: float = 0.0
    step: float = 0.0
    began_at: float = 0.0

    def session(self) -> float:
        """Return the seconds since this session began."""
        return time.monotonic() - self.started

    def left_of(self, limit: float) -> float:
        """Return the seconds of this session until one more step would pass ``limit``."""
        return limit - _CLOSING_SECONDS - self.step - self.session()

    def elapsed(self) -> float:
        """Return the seconds of all sessions."""
        return self.earlier + self.session()

    def expect_measuring(self, seconds: float) -> None:
        """Take note of what the last measurement is expected to take."""
        self.measuring = seconds * _CAUTION

    def progress(self) -> float:
        """Return the share of the time for training that is used, 1 once no step fits any more."""
        assert self.budget is not None
        training = self.budget - self.measuring - _CLOSING_SECONDS
        used = self.elapsed()
        return 1.0 if used + self.step > training else used / training

    def seconds_left(self, progress: float) -> float:
        """Predict the rest of the run from the budget, or from the pace of this session."""
        if self.budget is not None:
            return max(0.0, self.budget - self.elapsed())
        done = progress - self.began_at
        return self.session() * (1.0 - progress) / done if done > 0 else 0.0

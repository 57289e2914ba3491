"""Time of a run: what is used, what is left for training, what the last measurement will take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

#: Measuring is slower than the arithmetic says: tiles overlap, pictures are read and scored.
_CAUTION = 1.25
#: The pace is the mean of about this many seconds: a short stall of the machine, when something
#: else needs it, must not move the schedule, which never goes back.
_PACE_SECONDS = 120.0
#: Nor may a long one by more than this; where that is too little, fewer pictures are measured.
_SLOWEST = 2.0
#: And the last measurement may keep back no more of the budget than this.
_MOST = 0.4
#: For the last checkpoint and the curves.
_CLOSING_SECONDS = 2.0


@dataclass
class Clock:
    """Wall time of a run over all its sessions.

    Attributes:
        started: when this session began, by ``time.monotonic``.
        budget: seconds in all; None where steps or epochs are counted.
        earlier: seconds of the sessions before.
        began_at: progress before the first step of this session.
        began: seconds of this session before that, for reading weights and pictures.
        step: what one step takes, of late.
        measuring: what one measurement of the last network was expected to take.
        fitting: what fitting the result before it was expected to take.
        pace: seconds of a step per multiply-add, of late; the machine may become slower.
        pace_then: the same when the measurement was predicted.
    """

    started: float
    budget: float | None
    earlier: float = 0.0
    began_at: float = 0.0
    began: float = 0.0
    step: float = 0.0
    measuring: float = 0.0
    fitting: float = 0.0
    pace: float = 0.0
    pace_then: float = 0.0

    def session(self) -> float:
        """Return the seconds since this session began."""
        return time.monotonic() - self.started

    def begin(self, progress: float) -> None:
        """Take note that the first step of this session is next."""
        self.began_at, self.began = progress, self.session()

    def left_of(self, limit: float) -> float:
        """Return the seconds of this session until one more step would pass ``limit``."""
        return limit - _CLOSING_SECONDS - self.step - self.session()

    def elapsed(self) -> float:
        """Return the seconds of all sessions."""
        return self.earlier + self.session()

    def note_steps(self, count: int, seconds: float, multiply_adds: float) -> None:
        """Take note of what the last steps took together, with so many multiply-adds a pixel."""
        self.step = seconds / count
        pace = self.step / multiply_adds
        kept = math.exp(-seconds / _PACE_SECONDS) if self.pace else 0.0
        self.pace = kept * self.pace + (1.0 - kept) * pace
        self.pace_then = self.pace_then or self.pace

    def expect_measuring(self, seconds: float) -> None:
        """Take note of what the last measurement would take at the pace of now."""
        self.measuring, self.pace_then = seconds * _CAUTION, self.pace

    def expect_fitting(self, seconds: float) -> None:
        """Take note of what is done to the result before the last measurement."""
        self.fitting = seconds * _CAUTION

    def closing(self) -> float:
        """Return the seconds to be kept for fitting and the last measurement, at today's pace."""
        slower = self.pace / self.pace_then if self.pace_then else 1.0
        needed = self.measuring + self.fitting
        needed = needed * min(max(slower, 1.0), _SLOWEST) + _CLOSING_SECONDS
        return needed if self.budget is None else min(needed, _MOST * self.budget)

    def progress(self) -> float:
        """Return the share of the time for training that is used, 1 once no step fits any more."""
        assert self.budget is not None
        training = self.budget - self.closing()
        used = self.elapsed()
        return 1.0 if used + self.step > training else used / training

    def deadline(self) -> float | None:
        """Return when measuring must end, by ``time.monotonic``; None without a budget in time."""
        if self.budget is None:
            return None
        return self.started + self.budget - self.earlier - _CLOSING_SECONDS

    def seconds_left(self, progress: float) -> float | None:
        """Predict the rest of the run from the budget, or from the pace since the first step.

        None as long as this session has not come any further.
        """
        if self.budget is not None:
            return max(0.0, self.budget - self.elapsed())
        done = progress - self.began_at
        return (self.session() - self.began) * (1.0 - progress) / done if done > 0 else None

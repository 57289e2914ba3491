"""How fast a run is."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class Meter:
    """Sums over the steps since the last report.

    Attributes:
        steps, pixels: done, by all processes.
        seconds: in steps; the time of measuring and saving is not in it.
        timed, timed_data: seconds of the steps whose making of patches was timed, and of that.
        losses: of the steps, on the device.
    """

    steps: int = 0
    pixels: int = 0
    seconds: float = 0.0
    timed: float = 0.0
    timed_data: float = 0.0
    losses: list[torch.Tensor] = field(default_factory=list)

    def mean_loss(self, last: int | None = None) -> float:
        """Return the mean loss over the steps, or the ``last`` of them; waits for the device."""
        losses = self.losses if last is None else self.losses[-last:]
        return float(torch.stack(losses).mean()) if losses else 0.0

    def data_share(self) -> float:
        """Return the share of the time that went into making patches."""
        return self.timed_data / self.timed if self.timed else 0.0

"""What every restoration model offers to the rest of the program."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch

from memnet_cli.models.configs import ModelConfig


class RestorationModel(torch.nn.Module, abc.ABC):
    """A network from one degraded plane to one restored plane of the same size.

    Input and output are (N, 1, H, W) float tensors of any H, W >= 1, nominal range [0, 1], on any
    device; for super-resolution the input is already enlarged. The output is not clipped.

    Attributes:
        config: the frozen description that the model was built from.
        halo: pixels of context that a tile needs around what is kept of it.
        largest_tile: side in pixels above which tiles cost more than they save, or None.
        grid: side of the squares of pixels that belong together: a tile that begins between them
            is restored otherwise.
        pixels_in_one: of the input, that are one pixel to the first convolution.
    """

    halo: int
    largest_tile: ClassVar[int | None] = None
    grid: int = 1
    pixels_in_one: int = 1

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @abc.abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Restore (N, 1, H, W); same shape and type."""

    def predictions(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return every output that is supervised in training; the last one is the result."""
        return (self(x),)

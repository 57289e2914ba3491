"""Settings that several layers share; standard library only."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from memnet_cli.errors import UsageError

__version__ = "0.1.0"

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")

#: A whole number of pixels, "auto" (from free memory) or "off" (the whole picture at once).
TileSize = int | Literal["auto", "off"]


def ending_signals() -> tuple[int, ...]:
    """Return the signals by which others ask a process to end, where the system has them.

    SIGHUP comes when a terminal is closed; one that is ignored, as below nohup, is none of them.
    """
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return (signal.SIGTERM,)
    return signal.SIGTERM, hangup


def check_device_name(name: str) -> None:
    """Raise UsageError unless ``name`` is auto, cpu, cuda, cuda:N or mps."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
        raise UsageError(f"'{name}' is no device: expected auto, cpu, cuda, cuda:N or mps.")


def check_precision_name(name: str) -> None:
    """Raise UsageError unless ``name`` is auto, fp32, bf16, fp16 or int8."""
    if name not in PRECISIONS:
        raise UsageError(f"'{name}' is no precision: expected {', '.join(PRECISIONS)}.")


@dataclass(frozen=True)
class RuntimeOptions:
    """How to compute, as the user asked for it.

    Attributes:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, bf16, fp16 or int8.
        tile: side of the tiles that go to the device.
        tile_overlap: context in pixels around every tile; None takes the model's own.
        tta: average over the 8 flips and rotations (self-ensemble).
        exit_block: stop after this memory block, counted from 1; None runs them all.
        nlrn_stride: distance of NLRN's overlapping patches; 0 slides its neighbourhood over whole
            tiles, None does what its training asks for (``models.nlrn.in_patches``).
    """

    device: str = "auto"
    precision: str = "auto"
    tile: TileSize = "auto"
    tile_overlap: int | None = None
    tta: bool = False
    exit_block: int | None = None
    nlrn_stride: int | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without a device."""
        check_device_name(self.device)
        check_precision_name(self.precision)
        tile: object = self.tile  # from Python it may be anything
        if not isinstance(tile, Integral) and tile not in ("auto", "off"):
            raise _no_tile(tile)
        if not isinstance(self.tile, str) and self.tile < 16:
            raise UsageError(f"A tile of {self.tile} pixels is too small: give at least 16.")
        if self.tile_overlap is not None and self.tile_overlap < 0:
            raise UsageError(f"The tile overlap is {self.tile_overlap}: give 0 or more pixels.")
        if self.exit_block is not None and self.exit_block < 1:
            raise UsageError(f"--exit-block {self.exit_block} is no block: they count from 1.")
        if self.nlrn_stride is not None and self.nlrn_stride < 0:
            raise UsageError(f"--nlrn-stride {self.nlrn_stride}: expected 0 or more pixels.")


def parse_tile(text: str) -> TileSize:
    """Turn the text of ``--tile`` into its value.

    >>> parse_tile("256"), parse_tile("off")
    (256, 'off')
    """
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if text.isdecimal():
        return int(text)
    raise _no_tile(text)


def _no_tile(told: object) -> UsageError:
    return UsageError(f"'{told}' is no tile size: expected auto, off or a number of pixels.")

"""What `memnet speed` found, and the ratios that follow from it; no torch here."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing, in the order in which they were made."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)

    def document(self) -> dict[str, object]:
        """Return median, extremes and all values as JSON."""
        return {"median": self.median, "low": self.low, "high": self.high, "all": self.values}


@dataclass(frozen=True)
class Peak:
    """The best rate of one operation in one precision.

    Attributes:
        operation: "convolution" or "matmul".
        flops: FLOP per second, one value for every look at it; the peak is the highest.
    """

    operation: str
    precision: str
    flops: Spread

    def document(self) -> dict[str, object]:
        """Return the peak as JSON."""
        return {
            "operation": self.operation,
            "precision": self.precision,
            "flop_per_second": self.flops.high,
            "looks": self.flops.document(),
        }


@dataclass(frozen=True)
class Subject:
    """What was measured: weights in one precision.

    Attributes:
        name: as the user called it.
        model: the architecture.
        flop_per_pixel: twice the multiply-adds.
    """

    name: str
    model: str
    task: str
    weights: str
    weights_hash: str
    device: str
    precision: str
    flop_per_pixel: float


@dataclass(frozen=True)
class Speed:
    """One subject at one size.

    Attributes:
        conv_peak: FLOP per second of a convolution on this device in the subject's precision.
        inside: seconds from device tensor to device tensor, of ``inside_pixels``.
        plane: seconds of ``Engine.restore`` for a (height, width) plane in host memory.
        picture: seconds from PNG bytes to PNG bytes, of ``picture_pixels`` in the output.
        port: seconds of the straightforward float32 port from tensor to tensor for a (height,
            width) plane; None for networks that have no port.
        memory: bytes by which memory in use grew at most while the plane was restored untiled,
            in a process of its own; None if it was not measured.
        notes: what the engine had to do beyond the usual.
    """

    subject: Subject
    height: int
    width: int
    conv_peak: float
    inside: Spread
    inside_pixels: int
    plane: Spread
    picture: Spread
    picture_pixels: int
    port: Spread | None = None
    memory: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def pixels(self) -> int:
        """Pixels of the plane."""
        return self.height * self.width

    @property
    def inside_share(self) -> float:
        """Share of the convolution peak that is reached inside the model."""
        return self._share(self.inside_pixels, self.inside)

    @property
    def plane_share(self) -> float:
        """Share of the convolution peak that is reached by ``Engine.restore``."""
        return self._share(self.pixels, self.plane)

    def _share(self, pixels: int, seconds: Spread) -> float:
        return self.subject.flop_per_pixel * pixels / seconds.median / self.conv_peak

    @property
    def times_faster(self) -> float | None:
        """How many times faster a pixel is inside the model than in the port; None without one."""
        if self.port is None:
            return None
        return (self.port.median / self.pixels) / (self.inside.median / self.inside_pixels)

    @property
    def megapixels_per_second(self) -> float:
        """Of ``Engine.restore``."""
        return self.pixels / 1e6 / self.plane.median

    @property
    def picture_megapixels_per_second(self) -> float:
        """Of the output, from PNG to PNG."""
        return self.picture_pixels / 1e6 / self.picture.median

    @property
    def kilobytes_per_pixel(self) -> float | None:
        """1000 bytes of memory per pixel of the plane: as many as gigabytes per megapixel."""
        return None if self.memory is None else self.memory / 1e3 / self.pixels

    def document(self) -> dict[str, object]:
        """Return measurements and ratios as JSON."""
        return {
            **asdict(self.subject),
            "height": self.height,
            "width": self.width,
            "inside_seconds": self.inside.document(),
            "inside_pixels": self.inside_pixels,
            "inside_share_of_conv_peak": self.inside_share,
            "plane_seconds": self.plane.document(),
            "plane_share_of_conv_peak": self.plane_share,
            "megapixels_per_second": self.megapixels_per_second,
            "picture_seconds": self.picture.document(),
            "picture_pixels": self.picture_pixels,
            "picture_megapixels_per_second": self.picture_megapixels_per_second,
            "port_seconds": None if self.port is None else self.port.document(),
            "times_faster_than_port": self.times_faster,
            "memory_bytes": self.memory,
            "kilobytes_per_pixel": self.kilobytes_per_pixel,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Start:
    """Seconds from starting ``memnet restore`` on a small picture until it has ended."""

    name: str
    precision: str
    seconds: Spread

    def document(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "precision": self.precision,
            "first_output_seconds": self.seconds.document(),
        }


@dataclass(frozen=True)
class SpeedReport:
    """Everything that one run measured.

    Attributes:
        machine: what it was measured on.
    """

    machine: Mapping[str, object]
    peaks: Sequence[Peak]
    speeds: Sequence[Speed]
    starts: Sequence[Start]

    @property
    def busy(self) -> str | None:
        """What to tell the reader if other programs were at work when the run began, or None.

        A peak is the best of many short runs and so finds the moments of quiet; a model takes
        longer than they last, and its share of the peak comes out too low.
        """
        load, threads = self.machine.get("load_average"), self.machine.get("cpu_threads")
        if not isinstance(load, float) or not isinstance(threads, int) or load < threads / 4:
            return None
        return (
            f"The machine was busy before the run began (load {load:.1f} on {threads} threads): "
            "shares of the peak come out too low; times faster than the port stand."
        )

    def document(self) -> dict[str, object]:
        """Return the whole run as one JSON document."""
        return {
            "machine": dict(self.machine),
            "peaks": [peak.document() for peak in self.peaks],
            "speeds": [speed.document() for speed in self.speeds],
            "starts": [start.document() for start in self.starts],
        }

"""PSNR against time as SVG, one small chart for each level (MemNet, Fig. 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from memnet_cli.evaluation.tables import count_text

_WIDTH, _HEIGHT = 380, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 24, 40
_LABEL_GAP, _LABEL_WIDTH = 13, 80


@dataclass(frozen=True)
class Point:
    """A method that was run: seconds per megapixel, PSNR in dB, trained values or None."""

    name: str
    seconds: float
    psnr: float
    parameters: int | None


@dataclass(frozen=True)
class Line:
    """A PSNR without a time that fits: a number quoted from a paper."""

    name: str
    psnr: float


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5, 10, ... between ``low`` and ``high``."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) <= 6 else [t for t in inside if f"{t:e}".startswith("1.0")]


def _linear_ticks(low: float, high: float) -> list[float]:
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10) if (high - low) / s <= 6), 20)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]


@dataclass(frozen=True)
class _Axes:
    seconds: tuple[float, float]
    psnr: tuple[float, float]

    def x(self, seconds: float) -> float:
        low, high = (math.log10(value) for value in self.seconds)
        share = (math.log10(seconds) - low) / (high - low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, psnr: float) -> float:
        low, high = self.psnr
        return _HEIGHT - _BOTTOM - (psnr - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(points: Sequence[Point], lines: Sequence[Line]) -> _Axes:
    seconds = [point.seconds for point in points]
    psnr = [point.psnr for point in points] + [line.psnr for line in lines]
    pad = max(0.15 * (max(psnr) - min(psnr)), 0.15)
    return _Axes((min(seconds) / 2.2, max(seconds) * 2.2), (min(psnr) - pad, max(psnr) + pad))


def _spaced(wanted: Sequence[float]) -> list[float]:
    """Move labels apart so that none is nearer than a line of text to another."""
    placed = list(wanted)
    last = -math.inf
    for index in sorted(range(len(wanted)), key=lambda i: wanted[i]):
        last = placed[index] = max(wanted[index], last + _LABEL_GAP)
    return placed


def _crowded(axes: _Axes, point: Point, points: Sequence[Point]) -> bool:
    """Say whether another circle lies where a label to the right of ``point`` would be."""
    x, y = axes.x(point.seconds), axes.y(point.psnr)
    room_left = x - _LEFT > _LABEL_WIDTH
    return room_left and any(
        0 < axes.x(other.seconds) - x < _LABEL_WIDTH and abs(axes.y(other.psnr) - y) < _LABEL_GAP
        for other in points
    )


def _grid(axes: _Axes) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = []
    for tick in _linear_ticks(*axes.psnr):
        y = axes.y(tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{tick:.1f}</text>"
        )
    for tick in _log_ticks(*axes.seconds):
        x = axes.x(tick)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
            f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(
        f'<text class="axis" x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 6}" '
        'text-anchor="middle">seconds per megapixel (faster is left)</text>'
        f'<text class="axis" x="4" y="{_TOP - 12}">PSNR, dB</text>'
    )
    return parts


def _marks(axes: _Axes, points: Sequence[Point], lines: Sequence[Line]) -> list[str]:
    parts = []
    line_labels = _spaced([axes.y(line.psnr) - 4 for line in lines])
    point_labels = _spaced([axes.y(point.psnr) + 4 for point in points])
    for line, label_y in zip(lines, line_labels, strict=True):
        y = axes.y(line.psnr)
        parts.append(
            f'<line class="quoted" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="label quoted" x="{_LEFT + 5}" y="{label_y:.1f}">'
            f"{escape(line.name)} {line.psnr:.2f}</text>"
        )
    for point, label_y in zip(points, point_labels, strict=True):
        x, y = axes.x(point.seconds), axes.y(point.psnr)
        radius = 4.0 if point.parameters is None else 3.0 + (point.parameters / 1e5) ** 0.5
        right = x < _WIDTH * 0.6 and not _crowded(axes, point, points)
        label_x = x + (radius + 4 if right else -radius - 4)
        parts.append(
            f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="{min(radius, 14):.1f}">'
            f"<title>{escape(point.name)}: {point.psnr:.2f} dB, {point.seconds:.3g} s/MP, "
            f"{count_text(point.parameters)} parameters</title></circle>"
            f'<text class="label" x="{label_x:.1f}" y="{label_y:.1f}" '
            f'text-anchor="{"start" if right else "end"}">{escape(point.name)} '
            f"{point.psnr:.2f}</text>"
        )
    return parts


def chart(title: str, points: Sequence[Point], lines: Sequence[Line]) -> str:
    """Return one SVG chart; its colours come from the page's style sheet.

    Args:
        title: of the chart, read out by screen readers.
        points: at least one method that was timed, of finite PSNR.
        lines: drawn dashed across the chart.
    """
    axes = _axes(points, lines)
    body = "".join([*_grid(axes), *_marks(axes, points, lines)])
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{body}</svg>'
    )

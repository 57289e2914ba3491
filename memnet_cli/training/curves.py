"""curves.png: loss, learning rate and validation scores of a run, drawn with Pillow alone."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from memnet_cli.files import write_atomically
from memnet_cli.training.metrics import read_metrics
from memnet_cli.training.records import RunFolder

_WIDTH, _HEIGHT, _PANEL = 900, 960, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 130, 40, 40
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b")
_TICKS = 5


@dataclass(frozen=True)
class Line:
    """One curve: points (x, y) and its name."""

    name: str
    points: Sequence[tuple[float, float]]


def draw_curves(folder: RunFolder) -> None:
    """Write curves.png from metrics.jsonl, if there are two points to draw a line through.

    Raises:
        OSError: if it cannot be written.
    """
    entries = read_metrics(folder)
    steps = [entry for entry in entries if entry["kind"] == "train"]
    measured = [entry for entry in entries if entry["kind"] == "validation"]
    if len(steps) < 2:
        return
    levels = sorted({int(level) for entry in measured for level in entry["scores"]})
    scores = [
        Line(
            f"{entry_set(measured)} {level}",
            [
                (entry["seconds"] / 60, entry["scores"][str(level)]["psnr"])
                for entry in measured
                if str(level) in entry["scores"]
            ],
        )
        for level in levels
    ]
    loss = [Line("loss", [(e["seconds"] / 60, e["loss"]) for e in steps])]
    rate = [Line("rate", [(e["seconds"] / 60, e["lr"]) for e in steps])]
    canvas = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    _panel(canvas, 0, "training loss (log)", loss, logarithmic=True)
    _panel(canvas, 1, "learning rate", rate, logarithmic=False)
    _panel(canvas, 2, "validation PSNR, dB, over minutes", scores, logarithmic=False)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    write_atomically(folder.path / "curves.png", buffer.getvalue())


def entry_set(measured: Sequence[dict[str, object]]) -> str:
    """Return the name of the set that was measured."""
    return str(measured[0]["dataset"]) if measured else ""


def _panel(
    canvas: Image.Image, number: int, title: str, lines: Sequence[Line], *, logarithmic: bool
) -> None:
    """Draw one frame with ticks and curves into its third of the canvas."""
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    top = number * _PANEL + _TOP
    box = (_LEFT, top, _WIDTH - _RIGHT, top + _PANEL - _TOP - _BOTTOM)
    pen.text((_LEFT, top - 22), title, "black", font=font)
    pen.rectangle(box, outline="#888888")
    points = [point for line in lines for point in line.points]
    if not points:
        pen.text((_LEFT + 10, top + 10), "nothing measured", "#888888", font=font)
        return
    x_low, x_high = _range([x for x, _ in points])
    y_low, y_high = _range([_scaled(y, logarithmic) for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low)
        up = (_scaled(y, logarithmic) - y_low) / (y_high - y_low)
        return box[0] + across * (box[2] - box[0]), box[3] - up * (box[3] - box[1])

    for tick in range(_TICKS + 1):
        part = tick / _TICKS
        value = y_low + part * (y_high - y_low)
        y = box[3] - part * (box[3] - box[1])
        shown = 10**value if logarithmic else value
        pen.line((box[0], y, box[2], y), fill="#e4e4e4")
        pen.text((box[0] - 8, y), f"{shown:.4g}", "black", font=font, anchor="rm")
        x = box[0] + part * (box[2] - box[0])
        pen.text((x, box[3] + 6), f"{x_low + part * (x_high - x_low):.3g}", "black", font, "ma")
    for index, line in enumerate(lines):
        colour = _COLOURS[index % len(_COLOURS)]
        path = [place(x, y) for x, y in line.points]
        pen.line(path, fill=colour, width=2)
        for x, y in path if len(path) < 60 else ():
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        label = (box[2] + 8, box[1] + 18 * index)
        pen.text(label, line.name, colour, font=font)


def _scaled(value: float, logarithmic: bool) -> float:
    return math.log10(max(value, 1e-12)) if logarithmic else value


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the smallest and largest value, a little apart if they are the same."""
    low, high = min(values), max(values)
    margin = 0.03 * (high - low) or max(abs(high) * 0.01, 1e-6)
    return low - margin, high + margin

"""Degrade and restore the photographs that scikit-image ships, with the tool's own commands.

    python docs/demo/demo.py --memnet memnet --out demo

Prints PSNR before and after on luma, and leaves demo/sheet.png: damaged, restored and clean side
by side. scikit-image's photographs are in no training set of the shipped weights.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from skimage import data

from memnet_cli.imaging.color import luma_uint8
from memnet_cli.imaging.degradations import crop_to_multiple
from memnet_cli.imaging.metrics import psnr
from memnet_cli.imaging.resize import imresize

PHOTOGRAPHS = ("astronaut", "camera", "coffee", "chelsea", "rocket")
_CROP = 200
_GAP = 8


@dataclass(frozen=True)
class Trial:
    """One task of the demo: how to damage, how to restore, and what to show of which picture."""

    name: str
    title: str
    degrade: tuple[str, ...]
    restore: tuple[str, ...]
    show: tuple[str, int, int]


TRIALS = (
    Trial(
        "sr",
        "shrunk x3, enlarged x3",
        ("--task", "sr", "--scale", "3"),
        ("--task", "sr", "--scale", "3"),
        ("astronaut", 20, 130),
    ),
    Trial(
        "denoise",
        "noise of sigma 50",
        ("--task", "denoise", "--sigma", "50"),
        ("--task", "denoise"),
        ("coffee", 90, 180),
    ),
    Trial(
        "jpeg",
        "JPEG of quality 10",
        ("--task", "jpeg", "--quality", "10"),
        ("--task", "jpeg", "--chroma"),
        ("chelsea", 30, 120),
    ),
)


def _pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def _enlarged(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the damaged picture at the clean one's size, as a user would have enlarged it."""
    if picture.shape[:2] == shape:
        return picture
    return np.clip(np.rint(imresize(picture, shape=shape)), 0, 255).astype(np.uint8)


def _write_photographs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        picture = crop_to_multiple(getattr(data, name)(), 3)
        Image.fromarray(np.asarray(picture)).save(folder / f"{name}.png")


def _damaged_file(folder: Path, name: str) -> Path:
    return next(folder.glob(f"{name}.*"))


def _run(command: list[str]) -> None:
    print("$", " ".join(command), flush=True)
    subprocess.run(command, check=True)


def _scores(
    clean: Path, damaged: Path, restored: Path
) -> tuple[float, float, tuple[NDArray[np.uint8], ...]]:
    original, after = _pixels(clean), _pixels(restored)
    before = _enlarged(_pixels(damaged), (original.shape[0], original.shape[1]))
    reference = luma_uint8(original)
    return (
        psnr(reference, luma_uint8(before)),
        psnr(reference, luma_uint8(after)),
        (before, after, original),
    )


def _strip(trial: Trial, views: tuple[NDArray[np.uint8], ...], captions: list[str]) -> Image.Image:
    """Return one row of the sheet: the same crop of each view, twice enlarged, with a caption."""
    _, top, left = trial.show
    side, line = 2 * _CROP, 28
    strip = Image.new("RGB", (3 * side + 2 * _GAP, side + line), "white")
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=18)
    for column, (view, caption) in enumerate(zip(views, captions, strict=True)):
        crop = Image.fromarray(view[top : top + _CROP, left : left + _CROP]).convert("RGB")
        x = column * (side + _GAP)
        strip.paste(crop.resize((side, side), Image.Resampling.NEAREST), (x, line))
        draw.text((x + 2, 3), caption, fill="black", font=font)
    return strip


def _stack(strips: list[Image.Image]) -> Image.Image:
    height = sum(strip.height + _GAP for strip in strips) - _GAP
    sheet = Image.new("RGB", (strips[0].width, height), "white")
    y = 0
    for strip in strips:
        sheet.paste(strip, (0, y))
        y += strip.height + _GAP
    return sheet


def main() -> None:
    """Run the three trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memnet", default="memnet", help="the command to run")
    parser.add_argument("--out", type=Path, default=Path("demo"))
    arguments = parser.parse_args()
    out: Path = arguments.out
    _write_photographs(out / "clean")
    table = Table(
        "task", "photograph", "damaged dB", "restored dB", "gain dB", title="PSNR on luma"
    )
    strips = []
    start = time.perf_counter()
    for trial in TRIALS:
        damaged, restored = out / f"{trial.name}-damaged", out / f"{trial.name}-restored"
        memnet = str(arguments.memnet)
        _run([memnet, "degrade", *trial.degrade, "--overwrite", f"{out}/clean", f"{damaged}/"])
        _run([memnet, "restore", *trial.restore, "--overwrite", f"{damaged}", f"{restored}/"])
        for name in PHOTOGRAPHS:
            before, after, views = _scores(
                out / "clean" / f"{name}.png",
                _damaged_file(damaged, name),
                restored / f"{name}.png",
            )
            table.add_row(
                trial.name, name, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"
            )
            if name == trial.show[0]:
                captions = [f"{trial.title}: {before:.2f} dB", f"memnet: {after:.2f} dB", "clean"]
                strips.append(_strip(trial, views, captions))
    _stack(strips).save(out / "sheet.png", optimize=True)
    Console().print(table)
    print(f"{time.perf_counter() - start:.0f} s; before/after sheet: {out / 'sheet.png'}")


if __name__ == "__main__":
    main()

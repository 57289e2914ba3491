"""How weights do on drawings and scans: letters, squares, a scanned page, a photographed text.

The letters' font is that of the drawings that `memnet train --set drawn=...` makes, the words are
not; the page and the text are scikit-image's, and nothing was trained on them. PSNR cut off at
black and white; exits 1 if a row falls below its input (below 40 dB, where its input is above).

    python benchmarks/drawings.py
    python benchmarks/drawings.py --task jpeg --weights dncnn3.safetensors
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

from memnet_cli.cli._console import out, table
from memnet_cli.imaging.degradations import crop_to_multiple
from memnet_cli.imaging.metrics import psnr
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.tasks import TASKS

_SIDE = 128
_DIVIDED = 12
_GOOD_ENOUGH = 40.0
Plane = NDArray[np.float64]


def letters() -> Plane:
    """Return lines of text."""
    picture = Image.new("L", (_SIDE, _SIDE), 255)
    draw = ImageDraw.Draw(picture)
    for top in range(0, _SIDE, 11):
        draw.text((2, top), "The quick brown fox jumps", fill=0)
    return np.asarray(picture) / 255.0


def squares() -> Plane:
    """Return squares of 8x8 pixels, black or white by chance."""
    chosen = np.random.default_rng(1).random((_SIDE // 8, _SIDE // 8)) > 0.5
    return chosen.repeat(8, 0).repeat(8, 1).astype(float)


def drawn() -> dict[str, Plane]:
    """Return the pictures by name, (H, W) in [0, 1]."""
    return {
        "letters": letters(),
        "squares": squares(),
        "page": data.page() / 255.0,
        "text": data.text() / 255.0,
    }


def _score(clean: Plane, plane: NDArray[np.floating]) -> float:
    return psnr(clean, np.clip(plane, 0.0, 1.0), 1.0)


def main() -> int:
    """Print PSNR before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=sorted(TASKS))
    parser.add_argument("--weights", help="a file or a name instead of the task's own")
    options = parser.parse_args()
    rows, worse = [], 0
    for task in TASKS if options.task is None else (options.task,):
        for level in TASKS[task].levels:
            restorer = Restorer.load(task=task, level=level, weights=options.weights)
            for name, clean in drawn().items():
                whole = crop_to_multiple(clean, _DIVIDED) if task == "sr" else clean
                damaged = restorer.task.degrade(whole, level, np.random.default_rng(0))
                restored = restorer.restore_plane(damaged.astype(np.float32))
                before, after = _score(whole, damaged), _score(whole, restored)
                worse += after < min(before, _GOOD_ENOUGH)
                rows.append((task, str(level), name, f"{before:.2f}", f"{after:.2f}"))
    out.print(table("PSNR in dB", ("task", "level", "drawing", "damaged", "restored"), rows))
    return int(worse > 0)


if __name__ == "__main__":
    sys.exit(main())

"""How the weights do on drawings, of which no training set has any: letters and squares.

python benchmarks/drawings.py
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from memnet_cli.cli._console import out, table
from memnet_cli.imaging.metrics import psnr
from memnet_cli.restoration.restorer import Restorer

_SIDE = 128
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


def _score(clean: Plane, plane: NDArray[np.floating]) -> str:
    return f"{psnr(clean, np.clip(plane, 0.0, 1.0), 1.0):.2f}"


def main() -> None:
    """Print PSNR before and after, cut off at black and white."""
    rows = []
    for task in ("sr", "denoise", "jpeg"):
        restorer = Restorer.load(task=task)
        for level in restorer.task.levels:
            for name, clean in (("letters", letters()), ("squares", squares())):
                damaged = restorer.task.degrade(clean, level, np.random.default_rng(0))
                restored = restorer.restore_plane(damaged.astype(np.float32))
                rows.append(
                    (task, str(level), name, _score(clean, damaged), _score(clean, restored))
                )
    out.print(table("PSNR in dB", ("task", "level", "drawing", "damaged", "restored"), rows))


if __name__ == "__main__":
    main()

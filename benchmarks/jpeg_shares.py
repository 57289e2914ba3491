"""How much of a network's change of a JPEG's coefficients to believe, by the file's step.

Photographs at half their size are compressed in grey. What the network makes of each cosine
coefficient, held to the half step about the file's value, differs from that value by a change; the
share is the one of it that comes nearest to the clean coefficient by least squares: 1 where the
network knows better than the file, 0 where it knows nothing. ``restore`` takes the shares of
memnet_cli/imaging/consistency.py. The default weights were trained on BSD-val.

    python benchmarks/jpeg_shares.py
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.stores.datasets import find_images

_QUALITIES = (75, 85, 90, 92, 94, 95, 96, 97, 98, 99)
_LARGEST_STEP = 16


def _coefficients(plane: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return (64, B) of a plane from 0 to 255 whose sides 8 divides."""
    rows, columns = (side // 8 for side in plane.shape)
    blocks = plane.reshape(rows, 8, columns, 8).swapaxes(1, 2) - 128.0
    cosines: NDArray[np.float64] = dctn(blocks, axes=(2, 3), norm="ortho")
    return cosines.reshape(-1, 64).T


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="BSD-val", help="set by name, or a folder")
    parser.add_argument("--data-dir", type=Path, help="folder that holds data sets")
    parser.add_argument("--limit", type=int, default=30, help="so many of its pictures")
    parser.add_argument("--weights", help="a name or a file")
    options = parser.parse_args()
    reuse_freed_memory()
    sums = np.zeros((256, 3))  # by step: coefficients, change times error, change squared
    for quality in _QUALITIES:
        restorer = Restorer.load(task="jpeg", level=quality, weights=options.weights)
        for image in find_images(options.dataset, data_dir=options.data_dir)[: options.limit]:
            with Image.open(image.path) as opened:
                size = [side // 16 * 8 for side in opened.size]
                clean = opened.convert("L").resize((size[0], size[1]), Image.Resampling.BICUBIC)
            content = io.BytesIO()
            clean.save(content, "JPEG", quality=quality)
            file = Image.open(content)
            steps = np.array(file.quantization[0])[:, None]  # type: ignore[attr-defined]
            pixels = np.asarray(file, np.float32)
            held = np.rint(_coefficients(pixels) / steps) * steps
            made = _coefficients(restorer(pixels / 255.0) * 255.0)
            change = np.clip(made, held - steps / 2, held + steps / 2) - held
            error = _coefficients(np.asarray(clean, float)) - held
            counted = (np.full(64, held.shape[1]), (change * error).sum(1), (change**2).sum(1))
            np.add.at(sums, steps[:, 0], np.stack(counted, 1))
    print("| step | coefficients | share |")
    print("| --: | --: | --: |")
    for step in range(1, _LARGEST_STEP + 1):
        count, both, squared = sums[step]
        print(f"| {step} | {count:.0f} | {both / squared:.2f} |")


if __name__ == "__main__":
    main()

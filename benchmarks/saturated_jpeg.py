"""Deblock saturated colours of JPEGs, cut off at black and white first, and as the file holds them.

python benchmarks/saturated_jpeg.py --dataset LIVE1 --quality 20 --quality 75 --quality 95

The squares of 128x128 pixels are those of benchmarks/saturated_colours.py, compressed with chroma
at half the rows and columns (4:2:0); PSNR over R, G and B.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from saturated_colours import squares
from skimage.metrics import peak_signal_noise_ratio

from memnet_cli.cli._console import out, table
from memnet_cli.imaging.images import picture_to_array, read_image
from memnet_cli.restoration.restorer import Restorer


def score(restorer: Restorer, clean: NDArray[np.uint8], quality: int) -> list[float]:
    """Return the PSNR compressed, deblocked after cutting off, and deblocked as the file is."""
    content = io.BytesIO()
    Image.fromarray(clean).save(content, "JPEG", quality=quality, subsampling="4:2:0")
    file = read_image(content)
    cut_off = replace(file, pixels=np.clip(file.pixels, 0.0, 1.0))
    restored = restorer.restore([cut_off, file], chroma=True)
    pictures = (file, *(one.picture for one in restored))
    shown = [picture_to_array(one, np.uint8) for one in pictures]
    return [float(peak_signal_noise_ratio(clean, pixels)) for pixels in shown]


def _main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="LIVE1")
    parser.add_argument("--quality", type=int, action="append", help="repeatable")
    parser.add_argument("--count", type=int, default=12, help="squares at most")
    parser.add_argument("--weights", help="a name or a file; else the default weights")
    given = parser.parse_args()
    restorer = Restorer.load(task="jpeg", weights=given.weights)
    shown: list[tuple[str, ...]] = []
    for quality in given.quality or (20, 75, 95):
        rows = []
        for name, clean in squares(given.dataset, given.count).items():
            rows.append(score(restorer, clean, quality))
            shown.append((str(quality), name, *(f"{psnr:.2f}" for psnr in rows[-1])))
        shown.append((str(quality), "mean", *(f"{psnr:.2f}" for psnr in np.mean(rows, axis=0))))
    columns = ("quality", "square", "compressed", "cut off first", "as the file is")
    out.print(table("PSNR in dB over R, G and B", columns, shown))


if __name__ == "__main__":
    _main()

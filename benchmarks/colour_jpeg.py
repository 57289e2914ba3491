"""Deblock colour JPEGs with subsampled chroma (4:2:0); PSNR over Cb and Cr.

python benchmarks/colour_jpeg.py --quality 10 --quality 20

Chroma as the file has it, restored at the size of the picture, and restored at the size that it has
in the file.
"""

from __future__ import annotations

import argparse
import io
import statistics

import numpy as np
from numpy.typing import NDArray
from photographs import photographs
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from memnet_cli.cli._console import out, table
from memnet_cli.imaging.color import rgb_to_ycbcr
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.restorer import Restorer

_LEVELS = (10, 20)


def main() -> None:
    """Print a row for each quality factor and photograph, and the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quality", type=int, action="append", help="factor; repeatable")
    parser.add_argument("--side", type=int, default=192, help="of the crops, in pixels")
    parser.add_argument("--weights", help="a name or a file; else the default weights")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    reuse_freed_memory()
    restorer = Restorer.load(task="jpeg", weights=arguments.weights, device=arguments.device)
    rows = []
    for quality in arguments.quality or _LEVELS:
        scores = []
        for name, clean in photographs(arguments.side).items():
            file = _compressed(clean, quality)
            pixels = np.asarray(file)  # which do not say that they were subsampled
            results = (pixels, restorer(pixels, chroma=True), restorer(file, chroma=True))
            scores.append([_chroma_psnr(clean, np.asarray(x)) for x in results])
            rows.append(_row(quality, name, scores[-1]))
        rows.append(
            _row(quality, "mean", [statistics.mean(column) for column in zip(*scores, strict=True)])
        )
    head = ("quality", "photograph", "compressed", "picture's size", "file's size", "gain")
    out.print(table("PSNR in dB over Cb and Cr", head, rows))


def _compressed(clean: NDArray[np.uint8], quality: int) -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(clean).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(file)


def _chroma_psnr(clean: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
    first, second = (rgb_to_ycbcr(one / 255.0)[:, :, 1:] for one in (clean, picture))
    return float(peak_signal_noise_ratio(first, second, data_range=1.0))


def _row(quality: int, name: str, scores: list[float]) -> tuple[str, ...]:
    return (str(quality), name, *(f"{s:.2f}" for s in scores), f"{scores[2] - scores[1]:+.2f}")


if __name__ == "__main__":
    main()

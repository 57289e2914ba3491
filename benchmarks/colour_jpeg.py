"""Deblock colour JPEGs with subsampled chroma (4:2:0); PSNR over Cb and Cr.

python benchmarks/colour_jpeg.py --quality 10 --quality 20

Chroma as the file has it, restored at the size of the picture, and restored at the size that it has
in the file.
"""

from __future__ import annotations

import io

import numpy as np
from colour_photographs import compare
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from memnet_cli.imaging.color import rgb_to_ycbcr
from memnet_cli.restoration.restorer import Restorer


def score(restorer: Restorer, clean: NDArray[np.uint8], quality: int) -> list[float]:
    """Return the PSNR of the chroma compressed, and restored at the picture's and file's size."""
    content = io.BytesIO()
    Image.fromarray(clean).save(content, "JPEG", quality=quality, subsampling="4:2:0")
    file = Image.open(content)
    pixels = np.asarray(file)  # which do not say that they were subsampled
    results = (pixels, restorer(pixels, chroma=True), restorer(file, chroma=True))
    wanted, *found = (rgb_to_ycbcr(np.asarray(x) / 255.0)[:, :, 1:] for x in (clean, *results))
    return [float(peak_signal_noise_ratio(wanted, chroma, data_range=1.0)) for chroma in found]


if __name__ == "__main__":
    ways = ("compressed", "picture's size", "file's size")
    compare(__doc__, "PSNR in dB over Cb and Cr", "jpeg", "quality", (10, 20), ways, score)

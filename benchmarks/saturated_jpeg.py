"""Deblock saturated colours of JPEGs, cut off at black and white first, and as the file holds them.

python benchmarks/saturated_jpeg.py --dataset LIVE1 --quality 20 --quality 75 --quality 95

The squares of 128x128 pixels are those of benchmarks/saturated_colours.py, compressed with chroma
at half the rows and columns (4:2:0); PSNR over R, G and B.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from saturated_colours import compare
from skimage.metrics import peak_signal_noise_ratio

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


if __name__ == "__main__":
    ways = ("compressed", "cut off first", "as the file is")
    compare(__doc__, "LIVE1", "jpeg", "quality", (20, 75, 95), ways, score)

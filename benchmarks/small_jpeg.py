"""Enlarging JPEGs: as they are, and deblocked first as ``memnet restore --task sr`` does.

The clean luma is shrunk, rounded to 8 bits and compressed; PSNR of luma as in the sr protocol.

    python benchmarks/small_jpeg.py --dataset Set5
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from off_protocol import shrunk
from PIL import Image

from memnet_cli.evaluation.protocols import score
from memnet_cli.imaging.color import luma_uint8
from memnet_cli.imaging.degradations import crop_to_multiple
from memnet_cli.imaging.resize import imresize
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.stores.datasets import find_images
from memnet_cli.tasks import TASKS

Plane = NDArray[np.floating]


def enlarged(small: Plane, clean: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Enlarge bicubically to the size of the clean picture."""
    return imresize(small.astype(np.float64), shape=clean.shape).astype(np.float32)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="Set5", help="set by name, or a folder")
    parser.add_argument("--data-dir", type=Path, help="folder that holds data sets")
    parser.add_argument("--scale", type=int, action="append", help="repeatable; else 2, 3 and 4")
    parser.add_argument("--weights", help="for sr: a name or a file")
    parser.add_argument(
        "--jpeg-weights", help="for jpeg: a name or a file; else those that restore --task sr takes"
    )
    options = parser.parse_args()
    reuse_freed_memory()
    jpeg = Restorer.load(task="jpeg", level=100, weights=options.jpeg_weights)
    planes = []
    for image in find_images(options.dataset, data_dir=options.data_dir):
        with Image.open(image.path, formats=["PNG", "BMP", "JPEG"]) as opened:
            planes.append(luma_uint8(np.asarray(opened)))
    print(f"| {options.dataset} | bicubic | enlarged | deblocked, enlarged |")
    print("| :-- | --: | --: | --: |")
    for scale in options.scale or TASKS["sr"].levels:
        sr = Restorer.load(task="sr", level=scale, weights=options.weights)
        for quality in (20, 40, 60, 75, 85, 90, 95):
            scores = []
            for plane in planes:
                clean = crop_to_multiple(plane, scale)
                small = shrunk(clean, scale, quality).astype(np.float32) / 255.0
                bicubic = enlarged(small, clean)
                whole = enlarged(jpeg.restore_plane(small), clean)
                made = bicubic, sr.restore_plane(bicubic), sr.restore_plane(whole)
                scores.append([score(clean, one, TASKS["sr"], scale).psnr for one in made])
            means = " | ".join(f"{value:.2f}" for value in np.mean(scores, axis=0))
            print(f"| x{scale}, JPEG {quality} | {means} |", flush=True)


if __name__ == "__main__":
    main()

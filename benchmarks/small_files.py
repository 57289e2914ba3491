"""Enlarging 8-bit pictures: the network alone, and what shrinks to the picture again.

PSNR of luma, grey values rounded as the benchmark does, and the largest difference of the mean of
16x16 pixels to the clean picture's, in grey levels. Sets as they are; of scikit-image's pages the
black and white of letters is what a network knows least.

    python benchmarks/small_files.py --dataset Set5
    python benchmarks/small_files.py --sample page --scale 3
"""

from __future__ import annotations

import argparse

import numpy as np
from jpeg_files import add_pictures, pictures
from numpy.typing import NDArray
from skimage.util import view_as_blocks

from memnet_cli.evaluation.protocols import comparable, score
from memnet_cli.imaging.color import luma_uint8
from memnet_cli.imaging.degradations import crop_to_multiple, downscale
from memnet_cli.imaging.images import picture_from_array
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.tasks import get_task

_SQUARE = 16
_SR = get_task("sr")


def _measured(clean: NDArray[np.uint8], result: NDArray[np.floating], scale: int) -> list[float]:
    """Return PSNR, and the largest difference of the mean of a square."""
    target, output = comparable(clean, result, _SR, scale)
    whole = tuple(side // _SQUARE * _SQUARE for side in target.shape)
    error = (output - target)[: whole[0], : whole[1]]
    squares = view_as_blocks(np.ascontiguousarray(error), (_SQUARE, _SQUARE)).mean((2, 3))
    return [score(clean, result, _SR, scale).psnr, float(np.abs(squares).max())]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_pictures(parser, "Set5")
    parser.add_argument("--scale", type=int, action="append", help="repeatable; else 2, 3 and 4")
    parser.add_argument("--weights", help="a name or a file")
    options = parser.parse_args()
    reuse_freed_memory()
    name = options.sample or options.dataset
    print(f"| {name} | network alone | means off by | shrinks to the picture | means off by |")
    print("| :-- | --: | --: | --: | --: |")
    for scale in options.scale or _SR.levels:
        restorer = Restorer.load(task="sr", level=scale, weights=options.weights)
        rows = []
        for picture in pictures(options):
            plane = luma_uint8(np.asarray(picture))
            clean = np.asarray(crop_to_multiple(plane, scale), np.uint8)
            shrunk = np.clip(downscale(clean.astype(np.float64), scale), 0, 255)
            small = np.rint(shrunk).astype(np.uint8)
            enlarged = restorer.take_apart(picture_from_array(small), scale=scale).planes[0]
            both = restorer.restore_plane(enlarged), restorer(small / 255.0, scale=scale)
            rows.append([number for one in both for number in _measured(clean, one, scale)])
        psnr, off, psnr_both, off_both = np.mean(rows, axis=0)
        print(f"| x{scale} | {psnr:.3f} | {off:.1f} | {psnr_both:.3f} | {off_both:.1f} |")


if __name__ == "__main__":
    main()

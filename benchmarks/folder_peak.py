"""Measure what share of the machine's convolution peak `memnet restore` reaches on a folder.

python benchmarks/folder_peak.py --size 1000 --count 20

The command runs as a process of its own; starting, reading and writing count. The peak is measured
before and after it, as `memnet speed` does, and the higher one taken.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import astronaut

from memnet_cli.checkpoints import load_weights
from memnet_cli.cli._console import out, table
from memnet_cli.evaluation.peaks import measured_conv_peak
from memnet_cli.imaging.resize import imresize
from memnet_cli.models.cost import multiply_adds_per_pixel
from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.stores.weights import find_weights

_TASK = "jpeg"
_PEAK_SECONDS = 4.0


def main() -> None:
    """Make a folder of pictures, restore it, and print seconds and shares."""
    arguments = _arguments()
    runtime = resolve_runtime(arguments.device, arguments.precision)
    model, _ = load_weights(find_weights(arguments.weights, model="memnet", task=_TASK))
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in"
        _make_pictures(source, arguments.count, arguments.size)
        before = measured_conv_peak(runtime, _PEAK_SECONDS)
        seconds = _restored(source, Path(name) / "out", arguments)
        after = measured_conv_peak(runtime, _PEAK_SECONDS)
    peak = max(before, after)
    megapixels = arguments.count * arguments.size**2 / 1e6
    rate = 2 * multiply_adds_per_pixel(model) * megapixels * 1e6 / seconds
    rows = [
        ("convolution peak before", f"{before / 1e12:.3f} TFLOP/s"),
        ("convolution peak after", f"{after / 1e12:.3f} TFLOP/s"),
        ("folder", f"{seconds:.1f} s, {seconds / megapixels:.2f} s a megapixel"),
        ("share of the higher peak", f"{100 * rate / peak:.0f} %"),
    ]
    title = f"{arguments.count} pictures, {megapixels:.2f} megapixels on {runtime}"
    out.print(table(title, ("figure", "value"), rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1000, help="side of the pictures in pixels")
    parser.add_argument("--count", type=int, default=20, help="number of pictures")
    parser.add_argument("--weights", help="a name or a file; else the default weights for jpeg")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    return parser.parse_args()


def _make_pictures(folder: Path, count: int, size: int) -> None:
    """Write grey JPEGs of a photograph, each a little different."""
    folder.mkdir()
    photograph = imresize(astronaut().mean(axis=2) / 255.0, shape=(size, size))
    pixels = (np.clip(photograph, 0, 1) * 255).round().astype(np.uint8)
    for index in range(count):
        picture = Image.fromarray(np.roll(pixels, 7 * index, axis=1))
        picture.save(folder / f"{index:05}.jpg", quality=20)


def _restored(source: Path, target: Path, arguments: argparse.Namespace) -> float:
    command = [sys.executable, "-m", "memnet_cli", "restore", "--quiet", "--task", _TASK]
    command += ["--device", arguments.device, "--precision", arguments.precision]
    command += [] if arguments.weights is None else ["--weights", arguments.weights]
    start = time.perf_counter()
    subprocess.run([*command, str(source), str(target)], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

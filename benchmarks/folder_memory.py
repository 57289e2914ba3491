"""Show how the memory of `memnet restore` goes over a folder of many pictures.

python benchmarks/folder_memory.py --count 500 --plot memory.png

On a CPU two caches of torch and oneDNN keep the kernels of the last 1024 kinds of convolutions,
and pictures of many sizes have many kinds: `--equal` and `--kernels` show what these caches take.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageDraw, ImageFont

from memnet_cli.checkpoints import WeightsInfo, save_weights
from memnet_cli.cli._console import out, table
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.restoration.folder import Settings, restore_folder
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.jobs import Naming, plan_jobs
from memnet_cli.restoration.restorer import Restorer

_TASK = "jpeg"
_ROWS = 10
#: Share of the pictures at the start that the second slope leaves out: buffers fill there.
_WARM_UP = 0.2
_PLOT_SIZE = (900, 400)
_PLOT_BOX = (80, 40, 880, 350)


def main() -> None:
    """Make pictures, restore them in this process, and print its resident memory."""
    arguments = _arguments()
    if arguments.kernels is not None:
        # read at the first convolution
        os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = str(arguments.kernels)
        os.environ["LRU_CACHE_CAPACITY"] = str(arguments.kernels)
    # what the command does
    reuse_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = arguments.weights or _random_weights(folder / "tiny.safetensors")
        _make_pictures(folder / "in", arguments.count, arguments.side, arguments.equal)
        restorer = Restorer.load(task=_TASK, weights=weights, device=arguments.device)
        jobs = plan_jobs(
            [str(folder / "in")], str(folder / "out"), recursive=False, naming=Naming()
        )
        start = time.perf_counter()
        samples = [_resident()]
        for outcome in restore_folder(jobs, Settings(_TASK), {_TASK: restorer}):
            if outcome.error is not None:
                raise SystemExit(outcome.error)
            samples.append(_resident())
        seconds = time.perf_counter() - start
    _show(samples, seconds, str(restorer.engine.runtime))
    if arguments.plot is not None:
        _draw(samples, arguments.plot)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="number of pictures")
    parser.add_argument("--side", type=int, default=64, help="they have 1 to 2 times this side")
    parser.add_argument("--equal", action="store_true", help="make all of one size")
    parser.add_argument("--kernels", type=int, help="entries of the caches of kernels")
    parser.add_argument("--weights", type=Path, help="a .safetensors file; else tiny random ones")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--plot", type=Path, help="PNG file for the curve")
    return parser.parse_args()


def _resident() -> float:
    """Return the resident memory of this process in MB."""
    return float(psutil.Process().memory_info().rss) / 1e6


def _random_weights(path: Path) -> Path:
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4)
    info = WeightsInfo("memnet", config_to_mapping(config), _TASK, levels=(10, 20))
    model = build_model(config).eval()
    # as large as they come they would take the pictures far out of range
    for parameter in model.parameters():
        parameter.data.mul_(0.1)
    save_weights(path, model, info)
    return path


def _make_pictures(folder: Path, count: int, side: int, equal: bool) -> None:
    """Write pictures of noise, of many sizes unless ``equal``."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        height, width = rng.integers(side, side if equal else 2 * side, 2, endpoint=True)
        pixels = rng.integers(0, 256, (int(height), int(width), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:05}.png")


def _show(samples: Sequence[float], seconds: float, runtime: str) -> None:
    count = len(samples) - 1
    rows = [
        (str(index), f"{samples[index]:.1f}")
        for index in np.linspace(0, count, _ROWS + 1).round().astype(int).tolist()
    ]
    out.print(table("Resident memory", ("pictures done", "MB"), rows))
    settled = round(_WARM_UP * count)
    out.print(
        f"{count} pictures in {seconds:.1f} s on {runtime}; largest {max(samples):.1f} MB; slope "
        f"{_slope(samples):+.2f} KB per picture, {_slope(samples[settled:]):+.2f} KB after the "
        f"first {settled}"
    )


def _slope(samples: Sequence[float]) -> float:
    """Return KB per picture by least squares."""
    return float(np.polyfit(np.arange(len(samples)), samples, 1)[0]) * 1e3


def _draw(samples: Sequence[float], path: Path) -> None:
    """Draw megabytes, from zero, over pictures."""
    left, top, right, bottom = _PLOT_BOX
    canvas = Image.new("RGB", _PLOT_SIZE, "white")
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    pen.text((left, top - 24), "resident memory in MB over pictures done", "black", font=font)
    pen.rectangle(_PLOT_BOX, outline="#888888")
    highest = 1.1 * max(samples)
    for tick in range(6):
        y = bottom - tick / 5 * (bottom - top)
        x = left + tick / 5 * (right - left)
        pen.line((left, y, right, y), fill="#e4e4e4")
        pen.text((left - 8, y), f"{highest * tick / 5:.0f}", "black", font, "rm")
        pen.text((x, bottom + 6), f"{(len(samples) - 1) * tick / 5:.0f}", "black", font, "ma")
    steps = max(1, len(samples) - 1)
    pen.line(
        [
            (left + i / steps * (right - left), bottom - value / highest * (bottom - top))
            for i, value in enumerate(samples)
        ],
        fill="#1f77b4",
        width=2,
    )
    canvas.save(path)


if __name__ == "__main__":
    main()

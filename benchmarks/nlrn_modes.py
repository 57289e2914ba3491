"""What NLRN's ways of restoring a picture cost, and what they give.

Each way runs in a process of its own, for its peak of resident memory:

    kept      neighbourhood slid over the plane, correlations kept from step to step
    anew      the same, correlations computed anew from all earlier embeddings
    stride N  patches as large as in training, N pixels apart, averaged (7: the authors' way)

    python benchmarks/nlrn_modes.py --weights w.safetensors --size 128 --psnr Set14-denoise
    python benchmarks/nlrn_modes.py --kernels
    python benchmarks/nlrn_modes.py --training
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from memnet_cli.checkpoints import load_weights
from memnet_cli.evaluation.protocols import image_rng, prepare, score
from memnet_cli.models import build_model, neighbourhood
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import NLRNConfig
from memnet_cli.models.nlrn import in_patches
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.stores.datasets import find_images
from memnet_cli.tasks import TASKS

_GIB = 1 << 30
#: FlexAttention is given a whole plane: its own blocks leave out what is far.
_FLEX_SIDE = 64


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the second run, and what the process took beyond its start, in bytes."""

    seconds: float
    memory: int


def in_mode(weights: str | None, mode: str) -> RestorationModel:
    """Return the network of a weights file, or the paper's with random weights, in a mode."""
    model: RestorationModel
    if weights is not None:
        model, info = load_weights(Path(weights))
        patch = info.patch
    else:
        torch.manual_seed(0)
        model, patch = build_model(NLRNConfig()), 0
    model = model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if mode.startswith("stride"):
        return in_patches(model, int(mode.split()[1]), patch)
    neighbourhood.STORED_BYTES = 0 if mode == "anew" else 1 << 60
    return model


def peak_memory() -> int:
    """Return the most resident memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def child(weights: str | None, mode: str, side: int) -> None:
    """Run one mode on one size and print what it cost."""
    reuse_freed_memory()
    model = in_mode(weights, mode)
    plane = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        model(plane[..., :48, :48])
        before = peak_memory()
        start = time.process_time()
        model(plane)
        seconds = time.process_time() - start
    print(json.dumps([seconds, peak_memory() - before]))


def measured(weights: str | None, mode: str, side: int) -> Cost:
    """Return what a mode costs, in a process of its own."""
    command = [sys.executable, __file__, "--child", mode, "--size", str(side)]
    command += [] if weights is None else ["--weights", weights]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory = json.loads(done.stdout)
    return Cost(seconds, memory)


def print_costs(weights: str | None, modes: Sequence[str], sides: Sequence[int]) -> None:
    """Print pixels against seconds and GiB for every mode."""
    print("| mode | pixels | CPU seconds | CPU s / MP | times faster than stride 7 | GiB |")
    print("| :-- | --: | --: | --: | --: | --: |")
    for side in sides:
        costs = {mode: measured(weights, mode, side) for mode in modes}
        slow = costs.get("stride 7")
        for mode, cost in costs.items():
            ratio = "" if slow is None else f"{slow.seconds / cost.seconds:.1f}"
            print(
                f"| {mode} | {side * side} | {cost.seconds:.2f} | "
                f"{cost.seconds / side**2 * 1e6:.0f} | {ratio} | {cost.memory / _GIB:.2f} |",
                flush=True,
            )


def middle(pixels: np.ndarray, side: int | None) -> np.ndarray:
    """Cut the middle ``side`` x ``side`` pixels out, or return all."""
    if side is None:
        return pixels
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[max(top, 0) :, max(left, 0) :][:side, :side]


def print_scores(weights: str, modes: Sequence[str], options: argparse.Namespace) -> None:
    """Print the PSNR of every mode on a set of pictures."""
    images = find_images(options.psnr, data_dir=options.data_dir)[: options.limit]
    level, task = options.level, TASKS["denoise"]
    pairs = []
    for image in images:
        pixels = np.asarray(Image.open(image.path, formats=["PNG", "BMP", "JPEG", "TIFF"]))
        pixels = middle(pixels, options.crop)
        pairs.append(prepare(pixels, task, level, image_rng(0, image.name, level)))
    size = f", the middle {options.crop}x{options.crop}" if options.crop else ""
    print(f"\n| mode | {options.psnr}, {len(images)} pictures{size}, sigma {level} | CPU seconds |")
    print("| :-- | --: | --: |")
    for mode in modes:
        model = in_mode(weights, mode)
        start = time.process_time()
        psnrs = []
        for pair in pairs:
            degraded = torch.from_numpy(pair.degraded.astype(np.float32))[None, None]
            with torch.inference_mode():
                restored = model(degraded)[0, 0].numpy()
            psnrs.append(score(pair.clean, restored, task, level).psnr)
        seconds = time.process_time() - start
        print(f"| {mode} | {np.mean(psnrs):.3f} dB | {seconds:.1f} |", flush=True)


def best_of(run: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest of some runs, after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def _ways(step: int, config: NLRNConfig) -> dict[str, Callable[[], Tensor]]:
    """Return one step's weighted sums over squares of a plane, each way to compute them."""
    block, side = neighbourhood.BLOCK, neighbourhood.BLOCK + config.neighbourhood - 1
    groups, own, keys = 4, block**2, side**2
    width, part = config.width, config.embedding_width
    values, bias = torch.randn(groups, keys, width), torch.zeros(own, keys)
    theta, psi = (
        0.1 * torch.randn(groups, own, part * step),
        0.1 * torch.randn(groups, keys, part * step),
    )
    before = torch.zeros(groups, own, keys)
    size = max(part * step, width)

    def kept() -> Tensor:
        logits = before.add_(torch.bmm(theta[..., :part], psi[..., :part].transpose(1, 2)))
        return torch.bmm(torch.softmax(logits, -1), values)

    def anew() -> Tensor:
        logits = torch.bmm(theta, psi.transpose(1, 2)).add_(bias)
        return torch.bmm(torch.softmax(logits, -1), values)

    def attention() -> Tensor:
        q, k, v = (F.pad(x, (0, size - x.shape[-1]))[:, None] for x in (theta, psi, values))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)

    return {"kept": kept, "anew": anew, "scaled_dot_product_attention": attention}


def _flexible(step: int, config: NLRNConfig) -> Callable[[], Tensor]:
    """Return one step's weighted sums over a small plane as FlexAttention, which is compiled."""
    side, reach = _FLEX_SIDE, config.neighbourhood // 2

    def near(_batch: Tensor, _head: Tensor, own: Tensor, other: Tensor) -> Tensor:
        rows, columns = own // side - other // side, own % side - other % side
        return (rows.abs() <= reach) & (columns.abs() <= reach)

    size = max(config.embedding_width * step, config.width)
    theta, psi, values = (0.1 * torch.randn(1, 1, side**2, size) for _ in range(3))
    mask = create_block_mask(near, 1, 1, side**2, side**2, device="cpu")
    compiled = torch.compile(flex_attention)

    def flexible() -> Tensor:
        result: Tensor = compiled(theta, psi, values, block_mask=mask, scale=1.0)
        return result

    return flexible


@torch.inference_mode()
def print_kernels() -> None:
    """Print what one step costs, computed in different ways, at some of the steps."""
    print("| step | way | CPU s / MP |\n| --: | :-- | --: |")
    pixels = 4 * neighbourhood.BLOCK**2
    for step in (1, 2, 6, 12):
        for name, run in _ways(step, NLRNConfig()).items():
            print(f"| {step} | {name} | {best_of(run) / pixels * 1e6:.1f} |", flush=True)
        seconds = best_of(_flexible(step, NLRNConfig()))
        print(f"| {step} | flex_attention | {seconds / _FLEX_SIDE**2 * 1e6:.1f} |", flush=True)


def print_training() -> None:
    """Print what a forward and backward pass costs by either way to copy the windows."""

    def views(grid: neighbourhood.Grid, maps: Tensor) -> Tensor:
        return grid.windows(maps).flatten(3, 4).flatten(0, 2)

    config = NLRNConfig(steps=6, width=64, embedding_width=32, neighbourhood=17)
    model = build_model(config).train()
    patches = torch.rand(8, 1, 48, 48)

    def passes() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = (model(patches) - patches).abs().mean()
        loss.backward()

    print("| windows | CPU s |\n| :-- | --: |")
    for name, way in (
        ("shifted squares", neighbourhood.Grid.copies),
        ("overlapping views", views),
    ):
        with mock.patch.object(neighbourhood.Grid, "copies", way):
            print(f"| {name} | {best_of(passes):.2f} |", flush=True)


def main() -> None:
    """Read the options and print what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="NLRN weights; else random ones of the paper's size")
    parser.add_argument("--size", type=int, action="append", help="side in pixels; repeatable")
    parser.add_argument("--mode", action="append", help="kept, anew, 'stride N'; repeatable")
    parser.add_argument("--psnr", metavar="SET", help="also measure PSNR on this set")
    parser.add_argument("--level", type=int, default=50, help="sigma for --psnr")
    parser.add_argument("--limit", type=int, help="only the first N pictures")
    parser.add_argument("--crop", type=int, help="only the middle N x N pixels, for --psnr")
    parser.add_argument("--data-dir", type=Path, help="folder that holds data sets")
    parser.add_argument("--kernels", action="store_true", help="time one step's ways alone")
    parser.add_argument("--training", action="store_true", help="time a pass with its gradient")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sides = options.size or [128]
    modes = options.mode or ["kept", "anew", "stride 7", "stride 33"]
    if options.child:
        child(options.weights, options.child, sides[0])
    elif options.kernels:
        print_kernels()
    elif options.training:
        print_training()
    elif math.prod(sides) > 0:
        print_costs(options.weights, modes, sides)
        if options.psnr and options.weights:
            print_scores(options.weights, modes, options)


if __name__ == "__main__":
    main()

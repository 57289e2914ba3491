"""How the papers measure, in one place: channel, crop, damage, rounding, border.

Mixed-up protocols are this field's commonest false alarm: half a decibel lies between luma and
RGB, between shaved and whole borders, between rounded and float outputs. Every number that
``memnet benchmark`` prints comes from :func:`prepare` and :func:`score` and nothing else.

Sources: MemNet (Tai et al., ICCV 2017), section 5.1 for channels and degradations and section 5.5
for BSD200; RED-Net (Mao et al., NIPS 2016), section 3.1 for BSD200; Dong et al., TPAMI 2016
(SRCNN), whose evaluation code sets the crop, the border and the 8-bit rounding of
super-resolution; Wang et al., IEEE TIP 2004, ``ssim_index.m`` for SSIM. The untrained rows of the
papers (bicubic, JPEG) are reproduced by tests/evaluation/test_protocols.py.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import DatasetError
from memnet_cli.imaging import metrics
from memnet_cli.imaging.color import luma_uint8
from memnet_cli.imaging.degradations import crop_to_multiple, downscale
from memnet_cli.tasks import Task

_SSIM_WINDOW = 11
#: MATLAB's rgb2gray, the full-range grey of ITU-R BT.601.
_RGB_TO_GREY = np.array([0.298936, 0.587043, 0.114021])
#: Sets that are shrunk before they are measured, by task (MemNet section 5.5, RED-Net 3.1).
_SHRUNK = {("BSD200", "denoise"): 2}


@dataclass(frozen=True)
class Protocol:
    """The rules of one task, in words for the reader and as flags for :func:`score`.

    Attributes:
        channel: what is measured.
        degradation: how the input is made.
        border: how many pixels are left out at each side.
        rounding: what happens to the output before it is compared.
        shaves: ``level`` pixels are left out at each side.
        rounds: the output is clipped and rounded to 8 bits.
    """

    channel: str
    degradation: str
    border: str
    rounding: str
    shaves: bool
    rounds: bool

    def text(self) -> str:
        """Return the protocol as one line that stands under a table."""
        return f"{self.channel}; {self.degradation}; {self.border}; {self.rounding}"


PROTOCOLS: dict[str, Protocol] = {
    "sr": Protocol(
        channel="luma (MATLAB rgb2ycbcr, 8 bits)",
        degradation="cropped to a multiple of the scale, MATLAB bicubic down and up in float",
        border="scale pixels shaved at each side",
        rounding="output rounded to 8 bits",
        shaves=True,
        rounds=True,
    ),
    "denoise": Protocol(
        channel="grey (MATLAB rgb2gray, 8 bits)",
        degradation="seeded Gaussian noise of sigma/255, neither clipped nor quantised",
        border="no border shaved",
        rounding="output neither clipped nor rounded",
        shaves=False,
        rounds=False,
    ),
    "jpeg": Protocol(
        channel="luma (MATLAB rgb2ycbcr, 8 bits)",
        degradation="compressed as a grey JPEG by libjpeg",
        border="no border shaved",
        rounding="output neither clipped nor rounded",
        shaves=False,
        rounds=False,
    ),
}


@dataclass(frozen=True)
class Pair:
    """A clean picture and its damaged copy, both (H, W).

    Attributes:
        clean: uint8 luma or grey, cropped as the protocol says.
        degraded: float64, nominally in [0, 1], for sr already enlarged; noise goes beyond.
    """

    clean: NDArray[np.uint8]
    degraded: NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM in [0, 1] of one picture."""

    psnr: float
    ssim: float


def shrink_factor(dataset: str, task: Task) -> int:
    """Return by how much the images of ``dataset`` are shrunk first: 2 for BSD200, else 1."""
    return _SHRUNK.get((dataset, task.name), 1)


def describe(dataset: str, task: Task) -> str:
    """Return the protocol line that stands with the numbers of ``dataset`` and ``task``."""
    factor = shrink_factor(dataset, task)
    shrunk = f"images first shrunk to 1/{factor}; " if factor > 1 else ""
    return shrunk + PROTOCOLS[task.name].text()


def image_rng(seed: int, name: str, level: int) -> np.random.Generator:
    """Return the generator of one image's noise: the same whatever else is in the run."""
    return np.random.default_rng([seed, level, zlib.crc32(name.encode(errors="surrogatepass"))])


def grey_uint8(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the full-range grey (H, W) of an 8-bit picture, as MATLAB's ``rgb2gray``.

    A picture whose channels are equal, as two files of the 14 denoising images, keeps its values;
    the studio-range luma would squeeze them to 16..235 and add 0.7 dB for free (BM3D, sigma 30).
    """
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[:, :, 0]
    return _rounded(pixels.astype(np.float64) @ _RGB_TO_GREY)


def smallest_side(task: Task, level: int) -> int:
    """Return the side in pixels below which less than the SSIM window is left to measure."""
    if not PROTOCOLS[task.name].shaves:
        return _SSIM_WINDOW
    return -(-(_SSIM_WINDOW + 2 * level) // level) * level


def check_size(name: str, height: int, width: int, task: Task, level: int) -> None:
    """Raise DatasetError if nothing, or less than the SSIM window, is left to measure."""
    smallest = smallest_side(task, level)
    if min(height, width) < smallest:
        raise DatasetError(
            f"{name} is {width}x{height} pixels, too small for {task.level_name} {level}: "
            f"expected at least {smallest}x{smallest}."
        )


def _rounded(plane: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round values in 0..255 to 8 bits as MATLAB's ``uint8`` does."""
    rounded: NDArray[np.uint8] = np.clip(np.floor(plane + 0.5), 0.0, 255.0).astype(np.uint8)
    return rounded


def prepare(
    pixels: NDArray[np.uint8],
    task: Task,
    level: int,
    rng: np.random.Generator,
    *,
    shrink: int = 1,
) -> Pair:
    """Make the clean and the damaged plane that a method is measured on.

    Args:
        pixels: (H, W), (H, W, 1) or (H, W, 3) uint8, as the file holds them.
        task: the damage.
        level: scale factor, sigma or quality factor.
        rng: source of the noise; only denoise draws from it.
        shrink: how much the picture is shrunk first, see :func:`shrink_factor`.

    Raises:
        UsageError: for a level that the task does not know.
    """
    task.check_level(level)
    plane = grey_uint8(pixels) if task.name == "denoise" else luma_uint8(pixels)
    if shrink > 1:
        plane = _rounded(downscale(plane.astype(np.float64), shrink))
    clean = np.asarray(crop_to_multiple(plane, level) if task.name == "sr" else plane, np.uint8)
    return Pair(clean, task.degrade(clean.astype(np.float64) / 255.0, level, rng))


def comparable(
    clean: NDArray[np.uint8], restored: NDArray[np.floating], task: Task, level: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both planes as they are compared, in 0..255: shaved and rounded as the rules say."""
    rules = PROTOCOLS[task.name]
    output = np.asarray(restored, np.float64) * 255.0
    if rules.rounds:
        output = np.floor(np.clip(output, 0.0, 255.0) + 0.5)
    target = clean.astype(np.float64)
    if rules.shaves:
        target, output = (plane[level:-level, level:-level] for plane in (target, output))
    return target, output


def score(
    clean: NDArray[np.uint8], restored: NDArray[np.floating], task: Task, level: int
) -> Score:
    """Measure ``restored``, (H, W) nominally in [0, 1], against ``clean``, (H, W) uint8."""
    target, output = comparable(clean, restored, task, level)
    return Score(metrics.psnr(target, output), metrics.ssim(target, output))

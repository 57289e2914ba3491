"""What is wrong with a picture: which of denoise and jpeg it needs, judged from the file itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from memnet_cli.imaging.hidden import with_nearest_colours
from memnet_cli.imaging.images import Picture
from memnet_cli.imaging.noise_level import has_two_tones, noise_sigma
from memnet_cli.imaging.quantisation import earlier_quality, jpeg_quality

#: Up to this quality blocks are visible; up to that they are worth removing, behind noise; above it
#: a JPEG counts as clean of them.
_VISIBLE_BLOCKS, _SLIGHT_BLOCKS = 60, 80
#: Up to this quality a JPEG is enlarged better without its blocks, luma (at 95 by 0.1 to 0.4 dB,
#: benchmarks/small_jpeg.py) as well as chroma (benchmarks/colour_jpeg.py).
_DEBLOCKED_FIRST = 95
#: Noise below this is not seen and is within what the estimate makes of fine texture.
_VISIBLE_NOISE = 6.0
#: From here on a network for sr, which takes noise for detail, does worse than bicubic; told of the
#: middle of a picture, of so many pixels on a side.
_ENLARGED_NOISE, _MIDDLE = 8.0, 1024
#: Pixels that alpha hides have the colours of seen ones up to this distance, as dots of alpha.
_BESIDE = 2.0
#: Above this it is no noise on a picture of 8 bits, which is cut off at black and white, but
#: chequers or random pixels.
_MOST_NOISE = 100.0

#: The smallest and largest level that the weights of each task were trained for.
Trained = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Diagnosis:
    """Which task a picture needs and why.

    Attributes:
        task: "denoise", "jpeg", or None where nothing is to be repaired.
        reason: one clause for the user.
        warning: what to beware of, or None.
        deblock: whether the blocks of a JPEG are to be removed before, of luma and chroma.
        quality: for jpeg, that weights are chosen for: the file's own, else what the pixels tell,
            100 where nothing is known of it.
    """

    task: str | None
    reason: str
    warning: str | None = None
    deblock: bool = False
    quality: int | None = None


def diagnose(picture: Picture, trained: Trained) -> Diagnosis:
    """Choose denoise or jpeg for a picture as it is, from its JPEG tables, its blocks, its noise.

    A JPEG that was cropped, saved as PNG or saved as a better JPEG is told by its blocks. Those of
    a better quality than is seen at once are removed where there is no noise to be removed.
    """
    picture = _seen(picture)
    quality, known = _compressed(picture)
    if quality <= _VISIBLE_BLOCKS:
        return _blocky(picture, quality, known, trained)
    sigma = noise_sigma(picture.pixels)
    if sigma > _MOST_NOISE:
        what = f"detail like noise of sigma {sigma:.0f}, more than a picture holds"
        return Diagnosis(None, f"no damage that can be told ({what}): left as it is")
    if sigma >= _VISIBLE_NOISE and has_two_tones(picture.pixels, sigma):
        what = "two tones with nothing between"
        return Diagnosis(None, f"no damage that can be told ({what}): left as it is")
    if sigma >= _VISIBLE_NOISE:
        warning = _outside(f"sigma {sigma:.0f}", sigma, trained["denoise"])
        return Diagnosis("denoise", f"noise of sigma about {sigma:.0f}", warning)
    if quality <= _SLIGHT_BLOCKS:
        return _blocky(picture, quality, known, trained)
    what = f"noise of sigma about {sigma:.0f}" + (f", {known}" if known else "")
    return Diagnosis(None, f"no visible damage ({what}): left as it is")


def _seen(picture: Picture) -> Picture:
    """Return a picture with nothing that alpha hides: colours of beside, and flat farther away."""
    if picture.alpha is None or not (picture.alpha == 0.0).any():
        return picture
    if not picture.alpha.any():
        return replace(picture, pixels=np.zeros_like(picture.pixels))
    return with_nearest_colours(picture, within=_BESIDE)


def _blocky(picture: Picture, worst: int, known: str, trained: Trained) -> Diagnosis:
    own = _of_the_file(picture)
    warning = _outside(f"quality {worst}", worst, trained["jpeg"])
    return Diagnosis("jpeg", known, warning, quality=worst if own is None else own)


def _compressed(picture: Picture) -> tuple[int, str]:
    """Return the worst JPEG quality that a picture is known to have been through, and say so.

    100 and nothing for a picture that was no JPEG as far as can be told.
    """
    own = _of_the_file(picture)
    if own is None or own > _VISIBLE_BLOCKS:
        earlier = earlier_quality(picture.pixels)
        if earlier is not None and (own is None or earlier < own):
            return earlier, f"was a JPEG of quality about {earlier}"
    return (100, "") if own is None else (own, f"JPEG of quality about {own}")


def _of_the_file(picture: Picture) -> int | None:
    """Return the quality that a JPEG's own tables stand for; None for another file."""
    tables = picture.source.jpeg_tables
    return jpeg_quality(tables[0]) if tables else None


def asked_for(picture: Picture, task: str, trained: Trained) -> Diagnosis:
    """Return the task that was asked for, with a warning where a JPEG's tables speak against it."""
    if task != "jpeg":
        return Diagnosis(task, "asked for")
    quality = _of_the_file(picture)
    if quality is None:
        return Diagnosis(task, "asked for", quality=_compressed(picture)[0])
    warning = _outside(f"quality {quality}", quality, trained["jpeg"])
    return Diagnosis(task, "asked for", warning, quality=quality)


def has_blocks(tables: tuple[tuple[int, ...], ...] | None) -> bool:
    """Say whether a JPEG with such tables is to be deblocked before it is enlarged.

    Args:
        tables: luma first, row by row; None of another file.
    """
    return tables is not None and jpeg_quality(tables[0]) <= _DEBLOCKED_FIRST


def before_enlarging(picture: Picture, *, deblocks: bool = True) -> Diagnosis:
    """Say what a picture has that enlarging would enlarge with it: blocks of a JPEG, and noise.

    Args:
        picture: to be enlarged.
        deblocks: whether blocks can be removed before; of noise there is a warning.
    """
    picture = _seen(picture)
    warning = _enlarged_noise(picture)
    quality, known = _compressed(picture) if deblocks else (100, "")
    if quality > _DEBLOCKED_FIRST:
        return Diagnosis("sr", "asked for", warning)
    return Diagnosis("sr", known, warning, deblock=True)


def _enlarged_noise(picture: Picture) -> str | None:
    top, left = (max(0, (side - _MIDDLE) // 2) for side in picture.pixels.shape[:2])
    middle = picture.pixels[top : top + _MIDDLE, left : left + _MIDDLE]
    sigma = noise_sigma(middle)
    if not _ENLARGED_NOISE <= sigma <= _MOST_NOISE or has_two_tones(middle, sigma):
        return None
    return (
        f"detail like noise of sigma about {sigma:.0f}, which is enlarged too: if it is noise, "
        "restore with --task denoise first"
    )


def _outside(what: str, value: float, trained: tuple[float, float]) -> str | None:
    low, high = trained
    if low <= value <= high:
        return None
    return f"{what} is outside of {low:g} to {high:g}, which the weights were trained on"

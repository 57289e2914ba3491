"""A picture before and after, in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from memnet_cli.imaging.images import Picture, picture_from_array, write_image
from memnet_cli.imaging.picture import Source, as_shown, on_white
from memnet_cli.restoration.planes import enlarge

_DIVIDER = 4


def side_by_side(degraded: Picture, restored: Picture) -> Picture:
    """Put the degraded picture, enlarged to the same size, left of the restored one.

    Both on white where they are transparent, and in the colours of the restored one's profile.
    """
    enlarged = enlarge(as_shown(degraded), (restored.height, restored.width))
    left = np.clip(on_white(enlarged).pixels, 0.0, 1.0)
    divider = np.ones((restored.height, _DIVIDER, left.shape[2]), dtype=np.float32)
    right = on_white(restored).pixels
    both = picture_from_array(np.concatenate([left, divider, right], axis=1))
    of = restored.source
    colours = Source(icc_profile=of.icc_profile, png_colours=of.png_colours)
    return replace(both, source=colours)


def write_side_by_side(
    target: Path, degraded: Picture, restored: Picture, overwrite: bool
) -> tuple[str, ...]:
    """Write both side by side and return what the user should know of it."""
    if target.exists() and not overwrite:
        return (f"{target} exists and was kept: --overwrite makes it again",)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(side_by_side(degraded, restored), target, format="png")
    return ()

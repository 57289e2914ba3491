"""A picture before and after, in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from memnet_cli.imaging.images import Picture, picture_from_array, write_image
from memnet_cli.imaging.picture import as_shown
from memnet_cli.restoration.planes import enlarge

_DIVIDER = 4


def side_by_side(degraded: Picture, restored: Picture) -> Picture:
    """Put the degraded picture, enlarged to the same size, left of the restored one."""
    left = np.clip(enlarge(as_shown(degraded), (restored.height, restored.width)).pixels, 0.0, 1.0)
    divider = np.ones((restored.height, _DIVIDER, left.shape[2]), dtype=np.float32)
    return picture_from_array(np.concatenate([left, divider, restored.pixels], axis=1))


def write_side_by_side(
    target: Path, degraded: Picture, restored: Picture, overwrite: bool
) -> tuple[str, ...]:
    """Write both side by side and return what the user should know of it."""
    if target.exists() and not overwrite:
        return (f"{target} exists and was kept: --overwrite makes it again",)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(side_by_side(degraded, restored), target, format="png")
    return ()

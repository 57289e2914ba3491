"""The chroma samples that a JPEG file holds, told from its decoded picture, and back.

libjpeg, and so Pillow, makes the pixels between two samples a quarter of a step away from the
nearer one: three quarters of it and one of the other ("fancy upsampling", the triangle filter of
its jdsample.c). The mean of the pixels of a sample is therefore not the sample but, along each
side, three quarters of it and an eighth of each of its neighbours: a blur, which has an exact
inverse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memnet_cli.imaging.resize import imresize

Plane = NDArray[np.float32]

#: So few samples to a row are repeated by libjpeg where it doubles the columns.
_REPEATED = 2


def file_samples(plane: Plane, step: tuple[int, int]) -> Plane:
    """Return the samples of which a JPEG decoder made a plane.

    Args:
        plane: (H, W) float32, Cb or Cr of a decoded JPEG.
        step: rows and columns from one sample to the next, 1 or 2 each; the last sample of a side
            may hang over the edge.

    Returns:
        (ceil(H / rows), ceil(W / columns)) float32, to the roundings of the decoded picture,
        which are enlarged up to twice along each side.
    """
    if step == (1, 1):
        return plane
    over = [(0, -side % every) for side, every in zip(plane.shape, step, strict=True)]
    whole = np.pad(plane, over, mode="edge")
    rows, columns = step
    height, width = whole.shape[0] // rows, whole.shape[1] // columns
    means: Plane = whole.reshape(height, rows, width, columns).mean((1, 3))
    if columns == 2 and width <= _REPEATED:
        return means
    if rows == 2 and height > 1:
        means = _unblurred(means, cut=plane.shape[0] % 2 == 1)
    if columns == 2:
        means = _unblurred(means.T, cut=plane.shape[1] % 2 == 1).T
    return np.ascontiguousarray(means)


def _unblurred(means: Plane, *, cut: bool) -> Plane:
    """Return the samples, along the first axis, of which the means of two pixels are at hand.

    Args:
        means: (N, W) float32, N > 1.
        cut: whether the last of them is of one pixel only, the nearer to the sample before.
    """
    from scipy.linalg import solve_banded

    count = means.shape[0]
    bands = np.full((3, count), 1 / 8, np.float32)
    bands[1] = 3 / 4
    # beyond the edges the samples go on as they end
    bands[1, [0, -1]] = 7 / 8
    if cut:
        bands[1, -1], bands[2, -2] = 3 / 4, 1 / 4
    samples: Plane = solve_banded((1, 1), bands, means, overwrite_ab=True, check_finite=False)
    return samples


def at_every_pixel(samples: Plane, step: tuple[int, int], shape: tuple[int, int]) -> Plane:
    """Enlarge samples bicubically to the pixels of the whole picture.

    Args:
        samples: (h, w) float32, as :func:`file_samples` returns them.
        step: rows and columns from one to the next.
        shape: (H, W) of the picture.
    """
    if samples.shape == shape:
        return samples
    larger = imresize(samples, shape=(samples.shape[0] * step[0], samples.shape[1] * step[1]))
    return larger[: shape[0], : shape[1]].astype(np.float32)

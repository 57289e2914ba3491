"""Methods without weights that stand beside the networks in a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from memnet_cli.errors import UsageError

Plane = NDArray[np.float32]

#: Strengths per unit of noise, chosen on 20 images of BSD-train at sigma 30, 50 and 70.
_NLM_STRENGTH = 0.6
_TV_WEIGHT = 0.8


@dataclass(frozen=True)
class Baseline:
    """A method that needs no training.

    Attributes:
        name: what ``--model`` takes.
        title: for the reader.
        tasks: the tasks it works for.
        package: the module that it needs beyond memnet's own dependencies, or None.
        distribution: how pip calls that package.
        restore: (degraded, sigma in 0..1) -> restored; the sigma is that of the task denoise.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    restore: Callable[[Plane, float], Plane]
    package: str | None = None
    distribution: str = ""

    def check_installed(self) -> None:
        """Raise UsageError if the package that does the work is missing."""
        if self.package is not None and find_spec(self.package) is None:
            raise UsageError(
                f"--model {self.name} needs the package {self.distribution}: "
                f"run `pip install {self.distribution}`."
            )


def _unchanged(degraded: Plane, _sigma: float) -> Plane:
    return degraded


def _non_local_means(degraded: Plane, sigma: float) -> Plane:
    """Buades et al., CVPR 2005."""
    from skimage.restoration import denoise_nl_means

    restored = denoise_nl_means(
        degraded, patch_size=5, patch_distance=6, h=_NLM_STRENGTH * sigma, sigma=sigma
    )
    return np.asarray(restored, dtype=np.float32)


def _total_variation(degraded: Plane, sigma: float) -> Plane:
    """Chambolle, J. Math. Imaging Vis. 2004."""
    from skimage.restoration import denoise_tv_chambolle

    restored = denoise_tv_chambolle(degraded, weight=_TV_WEIGHT * sigma, eps=1e-5, max_num_iter=500)
    return np.asarray(restored, dtype=np.float32)


def _wavelet(degraded: Plane, sigma: float) -> Plane:
    """BayesShrink: Chang et al., IEEE TIP 2000."""
    from skimage.restoration import denoise_wavelet

    restored = denoise_wavelet(degraded, sigma=sigma, method="BayesShrink", rescale_sigma=True)
    return np.asarray(restored, dtype=np.float32)


def _bm3d(degraded: Plane, sigma: float) -> Plane:
    """Dabov et al., IEEE TIP 2007, by its authors' own package."""
    import bm3d

    return np.asarray(bm3d.bm3d(degraded.astype(np.float64), sigma), dtype=np.float32)


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("degraded", "the input itself", ("sr", "denoise", "jpeg"), _unchanged),
        Baseline("bicubic", "bicubic enlargement", ("sr",), _unchanged),
        Baseline("nlm", "non-local means", ("denoise",), _non_local_means),
        Baseline("tv", "total variation", ("denoise",), _total_variation),
        Baseline("wavelet", "wavelet BayesShrink", ("denoise",), _wavelet, "pywt", "PyWavelets"),
        Baseline("bm3d", "BM3D", ("denoise",), _bm3d, "bm3d", "bm3d"),
    )
}

#: Baselines that hand back their input.
UNTOUCHED = tuple(name for name, entry in BASELINES.items() if entry.restore is _unchanged)

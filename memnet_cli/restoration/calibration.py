"""Damaged planes that tell how large a network's values become: what int8 is set up with."""

from __future__ import annotations

import numpy as np
import torch
from skimage import data
from torch import Tensor

from memnet_cli.tasks import Task

_SIDE = 96


def calibration_planes(task: Task) -> Tensor:
    """Return middles of three photographs, damaged at all levels of the papers, (N, 1, 96, 96).

    float32 in [0, 1], the same in every run. The photographs come with scikit-image and are part
    of no training or benchmark set.
    """
    draws = np.random.default_rng(0)
    planes = [
        task.degrade(_middle(photograph), level, draws)
        for photograph in (data.astronaut(), data.coffee(), data.camera())
        for level in task.levels
    ]
    return torch.from_numpy(np.stack(planes)[:, None].astype(np.float32))


def _middle(photograph: np.ndarray) -> np.ndarray:
    grey = photograph.mean(axis=2) if photograph.ndim == 3 else photograph
    top, left = ((size - _SIDE) // 2 for size in grey.shape)
    return grey[top : top + _SIDE, left : left + _SIDE] / 255.0

"""The planes that int8 is set up with: always the same, damaged at every level."""

from __future__ import annotations

import pytest
import torch

from memnet_cli.restoration.calibration import calibration_planes
from memnet_cli.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_planes(name: str) -> None:
    chosen = TASKS[name]
    planes = calibration_planes(chosen)
    assert planes.shape == (3 * len(chosen.levels), 1, 96, 96)
    assert planes.dtype == torch.float32
    assert float(planes.std((2, 3)).min()) > 0.05, "no flat planes"
    torch.testing.assert_close(planes, calibration_planes(chosen), rtol=0, atol=0)

"""How far a network sees."""

from __future__ import annotations

import torch

from memnet_cli.models.base import RestorationModel


def assert_blind_beyond_the_halo(model: RestorationModel) -> None:
    """Check that pixels further than the halo, of up to 44, have no influence; in float64."""
    near = torch.rand(1, 1, 3, 80, generator=torch.Generator().manual_seed(2)).double()
    far = near.clone()
    far[..., : 45 - model.halo] = 0
    with torch.no_grad():
        difference = (model(near) - model(far)).abs()
    assert float(difference[..., 45:].max()) == 0
    assert float(difference[..., :30].max()) > 0

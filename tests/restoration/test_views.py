"""Flips and quarter turns: eight of them, each of which can be undone."""

from __future__ import annotations

import pytest
import torch

from memnet_cli.restoration.views import VIEWS, turned, turned_back

_PLANES = torch.arange(2 * 3 * 4.0).view(1, 2, 3, 4)


@pytest.mark.parametrize("view", range(VIEWS))
def test_a_view_can_be_undone(view: int) -> None:
    assert torch.equal(turned_back(turned(_PLANES, view), view), _PLANES)


def test_they_are_all_the_symmetries_of_a_square() -> None:
    square = torch.arange(9.0).view(1, 1, 3, 3)
    flipped = (square.flip(axes) for axes in ((), (2,), (3,), (2, 3)))
    expected = {tuple(p.flatten().tolist()) for one in flipped for p in (one, one.mT)}
    got = {tuple(turned(square, view).flatten().tolist()) for view in range(VIEWS)}
    assert len(expected) == VIEWS
    assert got == expected
    assert torch.equal(turned(square, 0), square)

"""Which weights are taken where only the network and the task are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from memnet_cli.errors import WeightsError
from memnet_cli.stores.weights import find_weights
from memnet_cli.stores.zoo import default_weights, weights_entries


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (None, "every-sr"),
        (2, "every-sr"),
        (3, "every-sr"),
        (3.4, "every-sr"),
        (3.5, "x4-sr"),  # the larger of two that are equally near
        (4, "x4-sr"),
        (8, "x4-sr"),
        (1.2, "every-sr"),
    ],
)
def test_weights_of_the_nearest_level_are_taken_the_particular_first(
    by_level: Path, level: float | None, name: str
) -> None:
    assert default_weights("memnet", "sr", level).name == name
    path = find_weights(None, model="memnet", task="sr", level=level)
    assert path == by_level / f"{name}.safetensors"


@pytest.mark.parametrize(
    ("quality", "name"),
    [(1, "bad-jpeg"), (20, "bad-jpeg"), (49, "bad-jpeg"), (50, "good-jpeg"), (100, "good-jpeg")],
)
def test_weights_for_fewer_levels_are_taken_where_they_are_as_near(
    by_level: Path, quality: int, name: str
) -> None:
    assert default_weights("memnet", "jpeg", quality).name == name
    assert default_weights("memnet", "jpeg").name == "good-jpeg"


def test_a_name_is_taken_whatever_the_level(by_level: Path) -> None:
    path = find_weights("every-sr", model="memnet", task="sr", level=4)
    assert path == by_level / "every-sr.safetensors"


def test_no_weights_for_a_network(by_level: Path) -> None:
    with pytest.raises(WeightsError, match="no weights of RED-Net for sr yet"):
        default_weights("rednet", "sr", 2)


def test_shipped_defaults_are_for_different_levels() -> None:
    """Two for the same would leave it to their order which one is taken."""
    purposes = [(e.model, e.task, frozenset(e.levels)) for e in weights_entries() if e.default]
    assert len(purposes) == len(set(purposes))

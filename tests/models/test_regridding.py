"""MemNet on squares of another side: what it must still do, and to which pictures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.errors import UsageError
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.memnet import MemNet
from memnet_cli.models.regridding import regridded
from tests.models.test_memnet import memnet, planes


def network(side: int, *, multi_supervised: bool = True) -> MemNet:
    config = MemNetConfig(2, 2, 4, unshuffle=side, multi_supervised=multi_supervised)
    return memnet(config)


def enlarged(picture: Tensor, times: int) -> Tensor:
    return F.interpolate(picture, scale_factor=times, mode="nearest")


@pytest.mark.parametrize("multi_supervised", [True, False])
@pytest.mark.parametrize(("side", "times"), [(1, 2), (1, 3), (1, 4), (2, 2)])
def test_a_picture_of_larger_pixels_is_restored_as_before(
    side: int, times: int, multi_supervised: bool
) -> None:
    small = network(side, multi_supervised=multi_supervised)
    big = regridded(small, side * times)
    picture = planes(12, 16)
    for one, other in zip(
        big.predictions(enlarged(picture, times)), small.predictions(picture), strict=True
    ):
        torch.testing.assert_close(one, enlarged(other, times))


@pytest.mark.parametrize(("side", "times"), [(1, 2), (1, 3), (2, 2)])
def test_going_back_undoes_it(side: int, times: int) -> None:
    small = network(side)
    back = regridded(regridded(small, side * times), side)
    assert back.settings == small.settings
    for (name, one), other in zip(
        back.state_dict().items(), small.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, msg=name)


@pytest.mark.parametrize(("side", "wanted"), [(2, 3), (4, 3), (3, 2), (3, 4)])
def test_a_flat_picture_is_given_the_same_mean(side: int, wanted: int) -> None:
    old = network(side)
    new = regridded(old, wanted)
    assert new.settings.unshuffle == wanted
    means = [
        F.avg_pool2d(net(torch.full((1, 1, 6 * n, 6 * n), 0.3, dtype=torch.float64)), n)
        for net, n in ((old, side), (new, wanted))
    ]
    torch.testing.assert_close(means[0], means[1])


def test_it_keeps_the_mode_and_leaves_the_model_as_it_was() -> None:
    old = network(2).train()
    before = {name: tensor.clone() for name, tensor in old.state_dict().items()}
    assert regridded(old, 4).training
    assert not regridded(old.eval(), 3).training
    for name, tensor in old.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_statistics_of_single_pixels_cannot_be_taken_over() -> None:
    with pytest.raises(UsageError, match=r"squares of 1 pixels a side to 2 .* without it"):
        regridded(memnet(MemNetConfig(2, 1, 4, preactivated_input=True)), 2)

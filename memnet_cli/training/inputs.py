"""What the convolutions of a network are given: the second moments of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: Places of all planes that are looked at.
_PLACES = 1000


def second_moments(
    model: nn.Module, planes: Tensor, weights: Collection[nn.Parameter], seed: int
) -> dict[nn.Parameter, Tensor]:
    """Return E[x x^T], (in k k, in k k) float32, of the inputs x of convolutions.

    A convolution that is applied several times is given the mean over all its inputs. A weight that
    is applied in slices, as MemNet's gates are, has x of all slices at the same places; a
    transposed convolution has x of the convolution that does the same. Weights of other layers are
    left out.

    Args:
        model: run once, in evaluation, without gradients.
        planes: (N, 1, H, W).
        weights: those to tell of, (out, in, k, k), or (in, out, k, k) if transposed. Expected of
            their convolutions: stride 1, and zeros around that keep the size, as in all networks of
            this package.
        seed: of the places.
    """
    generator = torch.Generator().manual_seed(seed)
    count = planes.shape[0] * planes.shape[2] * planes.shape[3]
    places = torch.randperm(count, generator=generator)[:_PLACES].to(planes.device)
    watch = _Watch(weights, places)
    with _evaluation(model), torch.no_grad(), watch:
        model(planes)
    return watch.moments()


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Let every module be in evaluation, and then as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


class _Watch(TorchFunctionMode):
    """Takes the inputs of convolutions down while it is entered."""

    def __init__(self, weights: Collection[nn.Parameter], places: Tensor) -> None:
        super().__init__()
        self._weights = {id(weight): weight for weight in weights}
        self._places = places
        # by weight: the inputs of each slice, by its first channel
        self._seen: dict[nn.Parameter, dict[int, list[Tensor]]] = {}
        # by weight: the length of x
        self._lengths: dict[nn.Parameter, int] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in {torch.conv2d, torch._nnpack_spatial_convolution}:
            self._note(args[0], args[1], args[1].shape[0])
        elif func is torch.conv_transpose2d:
            self._note(args[0], args[1], args[1].shape[1])
        return func(*args, **(kwargs or {}))

    def _note(self, x: Tensor, weight: Tensor, maps: int) -> None:
        """Take the inputs of ``maps`` output maps down."""
        whole = weight if weight._base is None else weight._base
        known = self._weights.get(id(whole))
        if known is None or whole.shape[2:] != weight.shape[2:]:
            return
        first = weight.storage_offset() // whole.stride(1)
        rows = _rows(x, weight.shape[2], self._places)
        self._seen.setdefault(known, {}).setdefault(first, []).append(rows)
        self._lengths[known] = known.numel() // maps

    def moments(self) -> dict[nn.Parameter, Tensor]:
        """Return the second moments of all weights whose inputs were seen whole."""
        return {
            weight: _moment(slices)
            for weight, slices in self._seen.items()
            if sum(rows[0].shape[1] for rows in slices.values()) == self._lengths[weight]
        }


def _rows(x: Tensor, side: int, places: Tensor) -> Tensor:
    """Return (places, C side side) float32: the neighbourhoods of (N, C, H, W), zeros around."""
    height, width = x.shape[2:]
    places = places % (x.shape[0] * height * width)  # maps can be smaller than the planes
    padded = F.pad(x, (side // 2,) * 4)
    plane, pixel = places // (height * width), places % (height * width)
    row, column = pixel // width, pixel % width
    shifts = [(down, right) for down in range(side) for right in range(side)]
    pixels = [padded[plane, :, row + down, column + right] for down, right in shifts]
    return torch.stack(pixels, 2).flatten(1).float()


def _moment(slices: Mapping[int, list[Tensor]]) -> Tensor:
    times = [torch.cat(rows, 1) for rows in zip(*(slices[n] for n in sorted(slices)), strict=True)]
    inputs = torch.cat(times)
    with torch.autocast(inputs.device.type, enabled=False):
        return inputs.mT @ inputs / len(inputs)

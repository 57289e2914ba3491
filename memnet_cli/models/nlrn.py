"""NLRN, the non-local recurrent network (Liu et al., NeurIPS 2018; papers/nlrn.txt)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from memnet_cli.errors import UsageError
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import NLRNConfig
from memnet_cli.models.layers import BatchNorm, from_the_picture
from memnet_cli.models.neighbourhood import Correlation, Grid, attend, plan_grid

_EMBEDDED = ("embedded_gaussian", "embedded_dot_product", "symmetric_embedded_gaussian")
_LINEAR = ("dot_product", "embedded_dot_product")
#: Patches of the stride mode are run in batches of so many pixels.
_BATCH_PIXELS = {"cuda": 1 << 16}
_BATCH_PIXELS_ELSEWHERE = 1 << 14


class NonLocalUnit(nn.Module):
    """The 1x1 convolutions theta, psi and g, without bias (eq. 4 to 6), for each metric of Table 1.

    g starts at zero, so that the unit starts as the identity (section 3.3).
    """

    def __init__(self, config: NLRNConfig) -> None:
        super().__init__()
        self.metric = config.metric
        width, embedding = config.width, config.embedding_width
        if config.metric in _EMBEDDED:
            self.theta = nn.Conv2d(width, embedding, 1, bias=False)
            if config.metric != "symmetric_embedded_gaussian":
                self.psi = nn.Conv2d(width, embedding, 1, bias=False)
        self.g = nn.Conv2d(width, width, 1, bias=False)

    def _embeddings(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return theta and psi, whose dot product is the correlation of two pixels."""
        if self.metric == "euclidean":
            # -|a - b|^2 = 2 a.b - |b|^2 - |a|^2, and softmax does not see what a alone adds; h^2
            # is the number of maps
            squares = features.square().sum(1, keepdim=True) / features.shape[1]
            ones = torch.ones_like(squares)
            scaled = features * (2.0 / features.shape[1])
            return torch.cat([scaled, ones], 1), torch.cat([features, -squares], 1)
        if self.metric not in _EMBEDDED:
            return features, features
        theta: Tensor = self.theta(features)
        return theta, theta if self.metric == "symmetric_embedded_gaussian" else self.psi(features)

    def forward(
        self, features: Tensor, grid: Grid, earlier: Correlation
    ) -> tuple[Tensor, Correlation]:
        """Return Z (N, width, H, W) of eq. 6 and the correlations to be passed on."""
        theta, psi = self._embeddings(features)
        softmax = self.metric not in _LINEAR
        return attend(grid, theta, psi, self.g(features), earlier, softmax=softmax)


class LocalUnit(nn.Module):
    """What takes the non-local unit's place in the plain RNN of Table 2.

    Two 1x1 convolutions, without bias, with as many weights as theta, psi and g have where the
    embedding is half as wide as the maps.
    """

    def __init__(self, config: NLRNConfig) -> None:
        super().__init__()
        self.inner = nn.Conv2d(config.width, 2 * config.embedding_width, 1, bias=False)
        self.g = nn.Conv2d(2 * config.embedding_width, config.width, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, width, H, W)."""
        mixed: Tensor = self.g(torch.relu(self.inner(features)))
        return mixed


class Transition(nn.Module):
    """The convolutions of the recurrent transition: the (non-)local unit and two of 3x3."""

    def __init__(self, config: NLRNConfig) -> None:
        super().__init__()
        plain = config.nonlocal_every == 0
        self.unit: nn.Module = LocalUnit(config) if plain else NonLocalUnit(config)
        self.conv1 = nn.Conv2d(config.width, config.width, 3, padding=1)
        self.conv2 = nn.Conv2d(config.width, config.width, 3, padding=1)


class StepNorms(nn.Module):
    """The batch normalisations of one step, which the steps do not share."""

    def __init__(self, width: int, unit: bool) -> None:
        super().__init__()
        self.unit = BatchNorm(width) if unit else None
        self.conv1 = BatchNorm(width)
        self.conv2 = BatchNorm(width)


class NLRN(RestorationModel):
    """T recurrent steps, each a non-local unit and two convolutions, plus the first state (sec. 4).

    BN-ReLU stands before every convolution but the first. The convolutions start from Glorot and
    Bengio's uniform distribution.
    """

    #: A step sees 24 pixels further, but what is far away counts little; see docs/nlrn.md.
    halo = 32
    #: With q = 45 the correlations of a larger one are not kept from step to step any more.
    largest_tile: ClassVar[int | None] = 384
    #: Type of the device by whose limits planes are worked on; None for that of the planes.
    limits_of: str | None = None

    def __init__(self, config: NLRNConfig) -> None:
        super().__init__(config)
        self.settings = config
        self.feature = nn.Conv2d(1, config.width, 3, padding=1)
        own = 1 if config.share_weights else config.steps
        self.transitions = nn.ModuleList(Transition(config) for _ in range(own))
        self.norms = nn.ModuleList(
            StepNorms(config.width, self._has_unit(step)) for step in range(config.steps)
        )
        self.reconstruction_norm = BatchNorm(config.width)
        self.reconstruction = nn.Conv2d(config.width, 1, 3, padding=1)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
                if name.endswith("unit.g"):
                    nn.init.zeros_(module.weight)

    def _has_unit(self, step: int) -> bool:
        every = self.settings.nonlocal_every
        return every == 0 or step % every == 0

    def _steps(self) -> Iterator[tuple[StepNorms, Transition]]:
        last = len(self.transitions) - 1
        for step, norms in enumerate(self.norms):
            transition = self.transitions[min(step, last)]
            assert isinstance(norms, StepNorms)
            assert isinstance(transition, Transition)
            yield norms, transition

    def forward(self, x: Tensor) -> Tensor:
        """Restore (N, 1, H, W); the neighbourhood goes round at the borders (section 5)."""
        size = self.settings.neighbourhood
        grid = plan_grid(x.shape[2], x.shape[3], size, x.device, self.limits_of)
        first = state = from_the_picture(self.feature, x)
        earlier = Correlation()
        for norms, transition in self._steps():
            if norms.unit is not None:
                features = torch.relu(norms.unit(state))
                if isinstance(transition.unit, LocalUnit):
                    state = state + transition.unit(features)
                else:
                    added, correlation = transition.unit(features, grid, earlier)
                    state = state + added
                    earlier = correlation if self.settings.propagate else Correlation()
            residual = transition.conv1(torch.relu(norms.conv1(state)))
            state = first + transition.conv2(torch.relu(norms.conv2(residual)))
        restored: Tensor = x + self.reconstruction(torch.relu(self.reconstruction_norm(state)))
        return restored


def in_patches(
    model: RestorationModel, stride: int | None, training_patch: int = 0
) -> RestorationModel:
    """Return ``model`` as it restores planes: NLRN in overlapping patches or as it is.

    A network that was trained on patches at least twice as wide as its neighbourhood knows pixels
    that see all their neighbours where these are: it slides its neighbourhood over the plane. One
    that was trained on smaller patches, as the authors', has seen whole patches only.

    Args:
        model: any network; others than NLRN are as they are.
        stride: distance of the patches; 0 slides the neighbourhood, and None does what the
            training asks for, with patches three quarters of their side apart.
        training_patch: side of the patches that the network was trained on; 0 where unknown.
    """
    if not isinstance(model, NLRN) or stride == 0:
        return model
    side = model.settings.patch_side(training_patch)
    if stride is None and side >= 2 * model.settings.neighbourhood:
        return model
    return PatchAverage(model, max(1, 3 * side // 4) if stride is None else stride, side)


class PatchAverage(RestorationModel):
    """Restores overlapping patches and averages them, as the authors' test code does.

    The patches lie ``stride`` pixels apart, the last ones at the border; a plane smaller than
    ``side`` is one patch.
    """

    def __init__(self, model: NLRN, stride: int, side: int) -> None:
        super().__init__(model.config)
        if not 1 <= stride <= side:
            raise UsageError(
                f"--nlrn-stride is {stride}: expected 1 to {side}, the patches' side, or 0."
            )
        self.model = model
        self.side = side
        self.stride = stride
        # so that a tile has the patches of the whole plane about all that is kept of it, and of its
        # own last ones, which are at its border, none
        self.grid, self.halo = stride, side

    def _corners(self, length: int) -> list[int]:
        last = max(length - self.side, 0)
        return [*range(0, last, self.stride), last]

    def _batches(self, x: Tensor) -> Iterator[list[tuple[int, int]]]:
        corners = [(top, left) for top in self._corners(x.shape[2])
                   for left in self._corners(x.shape[3])]  # fmt: skip
        kind = self.model.limits_of or x.device.type
        limit = _BATCH_PIXELS.get(kind, _BATCH_PIXELS_ELSEWHERE)
        size = max(1, limit // (self.side**2 * x.shape[0]))
        for start in range(0, len(corners), size):
            yield corners[start : start + size]

    def forward(self, x: Tensor) -> Tensor:
        """Restore (N, 1, H, W)."""
        total, count = torch.zeros_like(x), torch.zeros_like(x[:1])
        for corners in self._batches(x):
            windows = [(..., slice(top, top + self.side), slice(left, left + self.side))
                       for top, left in corners]  # fmt: skip
            patches = self.model(torch.cat([x[window] for window in windows]))
            for window, patch in zip(windows, patches.split(x.shape[0]), strict=True):
                total[window] += patch
                count[window] += 1.0
        return total / count

"""Muon whose step is measured by what it changes on the inputs that the convolutions are given.

Neighbouring pixels and maps of a picture are much alike: nearly all of a convolution's input lies
in few directions, and so does its gradient, a sum over inputs. For white inputs all of them count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import compress
from operator import is_not

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from memnet_cli.training.distributed import World, take_over
from memnet_cli.training.inputs import second_moments
from memnet_cli.training.muon import Muon, orthogonalised
from memnet_cli.training.recipe import Recipe

#: Steps from one look at the inputs to the next, and patches that are looked at.
_EVERY = 50
_PATCHES = 4
#: Weight of what was known of the inputs against a new look at them.
_MEMORY = 0.8


@dataclass(frozen=True)
class _Factors:
    """Of the second moments of inputs of B weights of one shape.

    Attributes:
        roots: (B, n, n) float32, lower triangular L with L L^T the moments.
        inverses: of L, in the precision of Muon's matrix products.
    """

    roots: Tensor
    inverses: Tensor


class WhitenedMuon(Muon):
    """Muon for weights of white inputs: the update is orthogonal there, not in the weights.

    With E[x x^T] = L L^T of the inputs x of a convolution, W x is (W L) (L^-1 x), and L^-1 x is
    white. Muon's step for W L, brought back to W, falls fastest among all that change the outputs
    equally; Muon's own among all that change the weights equally. The metric is that of the input
    factor of K-FAC (Martens and Grosse, ICML 2015). The step is scaled to change the outputs
    as much as Muon's own would (the first one after each look at the inputs), so that a rate means
    the same for both. Weights whose inputs are not known take Muon's own step.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        recipe: Recipe,
        dtype: torch.dtype,
        transposed: Collection[nn.Parameter] = (),
    ) -> None:
        super().__init__(weights, recipe, dtype, transposed)
        self._damping = recipe.damping
        # of weights of one shape, with the inputs that they were computed of
        self._factors: dict[tuple[nn.Parameter, ...], tuple[list[Tensor], _Factors]] = {}

    @property
    def weights(self) -> list[nn.Parameter]:
        """All weights that it moves."""
        return [weight for group in self.param_groups for weight in group["params"]]

    @torch.no_grad()
    def see(self, moments: Mapping[nn.Parameter, Tensor]) -> None:
        """Take note of second moments of inputs, each (in k k, in k k) float32.

        Those that are no numbers, or near the largest, are passed over: they have no factor L, and
        a network that has come to that is told of by its loss and its weights.
        """
        for weight, moment in moments.items():
            if not torch.isfinite(moment.norm()):
                continue
            known = self.state[weight].get("inputs", moment)
            self.state[weight]["inputs"] = torch.lerp(moment, known, _MEMORY)
            self.state[weight].pop("change", None)

    def _updates(self, weights: list[nn.Parameter], directions: Tensor) -> Tensor:
        known = ["inputs" in self.state[weight] for weight in weights]
        if not any(known):
            return super()._updates(weights, directions)
        seen = torch.tensor(known, device=directions.device)
        updates = torch.empty_like(directions)
        updates[seen] = self._white(list(compress(weights, known)), directions[seen])
        if not all(known):
            updates[~seen] = orthogonalised(directions[~seen], self.dtype)
        return updates

    def _white(self, weights: list[nn.Parameter], directions: Tensor) -> Tensor:
        factors = self._stacked_factors(weights)
        if any("change" not in self.state[weight] for weight in weights):
            # nearly the same at all steps until the next look, and dear to compute
            own = (orthogonalised(directions, self.dtype) @ factors.roots).norm(dim=(1, 2))
            for weight, change in zip(weights, own, strict=True):
                self.state[weight]["change"] = change
        white = orthogonalised(directions.to(self.dtype) @ factors.inverses.mT, self.dtype)
        changes = torch.stack([self.state[weight]["change"] for weight in weights])
        changes /= white.float().norm(dim=(1, 2)).clamp(min=1e-12)
        steps = (white @ factors.inverses).to(directions.dtype)
        return steps.mul_(changes[:, None, None])

    def _stacked_factors(self, weights: list[nn.Parameter]) -> _Factors:
        """Return L of each one's inputs; the damping keeps rare directions from long steps."""
        inputs: list[Tensor] = [self.state[weight]["inputs"] for weight in weights]
        known = self._factors.get(tuple(weights))
        if known is not None and not any(map(is_not, known[0], inputs)):
            return known[1]
        moments = torch.stack(inputs)
        even = moments.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12) * self._damping
        identity = torch.eye(moments.shape[1], device=moments.device)
        roots = torch.linalg.cholesky(moments + even[:, None, None] * identity)
        inverses = torch.linalg.solve_triangular(roots, identity.expand_as(roots), upper=False)
        factors = _Factors(roots, inverses.to(self.dtype))
        self._factors[tuple(weights)] = inputs, factors
        return factors


def look_at_inputs(
    optimizers: Iterable[Optimizer], model: nn.Module, degraded: Tensor, step: int, world: World
) -> None:
    """Tell every optimizer that wants to know of the inputs of its weights, every few steps.

    Args:
        optimizers: of the model.
        model: not wrapped; the running statistics of its BN stay as they are.
        degraded: (N, 1, H, W), this process's part of the batch.
        step: of the training, from 0.
        world: the processes that train; all are told what the leading one saw.
    """
    for optimizer in optimizers:
        if isinstance(optimizer, WhitenedMuon) and step % _EVERY == 0:
            moments = second_moments(model, degraded[:_PATCHES], optimizer.weights, step)
            take_over(world, moments.values())
            optimizer.see(moments)

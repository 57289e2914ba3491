"""Clean and degraded patches in batches on the device, equal to what the benchmark makes.

Whole pictures are degraded before patches are cut in the protocols; here the patch is cut with
enough of its surroundings that the result is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from memnet_cli.imaging.resize import bicubic_matrix
from memnet_cli.tasks import Task
from memnet_cli.training.compression import EarlierSaves, compressed, earlier_saves
from memnet_cli.training.pictures import Pictures
from memnet_cli.training.sampler import ORIENTATIONS, Patches

_NOISE = 3


@dataclass(frozen=True)
class Chance:
    """What is drawn for the damage of B patches.

    Attributes:
        noise: (B, P, P), standard normal, of denoise.
        earlier: how JPEGs were compressed before, where they can have been.
    """

    noise: Tensor | None = None
    earlier: EarlierSaves | None = None

    def part(self, chosen: slice) -> Chance:
        """Return what belongs to some of the patches."""
        return Chance(
            None if self.noise is None else self.noise[chosen],
            None if self.earlier is None else self.earlier.part(chosen),
        )


@dataclass(frozen=True)
class Damage:
    """Makes the training pairs of one task.

    Attributes:
        task: the degradation.
        pictures: on the device.
        patch: side of a patch.
        seed: of the noise, and of what JPEGs were before.
        qualities: of JPEGs before, which patches that are ``altered`` were (jpeg).
        chroma: numbers of the pictures that are chroma planes, which have another JPEG table.
    """

    task: Task
    pictures: Pictures
    patch: int
    seed: int
    qualities: tuple[int, ...] = ()
    chroma: range = range(0)

    def chance(self, step: int, batch: int) -> Chance:
        """Return what is drawn for the damage of a whole step.

        For all processes at once, so that it does not depend on how many there are.
        """
        if self.task.name == "denoise":
            return Chance(noise=self._noise(step, batch))
        if self.task.name == "jpeg" and self.qualities:
            return Chance(earlier=earlier_saves(self.qualities, self.seed, step, batch))
        return Chance()

    def _noise(self, step: int, batch: int) -> Tensor:
        device = self.pictures.pixels.device
        key = np.random.SeedSequence([self.seed, _NOISE, step]).generate_state(1, np.uint64)[0]
        generator = torch.Generator(device).manual_seed(int(key) >> 1)
        shape = (batch, self.patch, self.patch)
        return torch.randn(shape, generator=generator, device=device)

    def pairs(self, patches: Patches, chance: Chance) -> tuple[Tensor, Tensor]:
        """Return clean and degraded patches, each (B, 1, P, P) float32.

        Args:
            patches: B patches.
            chance: those B of :meth:`chance`.
        """
        device = self.pictures.pixels.device
        picture, top, left, orientation = (
            torch.from_numpy(values).to(device)
            for values in (patches.picture, patches.top, patches.left, patches.orientation)
        )
        if self.task.name == "sr":
            clean, degraded = self._shrunk(patches, picture, top, left)
        else:
            clean = self.pictures.cut(picture, top, left, self.patch)
            if chance.noise is not None:
                sigma = torch.from_numpy(patches.level).to(device) / 255.0
                degraded = clean + sigma[:, None, None] * chance.noise
            else:
                chroma = np.isin(patches.picture, self.chroma)
                planes = self.pictures.planes
                saved = compressed(planes, patches, self.patch, chance.earlier, chroma)
                degraded = torch.from_numpy(saved).to(device).float() / 255.0
        order = _orientations(self.patch, device)[orientation % ORIENTATIONS]
        negative = (orientation >= ORIENTATIONS)[:, None]
        both = [planes.flatten(1).gather(1, order) for planes in (clean, degraded)]
        clean, degraded = (torch.where(negative, 1.0 - planes, planes) for planes in both)
        shape = (-1, 1, self.patch, self.patch)
        return clean.view(shape), degraded.view(shape)

    def _shrunk(
        self, patches: Patches, picture: Tensor, top: Tensor, left: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cut with a margin, shrink, enlarge, cut the margin off; scale by scale."""
        device = self.pictures.pixels.device
        clean = torch.empty(len(patches.level), self.patch, self.patch, device=device)
        degraded = torch.empty_like(clean)
        for scale in np.unique(patches.level):
            which = torch.from_numpy(np.flatnonzero(patches.level == scale)).to(device)
            altered = torch.from_numpy(patches.altered[patches.level == scale]).to(device)
            margin, side, down, up = _bicubic(int(scale), self.patch, device)
            corner = top[which] - margin, left[which] - margin
            square = self.pictures.cut(picture[which], *corner, side, int(scale))
            small = down @ square @ down.T
            rounded = (small.clamp(0.0, 1.0) * 255.0).round() / 255.0
            small = torch.where(altered[:, None, None], rounded, small)
            inner = slice(margin, margin + self.patch)
            clean[which] = square[:, inner, inner]
            degraded[which] = (up @ small @ up.T)[:, inner, inner]
        return clean, degraded


@lru_cache(maxsize=32)
def _bicubic(scale: int, patch: int, device: torch.device) -> tuple[int, int, Tensor, Tensor]:
    """Return margin, side with margins, and the matrices that shrink and enlarge such a side.

    Shrinking reaches 2 scale pixels to each side, enlarging 2 small pixels: 4 scale in all.
    """
    margin = 5 * scale
    side = math.ceil(patch / scale) * scale + 2 * margin
    down = bicubic_matrix(side, side // scale, 1.0 / scale)
    up = bicubic_matrix(side // scale, side, float(scale))
    shrinking, enlarging = (torch.from_numpy(m).float().to(device) for m in (down, up))
    return margin, side, shrinking, enlarging


@lru_cache(maxsize=8)
def _orientations(patch: int, device: torch.device) -> Tensor:
    """Return (8, P * P): which pixel of the patch goes where, for turns and flips."""
    index = np.arange(patch * patch).reshape(patch, patch)
    turned = [np.rot90(index, quarter) for quarter in range(4)]
    orders = np.stack([*turned, *(np.fliplr(one) for one in turned)]).reshape(8, -1)
    return torch.from_numpy(orders.copy()).to(device)

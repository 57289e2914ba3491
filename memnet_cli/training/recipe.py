"""Recipes: every choice of a training run that changes the weights, as one frozen record.

No torch here; see :mod:`memnet_cli.training.recipe_files` for reading and writing them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from memnet_cli.errors import UsageError, did_you_mean

_CHOICES = {
    "optimizer": ("adamw", "adam", "sgd", "muon"),
    "schedule": ("cosine", "step", "constant"),
    "loss": ("l2", "l1", "charbonnier"),
    "clip_kind": ("norm", "value", "adjustable"),
}
_POSITIVE = (
    "lr",
    "side_lr",
    "epochs",
    "drop_every_epochs",
    "batch",
    "accumulate",
    "epsilon",
    "damping",
    "drop_factor",
)
_SHARES = (
    "warmup",
    "final_lr",
    "quantised",
    "clean",
    "resaved",
    "drawn",
    "chroma",
    "mixed",
    "negatives",
    "alpha",
    "teacher_share",
    "momentum",
    "ema",
)


@dataclass(frozen=True)
class Recipe:
    """How to train. Times within a run are shares of its budget, from 0 to 1.

    Attributes:
        name: what the recipe is called.
        model: fields of the model's config that differ from the defaults.
        optimizer: adamw, adam, sgd, or muon (hidden convolutions by Muon, the rest by AdamW).
        whitened: with muon, measure the step by what it changes for inputs made white.
        damping: how much of the inputs' mean power is added to that in every direction, where
            ``whitened``.
        lr: peak learning rate.
        side_lr: with muon, the peak learning rate of what AdamW trains.
        momentum: of sgd and muon.
        betas: of adam and adamw.
        weight_decay: L2 penalty for sgd and adam, decoupled for adamw and muon.
        schedule: cosine (to ``final_lr``), step (see ``drop_every_epochs``) or constant.
        warmup: share of the budget over which the learning rate rises from 0.
        final_lr: at the end of the cosine, as a share of the peak.
        restart_at: shares of the budget at which the cosine starts again.
        restart_lr: peak of each later cosine, as a share of that before it.
        drop_factor: what the step schedule multiplies by.
        drop_every_epochs: how often; a budget in steps or time counts as ``epochs`` epochs.
        epochs: the recipe's own length, the budget where none is given.
        batch: patches per step, over all processes.
        accumulate: parts that the batch is computed in, one after the other, to save memory.
        patch: side of the patches in pixels.
        stride: distance of the paper's patch grid; 0 takes random positions.
        hardest_of: random places for every patch, of which the one with the most detail is taken; 1
            takes any.
        augment: flip and rotate.
        sizes: sizes of the copies of every picture, 1 for its own.
        turns: degrees by which further copies at the sizes under 1 are turned before they are
            shrunk, mirrored where a corner would be empty.
        mixed: share of the copies at the sizes under 1, turned or not, that are grey made of red,
            green and blue in random proportions, instead of luma or the grey of the task.
        contrasts: of the copies of every picture at every size, 1 for its own; clipped to black and
            white.
        negatives: share of patches with black for white, the degraded as well as the clean.
        levels: exactly these, one that is named twice drawn twice as often; empty leaves it to
            ``wide``.
        wide: train beyond the papers' levels: see ``sigmas``, ``qualities``, ``quantised``.
        sigmas: smallest and largest noise level, drawn evenly, where ``wide``.
        qualities: JPEG quality factors where ``wide``.
        quantised: share of sr patches whose small picture is rounded to 8 bits, where ``wide``.
        clean: share of patches with no noise at all (denoise), where ``wide``.
        resaved: share of jpeg patches that were a JPEG before, of any of ``qualities`` and with its
            blocks anywhere, where ``wide``.
        chroma: share of patches of what is restored beside luma, towards the clean patch whatever
            the teacher: for jpeg of Cb and Cr, half as large as the pictures along each side and
            compressed by another table, for denoise of the colour differences.
        drawn: share of patches of drawings, made for the run, instead of pictures; see
            ``teacher_drawn``.
        loss: l2 (eq. 4 and 12 of MemNet), l1 or charbonnier.
        epsilon: error at which charbonnier turns from l2 to l1, of the range [0, 1].
        loss_sum: sum over the pixels of a patch, as in the papers, instead of their mean.
        alpha: weight of the final output against the single ones (eq. 12); 0 takes 1 / (M + 1).
        teacher_share: weight of the teacher's output in the target, if there is a teacher; the
            clean patch has the rest.
        teacher_levels: smallest and largest level that the teacher is asked at; the clean patch
            alone is the target elsewhere, but stronger noise is scaled down to the largest level,
            with the contrast of the picture.
        teacher_drawn: ask it about drawings too, so that its way with strong edges is learned
            instead of their clean patches.
        teacher_turned: show it the patches of every step flipped and rotated another way, so that
            its self-ensemble is learned.
        clip: limit of the gradient; 0 switches clipping off.
        clip_kind: norm (of all gradients), value (of each), or adjustable (value at clip / lr).
        ema: decay of the running mean of the weights that is kept as the result; 0 takes none.
        grow_to: recursions of the growth stages after the first (MemNet).
        grow_at: shares of the budget at which they begin.
        freeze_statistics: normalise by the running statistics that the first weights came with, as
            restoring does, instead of by those of each batch; for going on from good weights.
        recalibrate: batches that re-estimate the BN statistics of the result; 0 does not.
        refit: batches that MemNet's ensemble weights are fitted to at the end, from anywhere in the
            photographs; 0 does not.
    """

    name: str = "own"
    model: Mapping[str, object] = field(default_factory=dict)
    optimizer: str = "adamw"
    whitened: bool = False
    damping: float = 0.1
    lr: float = 1e-3
    side_lr: float = 1e-3
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: float = 0.01
    final_lr: float = 0.002
    restart_at: tuple[float, ...] = ()
    restart_lr: float = 1.0
    drop_factor: float = 0.1
    drop_every_epochs: float = 20.0
    epochs: float = 60.0
    batch: int = 16
    accumulate: int = 1
    patch: int = 32
    stride: int = 0
    hardest_of: int = 1
    augment: bool = True
    sizes: tuple[float, ...] = (1.0,)
    turns: tuple[float, ...] = ()
    mixed: float = 0.0
    contrasts: tuple[float, ...] = (1.0,)
    negatives: float = 0.0
    levels: tuple[int, ...] = ()
    wide: bool = True
    sigmas: tuple[int, int] = (5, 75)
    qualities: tuple[int, ...] = (5, 8, 10, 15, 20, 30, 40)
    quantised: float = 0.25
    clean: float = 0.02
    resaved: float = 0.0
    chroma: float = 0.0
    drawn: float = 0.0
    loss: str = "l1"
    epsilon: float = 0.5 / 255.0
    loss_sum: bool = False
    alpha: float = 0.0
    teacher_share: float = 1.0
    teacher_levels: tuple[int, int] = (1, 255)
    teacher_drawn: bool = False
    teacher_turned: bool = False
    clip: float = 0.2
    clip_kind: str = "norm"
    ema: float = 0.999
    grow_to: tuple[int, ...] = ()
    grow_at: tuple[float, ...] = ()
    freeze_statistics: bool = False
    recalibrate: int = 0
    refit: int = 0

    def __post_init__(self) -> None:
        """Check types, choices and bounds.

        Raises:
            UsageError: naming the field, what it is and what was expected.
        """
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"{name} is '{getattr(self, name)}': expected one of {', '.join(choices)}."
                    + did_you_mean(str(getattr(self, name)), choices)
                )
        for name in _POSITIVE:
            _check(name, getattr(self, name), getattr(self, name) > 0, "more than 0")
        muon = self.optimizer == "muon" or not self.whitened
        _check("whitened", self.whitened, muon, "false with any optimizer but muon")
        _check("patch", self.patch, self.patch >= 4, "4 pixels or more")
        _check("hardest_of", self.hardest_of, self.hardest_of >= 1, "1 or more")
        _check("hardest_of", self.hardest_of, self.hardest_of <= 100, "100 at most")
        free = self.hardest_of == 1 or self.stride == 0
        _check("hardest_of", self.hardest_of, free, "1 with a grid of patches (stride)")
        for name in ("drawn", "chroma"):
            share = getattr(self, name)
            _check(name, share, not (share and self.stride), "0 with a grid of patches")
        for name in ("stride", "weight_decay", "clip", "recalibrate", "refit", "restart_lr"):
            _check(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name in (*_POSITIVE, "weight_decay", "clip", "restart_lr"):
            _check(name, getattr(self, name), getattr(self, name) < math.inf, "a finite number")
        for name in _SHARES:
            _check(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "0 to 1")
        _check("chroma", self.chroma, self.chroma + self.drawn <= 1, "1 at most, with drawn")
        _check("ema", self.ema, self.ema < 1, "less than 1")
        sound = all(0 <= beta < 1 for beta in self.betas)
        _check("betas", list(self.betas), sound, "two numbers from 0 to less than 1")
        _check("batch", self.batch, self.batch % self.accumulate == 0, "a multiple of accumulate")
        for name in ("restart_at", "grow_at"):
            shares = getattr(self, name)
            rising = list(shares) == sorted(set(shares)) and all(0 < s < 1 for s in shares)
            _check(name, list(shares), rising, "rising shares between 0 and 1")
        fits = len(self.grow_to) == len(self.grow_at) and list(self.grow_to) == sorted(self.grow_to)
        _check("grow_to", list(self.grow_to), fits, "rising recursions, one for each of grow_at")
        sound = all(recursions >= 1 for recursions in self.grow_to)
        _check("grow_to", list(self.grow_to), sound, "1 recursion or more")
        self._check_copies()
        for name in ("sigmas", "teacher_levels"):
            low, high = getattr(self, name)
            _check(name, [low, high], 0 < low <= high <= 255, "two levels from 1 to 255")

    def _check_copies(self) -> None:
        sound = bool(self.sizes) and all(0 < size <= 1 for size in self.sizes)
        _check("sizes", list(self.sizes), sound, "sizes over 0 and up to 1")
        smaller = min(self.sizes) < 1
        _check("turns", list(self.turns), smaller or not self.turns, "none without a size under 1")
        sound = all(0 < degrees < 90 for degrees in self.turns)
        _check("turns", list(self.turns), sound, "degrees over 0 and under 90")
        _check("mixed", self.mixed, smaller or not self.mixed, "0 without a size under 1")
        sound = bool(self.contrasts) and all(0 < gain <= 10 for gain in self.contrasts)
        _check("contrasts", list(self.contrasts), sound, "contrasts over 0 and up to 10")


def _check(name: str, value: object, sound: bool, expected: str) -> None:
    if not sound:
        raise UsageError(f"{name} is {value}: expected {expected}.")

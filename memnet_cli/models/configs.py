"""Frozen descriptions of the networks, with their bounds; no torch here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from memnet_cli.errors import UsageError, shortened

METRICS = (
    "embedded_gaussian",
    "gaussian",
    "dot_product",
    "embedded_dot_product",
    "symmetric_embedded_gaussian",
    "euclidean",
)


def _check_types(config: object) -> None:
    """Refuse a field whose value is not exactly of the type of its default."""
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if type(value) is not type(field.default):
            told = shortened(repr(value))
            raise UsageError(f"{field.name} is {told}: expected a value like {field.default!r}.")


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} is {value}: expected {low} to {high}.")


@dataclass(frozen=True)
class MemNetConfig:
    """MemNet (papers/memnet.txt, eq. 1 to 12).

    Attributes:
        memory_blocks: M.
        recursions: R, of the residual unit in every block.
        width: feature maps.
        multi_supervised: predictions of all blocks, averaged with learned weights (eq. 11, 12).
        preactivated_input: BN-ReLU before the first convolution, as in the authors' release.
        long_term: gates see the earlier blocks' outputs; False is the ablation MemNet_NL.
        short_term: gates see every recursion; False keeps the last one only, MemNet_NS.
        unshuffle: side of the squares of pixels that go into the network as one pixel of as many
            channels, and come out so: not MemNet's, but FFDNet's (Zhang et al., TIP 2018) with 2.
            A network of 2 costs a quarter as much for a picture and sees twice as far; 1 is the
            paper's.
        non_local: non-local modules between the memory blocks, spread evenly: not MemNet's, but
            NLRN's (section 3.3); 0 is the paper's.
    """

    memory_blocks: int = 6
    recursions: int = 6
    width: int = 64
    multi_supervised: bool = True
    preactivated_input: bool = False
    long_term: bool = True
    short_term: bool = True
    unshuffle: int = 1
    non_local: int = 0

    model: ClassVar[str] = "memnet"

    def __post_init__(self) -> None:
        """Check types and bounds."""
        _check_types(self)
        _check_range("memory_blocks", self.memory_blocks, 1, 64)
        _check_range("recursions", self.recursions, 1, 64)
        _check_range("width", self.width, 1, 1024)
        _check_range("unshuffle", self.unshuffle, 1, 4)
        _check_range("non_local", self.non_local, 0, self.memory_blocks - 1)

    @property
    def depth(self) -> int:
        """Convolutions on the longest path: M (2 R + 1) + 2 (section 5.6)."""
        return self.memory_blocks * (2 * self.recursions + 1) + 2

    def long_terms(self, block: int) -> int:
        """Return how many long-term memories the gate of block ``block`` (from 0) sees."""
        return block + 1 if self.long_term else 0

    @property
    def non_local_places(self) -> tuple[int, ...]:
        """Memory blocks (from 0) whose memory a non-local module works on before it is passed."""
        parts = self.non_local + 1
        return tuple(part * self.memory_blocks // parts for part in range(1, parts))

    @property
    def short_terms(self) -> int:
        """How many short-term memories every gate sees."""
        return self.recursions if self.short_term else 1


@dataclass(frozen=True)
class REDNetConfig:
    """RED-Net (papers/rednet.txt): ``depth`` / 2 convolutions, as many transposed ones."""

    depth: int = 30
    width: int = 128

    model: ClassVar[str] = "rednet"

    def __post_init__(self) -> None:
        """Check types and bounds."""
        _check_types(self)
        _check_range("depth", self.depth, 4, 200)
        _check_range("width", self.width, 1, 1024)
        if self.depth % 2:
            raise UsageError(f"depth is {self.depth}: expected an even number of layers.")


@dataclass(frozen=True)
class NLRNConfig:
    """NLRN (papers/nlrn.txt) and the variants of its Tables 1 and 2.

    Attributes:
        steps: T, unrolled recurrent steps.
        width: feature maps.
        embedding_width: maps of theta and psi.
        neighbourhood: q, side of the square that a pixel is compared with; odd.
        metric: distance metric of Table 1.
        propagate: add the previous step's logits (correlation propagation).
        share_weights: one set of convolutions for all steps.
        nonlocal_every: the non-local module runs in every k-th step; 0 never does (plain RNN).
    """

    steps: int = 12
    width: int = 128
    embedding_width: int = 64
    neighbourhood: int = 45
    metric: str = "embedded_gaussian"
    propagate: bool = True
    share_weights: bool = True
    nonlocal_every: int = 1

    model: ClassVar[str] = "nlrn"

    def __post_init__(self) -> None:
        """Check types and bounds."""
        _check_types(self)
        _check_range("steps", self.steps, 1, 64)
        _check_range("width", self.width, 1, 1024)
        _check_range("embedding_width", self.embedding_width, 1, 1024)
        _check_range("neighbourhood", self.neighbourhood, 1, 255)
        _check_range("nonlocal_every", self.nonlocal_every, 0, 64)
        if self.neighbourhood % 2 == 0:
            raise UsageError(f"neighbourhood is {self.neighbourhood}: expected an odd number.")
        if self.metric not in METRICS:
            raise UsageError(f"metric is '{self.metric}': expected one of {', '.join(METRICS)}.")

    def patch_side(self, training_patch: int) -> int:
        """Return the side of the patches that planes are restored in; 0 for unknown training."""
        return max(training_patch, self.neighbourhood)


@dataclass(frozen=True)
class PlainConfig:
    """VDSR and DnCNN: a chain of 3x3 convolutions with ReLU between them, around a skip.

    Attributes:
        depth: convolutions.
        width: feature maps.
        bias: whether they have biases (DnCNN has, VDSR has not).
        subtract: the output is subtracted from the input (DnCNN), else added (VDSR).
    """

    depth: int = 20
    width: int = 64
    bias: bool = True
    subtract: bool = True

    model: ClassVar[str] = "plain"

    def __post_init__(self) -> None:
        """Check types and bounds."""
        _check_types(self)
        _check_range("depth", self.depth, 2, 200)
        _check_range("width", self.width, 1, 1024)


ModelConfig = MemNetConfig | REDNetConfig | NLRNConfig | PlainConfig

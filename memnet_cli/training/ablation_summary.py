"""What the runs of an ablation add up to: means, intervals, differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from memnet_cli.training.ablating import RunScore
from memnet_cli.training.ablation import Ablation
from memnet_cli.training.ablation_plan import AblationRequest, compared_level
from memnet_cli.training.statistics import Estimate, estimate, paired_difference


@dataclass(frozen=True)
class VariantResult:
    """One line of the table.

    Attributes:
        name: of the variant.
        seeds: that it was trained with.
        psnr: estimate of its mean PSNR over seeds, dB; None before the first run.
        difference: estimate of PSNR minus the reference's with the same seed; None for the
            reference itself and without a common seed.
        pixels, seconds: mean of a run.
        published: PSNR in the paper, dB.
    """

    name: str
    seeds: tuple[int, ...]
    psnr: Estimate | None
    difference: Estimate | None
    pixels: float
    seconds: float
    published: float | None


@dataclass(frozen=True)
class Pair:
    """Two variants that the paper puts in an order, ``better`` above ``worse``.

    Attributes:
        published: difference in the paper, dB, more than 0.
        difference: estimated here, over common seeds.
    """

    better: str
    worse: str
    published: float
    difference: Estimate


@dataclass(frozen=True)
class AblationResult:
    """All that is known from the runs so far.

    Attributes:
        ablation, request: what was asked.
        level: that is compared.
        dataset: what was measured on, and how many pictures of it.
        images: how many pictures were measured.
        scores: of the finished runs.
        rows: one a variant, in the order of the file.
        pairs: that the paper puts in an order.
    """

    ablation: Ablation
    request: AblationRequest
    level: int
    dataset: str
    images: int
    scores: tuple[RunScore, ...]
    rows: tuple[VariantResult, ...]
    pairs: tuple[Pair, ...]

    @property
    def missing(self) -> int:
        """How many runs are not finished yet."""
        return len(self.ablation.variants) * len(self.request.seeds) - len(self.scores)


def summarise(
    ablation: Ablation, request: AblationRequest, scores: Sequence[RunScore]
) -> AblationResult:
    """Return means, intervals and differences of the runs."""
    by_variant = {
        variant.name: {score.seed: score.psnr for score in scores if score.variant == variant.name}
        for variant in ablation.variants
    }
    reference = by_variant[ablation.reference_name]
    rows = []
    for variant in ablation.variants:
        own = [score for score in scores if score.variant == variant.name]
        is_reference = variant.name == ablation.reference_name
        rows.append(
            VariantResult(
                name=variant.name,
                seeds=tuple(sorted(by_variant[variant.name])),
                psnr=estimate([score.psnr for score in own]) if own else None,
                difference=None
                if is_reference
                else paired_difference(by_variant[variant.name], reference),
                pixels=sum(score.pixels for score in own) / max(len(own), 1),
                seconds=sum(score.seconds for score in own) / max(len(own), 1),
                published=variant.published,
            )
        )
    first = scores[0] if scores else None
    return AblationResult(
        ablation=ablation,
        request=request,
        level=compared_level(ablation, request),
        dataset=first.dataset if first else request.validation or ablation.dataset,
        images=len(first.images) if first else 0,
        scores=tuple(scores),
        rows=tuple(rows),
        pairs=_pairs(ablation, by_variant),
    )


def _pairs(ablation: Ablation, by_variant: dict[str, dict[int, float]]) -> tuple[Pair, ...]:
    pairs = []
    for one, other in combinations(ablation.variants, 2):
        if one.published is None or other.published is None or one.published == other.published:
            continue
        better, worse = (one, other) if one.published > other.published else (other, one)
        difference = paired_difference(by_variant[better.name], by_variant[worse.name])
        if difference is not None:
            gap = abs(one.published - other.published)
            pairs.append(Pair(better.name, worse.name, gap, difference))
    return tuple(pairs)

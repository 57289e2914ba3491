"""Arrange measured and quoted numbers into tables, one per dataset and task.

Every form of output (terminal, CSV, LaTeX, Markdown, HTML) shows these same rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from memnet_cli.evaluation.baselines import UNTOUCHED
from memnet_cli.evaluation.leakage import also_seen
from memnet_cli.evaluation.protocols import describe
from memnet_cli.evaluation.published import PublishedRow, best_row, lookup, memnet_row
from memnet_cli.evaluation.results import MethodCard, Results, Row
from memnet_cli.tasks import Task, get_task

#: Which quoted numbers stand beside the measured ones.
Quotes = Literal["best", "all", "none"]
RUN_HERE = "run here"
_LEVEL_SIGNS = {"sr": "×{}", "denoise": "σ {}", "jpeg": "q {}"}


@dataclass(frozen=True)
class TableRow:
    """One line of a table: a method at a level, measured here or quoted from a paper.

    Attributes:
        measured: True for a number of this run, False for one that a paper prints.
        source: "run here", or paper and table.
        difference: PSNR minus that of the section's reference at this level, or None.
        seconds: per image, measured rows only.
        seen: how many of the images the method's weights were trained on.
        images: how many images the mean is over; 0 if quoted.
    """

    level: int
    method: str
    measured: bool
    source: str
    psnr: float
    ssim: float | None
    difference: float | None
    seconds: float | None = None
    megapixels_per_second: float | None = None
    peak_memory: int | None = None
    seen: int = 0
    images: int = 0


@dataclass(frozen=True)
class Section:
    """The rows of one dataset and task, best first within each level.

    Attributes:
        reference: what differences are taken to, in words; empty if nothing is quoted.
        protocol: how every number of the section was measured.
        notes: what the reader must know beside the protocol.
    """

    dataset: str
    task: str
    title: str
    reference: str
    protocol: str
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]

    def at(self, level: int) -> tuple[TableRow, ...]:
        """Return the rows of one level."""
        return tuple(row for row in self.rows if row.level == level)

    @property
    def levels(self) -> tuple[int, ...]:
        """Return the levels, smallest first."""
        return tuple(sorted({row.level for row in self.rows}))


def level_label(task: str, level: int) -> str:
    """Return "×3", "σ 50" or "q 10"."""
    return _LEVEL_SIGNS[task].format(level)


def quoted_rows(dataset: str, task: str, level: int, quotes: Quotes) -> tuple[PublishedRow, ...]:
    """Return the published rows to show: MemNet and the best, all of them, or none."""
    if quotes == "none":
        return ()
    if quotes == "all":
        return lookup(dataset, task, level)
    chosen = (memnet_row(dataset, task, level), best_row(dataset, task, level))
    return tuple(dict.fromkeys(row for row in chosen if row is not None))


def reference_row(dataset: str, task: str, level: int) -> PublishedRow | None:
    """Return what differences are taken to: the published MemNet, else the best published."""
    return memnet_row(dataset, task, level) or best_row(dataset, task, level)


def sections(results: Results, quotes: Quotes = "best") -> tuple[Section, ...]:
    """Return one section per dataset and task of ``results``, in the order of the run.

    A run with ``limit`` quotes nothing, because the papers' numbers are means over whole sets.
    """
    if results.limit is not None:
        quotes = "none"
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in results.rows:
        groups.setdefault((row.scores.dataset, row.scores.task), []).append(row)
    return tuple(_section(results, rows, quotes) for rows in groups.values())


def _section(results: Results, rows: list[Row], quotes: Quotes) -> Section:
    dataset, task = rows[0].scores.dataset, get_task(rows[0].scores.task)
    lines: list[TableRow] = []
    references: dict[str, None] = {}
    for level in sorted({row.scores.level for row in rows}):
        reference = None if quotes == "none" else reference_row(dataset, task.name, level)
        if reference is not None:
            references[f"{reference.method} as published"] = None
        at_level = [
            *(_measured(row, reference) for row in rows if row.scores.level == level),
            *(_quoted(q, reference) for q in quoted_rows(dataset, task.name, level, quotes)),
        ]
        lines += sorted(at_level, key=lambda line: (line.psnr, line.measured))
    return Section(
        dataset=dataset,
        task=task.name,
        title=f"{dataset} · {task.title}",
        reference=" or ".join(references),
        protocol=describe(dataset, task),
        rows=tuple(lines),
        notes=tuple(_notes(results, rows, task)),
    )


def _measured(row: Row, reference: PublishedRow | None) -> TableRow:
    scores = row.scores
    untouched = row.method in UNTOUCHED  # the time of doing nothing is no time to show
    return TableRow(
        level=scores.level,
        method=row.method,
        measured=True,
        source=RUN_HERE,
        psnr=scores.psnr,
        ssim=scores.ssim,
        difference=None if reference is None else scores.psnr - reference.psnr,
        seconds=None if untouched else scores.seconds,
        megapixels_per_second=None if untouched else scores.megapixels_per_second,
        peak_memory=row.peak_memory,
        seen=len(row.seen),
        images=len(scores.images),
    )


def _quoted(row: PublishedRow, reference: PublishedRow | None) -> TableRow:
    return TableRow(
        level=row.level,
        method=row.method,
        measured=False,
        source=row.short_source,
        psnr=row.psnr,
        ssim=row.ssim,
        difference=None if reference is None else row.psnr - reference.psnr,
    )


def _notes(results: Results, rows: Iterable[Row], task: Task) -> Iterable[str]:
    if results.limit is not None:
        yield (
            f"only the first {results.limit} images were measured: not comparable with "
            "published numbers"
        )
    if task.name == "denoise":
        yield f"noise seed {results.seed}"
    seen = {row.method: (len(row.seen), len(row.scores.images)) for row in rows if row.seen}
    for method, (count, images) in seen.items():
        yield f"† {method} was trained on {count} of these {images} images"
    yield from _without_seen(results, rows)
    unstated = {row.method: None for row in rows if _unstated(results.card(row))}
    if unstated:
        yield f"training images are not stated by the weights of {', '.join(unstated)}"


def _without_seen(results: Results, rows: Iterable[Row]) -> Iterable[str]:
    """Tell the means without what the training sets of the papers show too."""
    told: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        scores = row.scores
        names = also_seen(results.card(row).training_sets, scores.dataset)
        rest = tuple(image for image in scores.images if image.name not in names)
        if not 0 < len(rest) < len(scores.images):
            continue
        mean = replace(scores, images=rest)
        told.setdefault(names, []).append(
            f"{row.method} {level_label(scores.task, scores.level)} "
            f"{psnr_text(mean.psnr)} / {ssim_text(mean.ssim)}"
        )
    for names, texts in told.items():
        yield (
            f"training showed {', '.join(names)} in another size, as the papers' did; without: "
            + ", ".join(texts)
        )


def _unstated(card: MethodCard) -> bool:
    return card.kind == "weights" and not card.training_sets


def psnr_text(psnr: float) -> str:
    """Return PSNR with the papers' two decimals."""
    return f"{psnr:.2f}" if math.isfinite(psnr) else "∞"


def ssim_text(ssim: float | None) -> str:
    """Return SSIM with the papers' four decimals, or a dash."""
    return "–" if ssim is None else f"{ssim:.4f}"


def difference_text(difference: float | None) -> str:
    """Return a signed difference in dB, or nothing."""
    if difference is None or not math.isfinite(difference):
        return ""
    text = f"{difference:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def seconds_text(seconds: float | None) -> str:
    """Return seconds with three significant digits, or nothing."""
    return "" if seconds is None else f"{seconds:.3g}" if seconds < 100 else f"{seconds:.0f}"


def count_text(count: float | None) -> str:
    """Return a count as 677 k or 2.89 M, or a dash."""
    if count is None:
        return "–"
    for size, sign in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{sign}"
    return f"{count:.0f}"

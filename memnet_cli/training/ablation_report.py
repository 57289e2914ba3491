"""What an ablation shows and what it does not: a table beside the paper's, and sentences."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from memnet_cli.config import __version__
from memnet_cli.training.ablating import write_text
from memnet_cli.training.ablation_plan import measured_like_paper
from memnet_cli.training.ablation_summary import AblationResult, Pair
from memnet_cli.training.statistics import CONFIDENCE, Estimate

COLUMNS = ("Variant", "Seeds", "PSNR", "− reference", "Mpixel", "Paper", "− ref.")


def estimate_text(value: Estimate | None, *, signed: bool = False) -> str:
    """Return "33.961 ± 0.024", or without the interval where it is unknown."""
    if value is None:
        return "–"
    mean = f"{value.mean:+.3f}" if signed else f"{value.mean:.3f}"
    return mean if value.half_width is None else f"{mean} ± {value.half_width:.3f}"


def table_rows(result: AblationResult) -> list[tuple[str, ...]]:
    """Return the cells below :data:`COLUMNS`, best mean first, variants without a run last."""
    published = {row.name: row.published for row in result.rows}
    reference = result.ablation.reference_name
    anchor = published[reference]
    ordered = sorted(result.rows, key=lambda row: -row.psnr.mean if row.psnr else float("inf"))
    cells: list[tuple[str, ...]] = []
    for row in ordered:
        is_reference = row.name == reference
        known = row.published is not None and anchor is not None and not is_reference
        cells.append(
            (
                row.name,
                str(len(row.seeds)),
                estimate_text(row.psnr),
                "reference" if is_reference else estimate_text(row.difference, signed=True),
                f"{row.pixels / 1e6:.2g}" if row.seeds else "–",
                "–" if row.published is None else f"{row.published:.2f}",
                f"{row.published - anchor:+.2f}" if known else "–",  # type: ignore[operator]
            )
        )
    return cells


def heading(result: AblationResult) -> str:
    """Return the title of the table."""
    ablation = result.ablation
    task = result.request.task or ablation.task
    pictures = "1 picture" if result.images == 1 else f"{result.images} pictures"
    return (
        f"{ablation.title}: {task} {result.level} on {result.dataset} ({pictures}), "
        f"{result.request.budget} a run; paper: {ablation.source or 'none'}"
    )


def conclusions(result: AblationResult) -> list[str]:
    """Return what the runs show and what they do not, one sentence or two each."""
    said = []
    if result.missing:
        said.append(f"{result.missing} runs are not finished: this is a table of what there is.")
    if not result.scores:
        return said
    said += _order(result)
    said += _against_reference(result)
    said += _against_paper(result)
    said.append(_absolute(result))
    return said


def _order(result: AblationResult) -> list[str]:
    ranked = [row for row in result.rows if row.psnr is not None]
    ranked.sort(key=lambda row: -row.psnr.mean if row.psnr else 0.0)
    order = f"Order here: {' > '.join(row.name for row in ranked)}."
    fewest = min(len(row.seeds) for row in ranked)
    if fewest == 1:
        return [f"{order} With 1 seed there is no interval: this order is no evidence."]
    return [
        f"{order} ± is the {CONFIDENCE:.0%} Student t interval of the mean over seeds, on always "
        "the same pictures: it says nothing about other pictures."
    ]


def _against_reference(result: AblationResult) -> list[str]:
    reference = result.ablation.reference_name
    compared = [
        (row.name, row.difference)
        for row in result.rows
        if row.difference is not None and row.difference.half_width is not None
    ]
    said = []
    for word, sign in (("better", 1), ("worse", -1)):
        names = [name for name, difference in compared if difference.sign == sign]
        if names:
            said.append(
                f"Clearly {word} than {reference} at this budget (the interval of the difference "
                f"leaves 0 out): {', '.join(names)}."
            )
    unclear = [name for name, difference in compared if difference.sign == 0]
    if unclear:
        said.append(
            f"Cannot be told apart from {reference} at this budget (the interval of the difference "
            f"contains 0): {', '.join(unclear)}."
        )
    return said


def _against_paper(result: AblationResult) -> list[str]:
    source = result.ablation.source or "the file"
    if not result.pairs:
        return [f"No two PSNR are printed in {source}, so there is no order to compare with."]
    pairs = result.pairs
    if all(pair.difference.half_width is None for pair in pairs):
        same = sum(pair.difference.mean > 0 for pair in pairs)
        return [
            f"{same} of {len(pairs)} pairs lie in the order of {source}, which with 1 seed neither "
            "confirms nor contradicts it."
        ]
    agree = [pair for pair in pairs if pair.difference.sign > 0]
    against = [pair for pair in pairs if pair.difference.sign < 0]
    open_count = len(pairs) - len(agree) - len(against)
    verdict = "disagrees" if against else "agrees"
    if agree and against:
        verdict = "agrees in part"
    elif not (agree or against):
        verdict = "open"
    elif open_count:
        verdict += " as far as it can be told"
    of = "1 pair" if len(pairs) == 1 else f"{len(pairs)} pairs"
    said = [
        f"Against the order of {source}: {verdict}. Of {of} of variants {len(agree)} "
        f"agree, {len(against)} disagree{_named(against)}, {open_count} cannot be told apart."
    ]
    if len(pairs) > 1:
        said.append(
            f"Every interval stands for itself: of {len(pairs)} pairs without any difference about "
            f"{(1 - CONFIDENCE) * len(pairs):.1g} would seem to have one."
        )
    return said


def _named(pairs: Sequence[Pair]) -> str:
    shown = [f"{pair.worse} above {pair.better}" for pair in pairs[:3]]
    return f" ({', '.join(shown)}{' ...' if len(pairs) > 3 else ''})" if shown else ""


def _absolute(result: AblationResult) -> str:
    ablation = result.ablation
    ran = [row for row in result.rows if row.seeds]
    pixels = _range_text([f"{row.pixels:.2g}" for row in sorted(ran, key=lambda r: r.pixels)])
    seconds = _range_text([f"{row.seconds:.0f}" for row in sorted(ran, key=lambda r: r.seconds)])
    text = f"A run saw {pixels} pixels in {seconds} s; differences may grow, vanish or turn later."
    if not ablation.source:
        return text
    against = f", which trained for {ablation.paper_budget}" if ablation.paper_budget else ""
    text += f" Absolute PSNR is not comparable with the paper's{against}."
    if not measured_like_paper(ablation, result.request):
        text += (
            f" Nor was it measured alike: the paper measured {ablation.task} {ablation.level} on "
            f"{ablation.dataset}."
        )
    if result.request.settings:
        text += f" Networks and recipe differ too: {', '.join(result.request.settings)}."
    return text


def _range_text(rising: Sequence[str]) -> str:
    return rising[0] if rising[0] == rising[-1] else f"{rising[0]} to {rising[-1]}"


def markdown(result: AblationResult) -> str:
    """Return title, table and conclusions as Markdown."""
    lines = [f"# {heading(result)}", "", f"| {' | '.join(COLUMNS)} |"]
    lines.append("| --- |" + " ---: |" * (len(COLUMNS) - 1))
    lines += [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in table_rows(result)]
    lines += ["", *(f"- {sentence}" for sentence in conclusions(result))]
    return "\n".join(lines) + "\n"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def document(result: AblationResult) -> dict[str, object]:
    """Return everything as JSON values."""
    ablation, request = result.ablation, result.request
    return {
        "memnet": __version__,
        "ablation": ablation.name,
        "title": ablation.title,
        "source": ablation.source,
        "reference": ablation.reference_name,
        "model": ablation.model,
        "task": request.task or ablation.task,
        "level": result.level,
        "dataset": result.dataset,
        "budget": str(request.budget),
        "seeds": list(request.seeds),
        "settings": list(request.settings),
        "confidence": CONFIDENCE,
        "complete": result.missing == 0,
        "variants": [dataclasses.asdict(row) for row in result.rows],
        "pairs": [dataclasses.asdict(pair) for pair in result.pairs],
        "runs": [{**dataclasses.asdict(score)} for score in result.scores],
        "conclusions": conclusions(result),
    }


def keep_result(result: AblationResult, json_copy: Path | None, markdown_copy: Path | None) -> None:
    """Write ablation.json and ablation.md to the ablation's folder, and copies where asked.

    Raises:
        UsageError: for a place that cannot be written.
    """
    as_json = json.dumps(document(result), indent=2, ensure_ascii=False) + "\n"
    as_markdown = markdown(result)
    out = result.request.out
    for path, text in (
        (out / "ablation.json", as_json),
        (out / "ablation.md", as_markdown),
        (json_copy, as_json),
        (markdown_copy, as_markdown),
    ):
        if path is not None:
            write_text(path, text)

"""Benchmark results as Rich tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from memnet_cli.cli._console import printable
from memnet_cli.evaluation.baselines import UNTOUCHED
from memnet_cli.evaluation.comparison import Comparison, RowChange
from memnet_cli.evaluation.formats import best_measured, cost_table, footer
from memnet_cli.evaluation.results import Results
from memnet_cli.evaluation.tables import (
    Section,
    TableRow,
    difference_text,
    level_label,
    psnr_text,
    seconds_text,
    ssim_text,
)
from memnet_cli.evaluation.verdict import Verdict

_RUN, _QUOTED = "●", "“"
_CHANGE_COLUMNS = ("Row", "Method", "Before", "dB", "SSIM", "+/−", "p", "Speed", "")
_VERDICT_STYLES = {"better": "bold green", "worse": "bold red", "same": "dim", "unclear": "yellow"}


def _table(title: str, columns: Sequence[str], left: int) -> Table:
    """Return a table whose first ``left`` columns are left and whose others are right aligned."""
    made = Table(
        title=printable(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < left else "right", overflow="fold")
    return made


def score_table(section: Section) -> Table:
    """Return the table of one dataset and task: ● run here, “ quoted from a paper."""
    columns = ("", "Method", "Source", "PSNR dB", "SSIM", "s/image")
    made = _table(section.title, columns, left=3)
    if section.reference:
        made.add_column("Diff. dB", justify="right")
    best = best_measured(section)
    for level in section.levels:
        for index, row in enumerate(section.at(level)):
            label = level_label(section.task, level) if index == 0 else ""
            difference = [difference_text(row.difference)] if section.reference else []
            made.add_row(label, *_cells(row), *difference, style=_style(row, row in best))
        made.add_section()
    made.caption = "\n".join(_footer(section))
    made.caption_justify = "left"
    return made


def _footer(section: Section) -> list[str]:
    """Return what stands under a table; the signs take the place of the italics."""
    signs = f"{_RUN} run here   {_QUOTED} quoted from a paper"
    return [printable(signs if "italics" in line else line) for line in footer(section)]


def _style(row: TableRow, is_best: bool) -> str:
    return "bold" if is_best else "" if row.measured else "dim italic"


def _cells(row: TableRow) -> list[str | Text]:
    mark = _RUN if row.measured else _QUOTED
    return [
        printable(f"{mark} {row.method}{'†' if row.seen else ''}"),
        row.source,
        psnr_text(row.psnr),
        ssim_text(row.ssim),
        seconds_text(row.seconds),
    ]


def cost_rows(results: Results) -> Table:
    """Return the table of what the methods cost."""
    head, rows = cost_table(results)
    made = _table("Cost", head, left=2)
    for row in rows:
        made.add_row(*map(printable, row))
    return made


def verdict_table(verdicts: Sequence[Verdict], psnr_tolerance: float) -> Table:
    """Return pass or fail, row by row."""
    made = _table(
        f"Check: measured minus expected, tolerance {psnr_tolerance:g} dB",
        ("Row", "Method", "From", "Expected", "dB", "SSIM", ""),
        left=3,
    )
    for verdict in verdicts:
        scores = verdict.row.scores
        sign = "=" if verdict.expected.exact else "≥"
        ssim = verdict.ssim_difference
        made.add_row(
            printable(f"{scores.dataset} {level_label(scores.task, scores.level)}"),
            printable(verdict.row.method),
            verdict.expected.source,
            f"{sign} {psnr_text(verdict.expected.psnr)}",
            f"{verdict.psnr_difference:+.3f}",
            "–" if ssim is None else f"{ssim:+.4f}",
            Text("pass", "green") if verdict.passed else Text("FAIL", "bold red"),
        )
    return made


def comparison_table(comparison: Comparison, names: tuple[str, str]) -> Table:
    """Return one line per row of both results."""
    made = _table(
        printable(f"{names[0]} → {names[1]}"),
        _CHANGE_COLUMNS,
        left=2,
    )
    for change in comparison.changes:
        made.add_row(*_change_cells(change))
    made.caption = (
        "Before: PSNR in dB; dB and SSIM: after minus before; +/−: images with a higher and a "
        "lower PSNR; p: two-sided sign test over them, called better or worse below 0.05, which "
        "fewer than 6 images cannot reach; Speed: megapixels per second, after over before."
    )
    made.caption_justify = "left"
    return made


def _change_cells(change: RowChange) -> list[str | Text]:
    scores = change.before.scores
    methods = (change.before.method, change.after.method)
    verdict = change.verdict
    return [
        printable(f"{scores.dataset} {level_label(scores.task, scores.level)}"),
        printable(" → ".join(dict.fromkeys(methods))),
        psnr_text(scores.psnr),
        f"{change.psnr:+.3f}",
        f"{change.ssim:+.4f}",
        f"{change.better}/{change.worse}",
        f"{change.p_value:.3g}",
        "–" if methods[0] in UNTOUCHED else f"×{change.speed:.2f}",
        Text(verdict, _VERDICT_STYLES[verdict]),
    ]

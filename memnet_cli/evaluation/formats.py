"""Tables as CSV, LaTeX and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from memnet_cli.evaluation.baselines import UNTOUCHED
from memnet_cli.evaluation.results import MethodCard, Results
from memnet_cli.evaluation.tables import (
    Section,
    TableRow,
    count_text,
    difference_text,
    level_label,
    psnr_text,
    seconds_text,
    ssim_text,
)

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"$\times$",
    "σ": r"$\sigma$",
    "−": "$-$",
    "–": "--",
    "†": r"$\dagger$",
    "·": r"$\cdot$",
    "∞": r"$\infty$",
}


_CSV_COLUMNS = (
    "dataset",
    "task",
    "level",
    "method",
    "measured",
    "source",
    "psnr_db",
    "ssim",
    "psnr_difference_db",
    "seconds_per_image",
    "megapixels_per_second",
    "peak_memory_bytes",
    "parameters",
    "multiply_adds_per_pixel",
    "device",
    "precision",
    "images",
    "images_seen_in_training",
    "protocol",
)


def to_csv(results: Results, sections: Sequence[Section]) -> str:
    """Return one line per method, level and dataset, with full precision and units in the head."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for section in sections:
        for row in section.rows:
            measured = row.measured
            card = results.card_of(row.method, section.task, row.level) if measured else None
            writer.writerow(_csv_row(section, row, card))
    return text.getvalue()


def _csv_row(section: Section, row: TableRow, card: MethodCard | None) -> list[object]:
    return [
        section.dataset,
        section.task,
        row.level,
        row.method,
        "yes" if row.measured else "no",
        row.source,
        row.psnr,
        row.ssim,
        row.difference,
        row.seconds,
        row.megapixels_per_second,
        row.peak_memory,
        None if card is None else card.parameters,
        None if card is None else card.multiply_adds_per_pixel,
        None if card is None else card.device,
        None if card is None else card.precision,
        row.images if row.measured else None,
        row.seen if row.measured else None,
        section.protocol if row.measured else "as in the paper",
    ]


def footer(section: Section) -> tuple[str, ...]:
    """Return the lines that must stand under the section's table, protocol first."""
    differences = f"Difference: PSNR minus {section.reference}, in dB." if section.reference else ""
    quoted = "Rows in italics are quoted from the papers, not run here." if differences else ""
    lines = (f"Protocol: {section.protocol}.", differences, quoted, *map(sentence, section.notes))
    return tuple(line for line in lines if line)


def sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def _cells(section: Section, row: TableRow) -> list[str]:
    return [
        level_label(section.task, row.level),
        row.method + ("†" if row.seen else ""),
        row.source,
        psnr_text(row.psnr),
        ssim_text(row.ssim),
        difference_text(row.difference),
        seconds_text(row.seconds),
    ]


_COLUMNS = ("level", "method", "source", "PSNR (dB)", "SSIM", "difference (dB)", "s / image")


def _markdown_cell(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    return escaped.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


def _markdown_row(cells: Sequence[str], mark: str) -> str:
    escaped = (_markdown_cell(cell) for cell in cells)
    return "| " + " | ".join(f"{mark}{cell}{mark}" if cell else "" for cell in escaped) + " |"


def to_markdown(results: Results, sections: Sequence[Section]) -> str:
    """Return the tables as GitHub Markdown; quoted rows in italics, the best of this run bold."""
    parts = []
    for section in sections:
        parts += [f"### {_markdown_cell(section.title)}", ""]
        parts += [_markdown_row(_COLUMNS, ""), "|---|:---|:---|" + "---:|" * 4]
        best = best_measured(section)
        for row in section.rows:
            mark = "**" if row in best else "" if row.measured else "*"
            parts.append(_markdown_row(_cells(section, row), mark))
        parts += ["", *(f"{_markdown_cell(line)}  " for line in footer(section)), ""]
    return "\n".join([*parts, *_markdown_costs(results)])


def _markdown_costs(results: Results) -> list[str]:
    head, rows = cost_table(results)
    lines = [_markdown_row(row, "") for row in rows]
    return ["### Cost", "", _markdown_row(head, ""), "|:---|" + "---:|" * 6, *lines, ""]


def best_measured(section: Section) -> tuple[TableRow, ...]:
    """Return, for each level, the row of this run with the highest PSNR."""
    levels = ([row for row in section.at(level) if row.measured] for level in section.levels)
    return tuple(max(rows, key=lambda row: row.psnr) for rows in levels if rows)


def card_label(card: MethodCard) -> str:
    """Return the method's name, with the levels if other weights stand for others: "memnet ×2"."""
    return " ".join((card.name, *(level_label(card.task, level) for level in card.levels)))


def cost_table(results: Results) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of what every method costs, over all datasets of its task."""
    head = ("Method", "Task", "Parameters", "MAC/pixel", "MP/s", "Memory", "Device")
    rows: list[tuple[str, ...]] = []
    for card in results.methods:
        own = [row for row in results.rows if results.card(row) is card]
        pixels = sum(image.pixels for row in own for image in row.scores.images)
        seconds = sum(image.seconds for row in own for image in row.scores.images)
        speed = pixels / 1e6 / seconds if seconds and card.name not in UNTOUCHED else None
        rows.append(
            (
                card_label(card),
                card.task,
                count_text(card.parameters),
                count_text(card.multiply_adds_per_pixel),
                seconds_text(speed) or "–",
                f"{max(row.peak_memory for row in own) / 2**20:.0f} MiB" if own else "–",
                _device(card),
            )
        )
    return head, rows


def _device(card: MethodCard) -> str:
    """Return "cpu, fp32": without the device's full name, which the JSON has."""
    return f"{card.device.split(' (')[0]}, {card.precision}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_row(section: Section, row: TableRow, is_best: bool) -> str:
    style = r"\textbf{%s}" if is_best else "%s" if row.measured else r"\textit{%s}"
    cells = (_latex(cell) for cell in _cells(section, row))
    return " & ".join(style % cell if cell else "" for cell in cells) + r" \\"


def to_latex(_results: Results, sections: Sequence[Section]) -> str:
    """Return one booktabs table per dataset and task (needs ``\\usepackage{booktabs}``)."""
    parts = ["% needs \\usepackage{booktabs}"]
    for section in sections:
        best = best_measured(section)
        parts += [r"\begin{table}", r"\centering", r"\begin{tabular}{lllrrrr}", r"\toprule"]
        parts += [" & ".join(map(_latex, _COLUMNS)) + r" \\"]
        for level in section.levels:
            parts.append(r"\midrule")
            parts += [_latex_row(section, row, row in best) for row in section.at(level)]
        caption = " ".join([f"{section.title}.", *footer(section)])
        parts += [r"\bottomrule", r"\end{tabular}"]
        parts += [rf"\caption{{{_latex(caption)}}}", r"\end{table}", ""]
    return "\n".join(parts)


#: Suffix of a file -> how its text is made.
WRITERS: dict[str, Callable[[Results, Sequence[Section]], str]] = {
    ".csv": to_csv,
    ".tex": to_latex,
    ".md": to_markdown,
}

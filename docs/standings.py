"""Fill the tables of scores in README.md and docs/ from what the bundled weights carry.

    python docs/standings.py            # writes the files that changed
    python docs/standings.py --check    # writes nothing; exit code 1 if a table says something else

The weights' scores are in weights/weights.json (`python -m memnet_cli.evaluation.recording` puts
them into a file, `python -m memnet_cli.stores.manifest weights/` into the list), the papers' in
memnet_cli/evaluation/published.json.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from memnet_cli.evaluation.published import PublishedRow, memnet_row
from memnet_cli.stores.zoo import WeightsEntry, default_weights, get_weights

ROOT = Path(__file__).parents[1]

#: What tables call a data set, where it is not its name.
DATASETS = {"the 14": "Set14-denoise", "the 14 denoising images": "Set14-denoise"}
#: How levels of a task begin in tables.
TASKS = {"x": "sr", "sigma": "denoise", "quality": "jpeg"}

Cells = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A Markdown table, some of whose columns are scores.

    Attributes:
        file: that holds it, from the root.
        header: titles of all its columns.
        filled: title of a column -> what a cell of it says, from the row's cells by title.
    """

    file: str
    header: tuple[str, ...]
    filled: Mapping[str, Callable[[Cells], str]]


@dataclass(frozen=True)
class Place:
    """What a row is about: a data set and levels of a task."""

    dataset: str
    task: str
    levels: tuple[int, ...]


def place(images: str, levels: str) -> Place:
    """Return what "the 14" and "sigma 30/50/70" mean.

    Raises:
        ValueError: for levels of no task.
    """
    kind = re.match(r"[a-z]+", levels)
    if kind is None or kind[0] not in TASKS:
        raise ValueError(f"'{levels}' are levels of no task")
    numbers = tuple(int(number) for number in re.findall(r"\d+", levels))
    return Place(DATASETS.get(images, images), TASKS[kind[0]], numbers)


def _two_cells(row: Cells) -> Place:
    return place(row["images"], row["level"])


def _one_cell(row: Cells) -> Place:
    images, _, levels = row["images, levels"].rpartition(", ")
    return place(images, levels)


def _psnr(entry: WeightsEntry, where: Place, level: int) -> float:
    return entry.scores[where.dataset][str(level)]["psnr"]


def _default(model: str, where: Place, level: int) -> float:
    return _psnr(default_weights(model, where.task, level), where, level)


def _joined(values: list[float]) -> str:
    return "/".join(f"{value:.2f}" for value in values)


def _defaults(model: str) -> Callable[[Cells], str]:
    """Return what fills a column with the PSNR of a network's default weights."""

    def cell(row: Cells) -> str:
        where = _two_cells(row)
        return _joined([_default(model, where, level) for level in where.levels])

    return cell


def _default_pair(row: Cells) -> str:
    where = _two_cells(row)
    (level,) = where.levels
    scores = default_weights("memnet", where.task, level).scores[where.dataset][str(level)]
    return f"{scores['psnr']:.2f} / {scores['ssim']:.4f}"


def _published(where: Place, level: int) -> PublishedRow:
    row = memnet_row(where.dataset, where.task, level)
    if row is None:
        raise ValueError(f"the papers have no MemNet for {where} at {level}")
    return row


def _paper_pair(row: Cells) -> str:
    where = _two_cells(row)
    (level,) = where.levels
    paper = _published(where, level)
    return f"{paper.psnr:.2f} / {paper.ssim:.4f}"


def _paper(row: Cells) -> str:
    where = _two_cells(row)
    return _joined([_published(where, level).psnr for level in where.levels])


def _named(row: Cells) -> str:
    where = _one_cell(row)
    entry = get_weights(row["weights"])
    return _joined([_psnr(entry, where, level) for level in where.levels])


def _below(row: Cells) -> str:
    where = _one_cell(row)
    entry = get_weights(row["weights"])
    distances = [
        _default("memnet", where, level) - _psnr(entry, where, level) for level in where.levels
    ]
    return _joined(distances)


TABLES = (
    Table(
        "README.md",
        ("images", "level", "damaged", "bundled MemNet", "paper's MemNet"),
        {"bundled MemNet": _default_pair, "paper's MemNet": _paper_pair},
    ),
    Table(
        "README.md",
        (
            *("weights", "network", "images, levels", "PSNR, dB", "its paper"),
            *("below the default, dB", "time, default = 1"),
        ),
        {"PSNR, dB": _named, "below the default, dB": _below},
    ),
    Table(
        "docs/training-ledger.md",
        ("images", "level", "first", "now", "VDSR", "DnCNN-3", "BM3D", "paper's MemNet"),
        {"now": _defaults("memnet"), "paper's MemNet": _paper},
    ),
    Table(
        "docs/nlrn.md",
        ("images", "level", "NLRN", "default", "the paper's NLRN (one for all scale factors)"),
        {"NLRN": _defaults("nlrn"), "default": _defaults("memnet")},
    ),
)


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def fill(text: str, table: Table) -> str:
    """Return ``text`` with the scores of ``table`` as the weights and the papers have them.

    Raises:
        ValueError: if there is no such table, or a row is of nothing that has scores.
    """
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if _cells(line) == table.header]
    if len(starts) != 1:
        raise ValueError(f"{table.file} has {len(starts)} tables of {table.header}, not one")
    number = starts[0] + 2  # behind the header and its rule
    while number < len(lines) and lines[number].startswith("|"):
        row = dict(zip(table.header, _cells(lines[number]), strict=True))
        row.update({title: cell(row) for title, cell in table.filled.items()})
        lines[number] = f"| {' | '.join(row.values())} |"
        number += 1
    return "\n".join(lines)


def main() -> int:
    """Write the tables, or say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    options = parser.parse_args()
    stale = False
    for table in TABLES:
        path = ROOT / table.file
        before = path.read_text("utf-8")
        after = fill(before, table)
        for old, new in zip(before.split("\n"), after.split("\n"), strict=True):
            if old != new:
                print(f"{table.file}:\n- {old}\n+ {new}")
        if after != before:
            stale = True
            if not options.check:
                path.write_text(after, "utf-8")
    return int(stale and options.check)


if __name__ == "__main__":
    sys.exit(main())

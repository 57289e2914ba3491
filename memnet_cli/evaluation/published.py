"""The numbers that the three papers print, with the table each comes from.

``published.json`` holds 538 rows as printed in MemNet (Tai et al., ICCV 2017), RED-Net (Mao et
al., NIPS 2016) and NLRN (Liu et al., NeurIPS 2018). They are quoted, never measured here, and
every row says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

PAPERS = {
    "memnet": "MemNet, ICCV 2017",
    "rednet": "RED-Net, NIPS 2016",
    "nlrn": "NLRN, NeurIPS 2018",
}
#: Papers agree in most cells; where they do not, the one that measured comes first.
_ORDER = ("memnet", "rednet", "nlrn")
#: Tables of variants and summaries, which repeat cells of the papers' result tables.
_SECONDARY = {
    *(("memnet", table) for table in "126"),
    ("rednet", "6"),
    *(("nlrn", table) for table in "123"),
}


@dataclass(frozen=True)
class PublishedRow:
    """One cell of a paper's table.

    Attributes:
        paper: "memnet", "rednet" or "nlrn": where it is printed, not necessarily measured first.
        table: number of the table there.
        task, dataset, level: what was restored.
        method: as the paper calls it.
        psnr: dB.
        ssim: 0 to 1, or None where the table prints none.
    """

    paper: str
    table: str
    task: str
    dataset: str
    level: int
    method: str
    psnr: float
    ssim: float | None

    @property
    def source(self) -> str:
        """Return "MemNet, ICCV 2017, table 4"."""
        return f"{PAPERS[self.paper]}, table {self.table}"

    @property
    def short_source(self) -> str:
        """Return "MemNet, Tab. 4"."""
        return f"{PAPERS[self.paper].split(',')[0]}, Tab. {self.table}"


@lru_cache(maxsize=1)
def published_rows() -> tuple[PublishedRow, ...]:
    """Return all rows, result tables before tables of variants, in the order of the papers."""
    text = files("memnet_cli.evaluation").joinpath("published.json").read_text("utf-8")
    rows = [PublishedRow(**row) for row in json.loads(text)["rows"]]
    return tuple(
        sorted(rows, key=lambda r: (_ORDER.index(r.paper), (r.paper, r.table) in _SECONDARY))
    )


def lookup(dataset: str, task: str, level: int) -> tuple[PublishedRow, ...]:
    """Return what the papers print for one dataset and level, one row per method.

    Where several tables print a method, the row with an SSIM and of the earlier paper is taken;
    a method with different values in two papers is kept twice.
    """
    cells = [
        row
        for row in published_rows()
        if (row.dataset, row.task, row.level) == (dataset, task, level)
    ]
    kept: dict[tuple[str, float], PublishedRow] = {}
    for row in cells:
        key = row.method, row.psnr
        if key not in kept or (kept[key].ssim is None and row.ssim is not None):
            kept[key] = row
    return tuple(kept.values())


def find_published(dataset: str, task: str, level: int, method: str) -> PublishedRow | None:
    """Return the row of ``method``, as the papers spell it, or None."""
    return next((row for row in lookup(dataset, task, level) if row.method == method), None)


def memnet_row(dataset: str, task: str, level: int) -> PublishedRow | None:
    """Return the published MemNet row, from its own paper or quoted by another's."""
    return find_published(dataset, task, level, "MemNet")


def best_row(dataset: str, task: str, level: int) -> PublishedRow | None:
    """Return the row with the highest PSNR of all methods in the three papers, or None."""
    return max(lookup(dataset, task, level), key=lambda row: row.psnr, default=None)

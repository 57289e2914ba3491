from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from memnet_cli.evaluation.published import (
    best_row,
    find_published,
    lookup,
    memnet_row,
    published_rows,
)


def test_package_data_is_the_shared_transcription(shared: Path) -> None:
    packed = files("memnet_cli.evaluation").joinpath("published.json").read_text("utf-8")
    assert json.loads(packed) == json.loads((shared / "published.json").read_text())
    assert len(published_rows()) == 538


def test_known_cells() -> None:
    # MemNet, table 4 and table 3, read from the paper
    row = memnet_row("Set5", "sr", 3)
    assert row is not None
    assert (row.psnr, row.ssim, row.source) == (34.09, 0.9248, "MemNet, ICCV 2017, table 4")
    noise = memnet_row("Set14-denoise", "denoise", 70)
    assert noise is not None
    assert noise.psnr == 25.43
    # NLRN, table 6, is better on Set5 than anything that MemNet's paper compares with
    best = best_row("Set5", "sr", 2)
    assert best is not None
    assert (best.method, best.psnr, best.paper) == ("NLRN", 38.00, "nlrn")


def test_a_result_table_is_quoted_before_a_table_of_variants() -> None:
    row = find_published("Set5", "sr", 3, "VDSR")
    assert row is not None
    assert (row.table, row.ssim) == ("4", 0.9213)


def test_methods_are_listed_once_unless_papers_disagree() -> None:
    rows = lookup("BSD200", "denoise", 30)
    assert len({(row.method, row.psnr) for row in rows}) == len(rows)
    assert {row.method for row in rows} >= {"MemNet", "BM3D", "RED30", "NLRN"}


def test_unpublished_cells_are_none() -> None:
    assert lookup("Set5", "sr", 8) == ()
    assert memnet_row("my folder", "sr", 2) is None
    assert best_row("Set5", "jpeg", 10) is None

"""The scores in README and docs are those that the bundled weights carry."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "standings.py"


@pytest.fixture(scope="module")
def standings() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_no_table_is_stale() -> None:
    command = [sys.executable, str(SCRIPT), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("number", range(4))
def test_every_score_of_a_table_is_filled(standings: dict[str, Any], number: int) -> None:
    table = standings["TABLES"][number]
    text = (ROOT / table.file).read_text("utf-8")
    start = text.index(f"| {' | '.join(table.header)} |")
    end = text.index("\n\n", start)
    rows = text[start:end].split("\n")[2:]
    columns = [table.header.index(title) for title in table.filled]
    for index, row in enumerate(rows):
        cells = row.split(" | ")
        for column in columns:
            cells[column] = re.sub(r"\d\.\d+", "9.99", cells[column])
        rows[index] = " | ".join(cells)
    spoilt = text[:start] + "\n".join([*text[start:end].split("\n")[:2], *rows]) + text[end:]
    changed = sum(a != b for a, b in zip(spoilt.split("\n"), text.split("\n"), strict=True))
    assert changed == len(rows) >= 4
    assert standings["fill"](spoilt, table) == text


def test_a_table_that_is_not_there_is_told(standings: dict[str, Any]) -> None:
    table = standings["TABLES"][0]
    with pytest.raises(ValueError, match=r"README\.md has 0 tables"):
        standings["fill"]("# Nothing\n", table)


def test_levels_of_no_task_are_told(standings: dict[str, Any]) -> None:
    assert standings["place"]("the 14", "sigma 30/50").dataset == "Set14-denoise"
    with pytest.raises(ValueError, match="'rain 3' are levels of no task"):
        standings["place"]("Set5", "rain 3")

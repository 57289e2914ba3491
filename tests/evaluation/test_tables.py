from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from memnet_cli.evaluation.formats import best_measured, cost_table, to_csv, to_latex, to_markdown
from memnet_cli.evaluation.tables import difference_text, psnr_text, sections

from .conftest import MakeRow, make_results


def test_measured_and_quoted_rows_stand_together(make_row: MakeRow) -> None:
    results = make_results(make_row(psnr=(37.0, 38.0)), make_row("bicubic", psnr=(33.66,)))
    (section,) = sections(results)
    lines = [(row.method, row.measured, psnr_text(row.psnr)) for row in section.rows]
    assert lines == [
        ("bicubic", True, "33.66"),
        ("memnet", True, "37.50"),
        ("MemNet", False, "37.78"),  # MemNet, table 4
        ("NLRN", False, "38.00"),  # NLRN, table 6: the best that is published
    ]
    assert section.rows[1].difference == pytest.approx(37.5 - 37.78)
    assert section.reference == "MemNet as published"
    assert "shaved" in section.protocol


def test_all_and_none_of_the_published_rows(make_row: MakeRow) -> None:
    results = make_results(make_row())
    (everything,) = sections(results, "all")
    quoted = {row.method for row in everything.rows if not row.measured}
    assert quoted >= {"Bicubic", "SRCNN", "VDSR", "DRCN", "DnCNN", "LapSRN", "DRRN", "RED30"}
    (nothing,) = sections(results, "none")
    assert [row.measured for row in nothing.rows] == [True]
    assert nothing.rows[0].difference is None


def test_a_part_of_a_set_is_not_set_against_the_whole(make_row: MakeRow) -> None:
    (section,) = sections(make_results(make_row(), limit=2), "all")
    assert all(row.measured and row.difference is None for row in section.rows)
    assert any("not comparable" in note for note in section.notes)


def test_differences_fall_back_to_the_best_where_memnet_is_not_published(
    make_row: MakeRow,
) -> None:
    (section,) = sections(make_results(make_row(dataset="BSD68", task="denoise", level=25)))
    assert section.reference == "NLRN as published"
    (own,) = sections(make_results(make_row(dataset="my/folder")))
    assert own.reference == ""


def test_seen_images_are_marked(make_row: MakeRow) -> None:
    results = make_results(make_row(seen=("image0",)))
    (section,) = sections(results)
    assert any("trained on 1 of these 2 images" in note for note in section.notes)
    assert "memnet†" in to_markdown(results, (section,))
    assert "dagger" in to_latex(results, (section,))


def test_means_without_what_the_papers_sets_show_are_told(make_row: MakeRow) -> None:
    row = make_row()
    images = tuple(
        replace(image, name=name, psnr=psnr)
        for image, name, psnr in zip(
            row.scores.images, ("woman_GT.bmp", "bird_GT.bmp"), (30.0, 40.0), strict=True
        )
    )
    row = replace(row, scores=replace(row.scores, dataset="Set5", images=images))
    results = make_results(row)
    card = replace(results.methods[0], training_sets=("T91", "BSD-train"))
    told = sections(replace(results, methods=(card,)))[0].notes
    (note,) = (note for note in told if "woman_GT.bmp in another size" in note)
    assert "without: memnet" in note
    assert "40.00 / " in note
    clear = replace(results, methods=(replace(card, training_sets=("T91",)),))
    assert not any("woman_GT" in note for note in sections(clear)[0].notes)


def test_csv_is_complete(make_row: MakeRow) -> None:
    results = make_results(make_row(), make_row("bicubic"))
    rows = list(csv.DictReader(io.StringIO(to_csv(results, sections(results)))))
    measured = next(row for row in rows if row["method"] == "memnet")
    assert (measured["measured"], measured["images"]) == ("yes", "2")
    assert float(measured["psnr_db"]) == 37.5
    assert float(measured["megapixels_per_second"]) == 0.5
    assert int(measured["parameters"]) == 695_000
    quoted = next(row for row in rows if row["method"] == "NLRN")
    assert (quoted["measured"], quoted["source"]) == ("no", "NLRN, Tab. 6")


def test_markdown_has_tables_of_equal_width(make_row: MakeRow) -> None:
    results = make_results(make_row(dataset="a|b_c"), make_row("bicubic", dataset="a|b_c"))
    text = to_markdown(results, sections(results))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1
    assert r"a\|b\_c" in text
    assert "Protocol: luma" in text


def test_latex_escapes_what_tex_would_read(make_row: MakeRow) -> None:
    results = make_results(make_row("my_net & 100%"), make_row("bicubic"))
    text = to_latex(results, sections(results))
    assert r"my\_net \& 100\%" in text
    assert text.isascii()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(make_row: MakeRow, tmp_path: Path) -> None:
    rows = (make_row("a_b", task=task, seen=("image0",)) for task in ("sr", "denoise", "jpeg"))
    results = make_results(*rows)
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    page = f"{head}{to_latex(results, sections(results))}\\end{{document}}"
    (tmp_path / "t.tex").write_text(page, "utf-8")
    command = ["pdflatex", "-halt-on-error", "t.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


def test_best_of_each_level_and_cost(make_row: MakeRow) -> None:
    results = make_results(
        make_row(psnr=(30.0,)), make_row("bicubic", psnr=(31.0,)), make_row(level=3)
    )
    (section,) = sections(results)
    assert [row.method for row in best_measured(section)] == ["bicubic", "memnet"]
    head, rows = cost_table(results)
    memnet = dict(zip(head, rows[0], strict=True))
    assert memnet["Parameters"] == "695 k"
    assert memnet["MAC/pixel"] == "2.89 M"
    assert memnet["MP/s"] == "0.5"
    assert dict(zip(head, rows[1], strict=True))["MP/s"] == "–"  # bicubic does nothing


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "+0.12"), (-1.0, "−1.00"), (0.001, "0.00"), (None, "")]
)
def test_differences_have_a_sign(value: float | None, text: str) -> None:
    assert difference_text(value) == text

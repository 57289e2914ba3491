"""What an ablation says, from made-up scores whose meaning is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from memnet_cli.training.ablating import RunScore
from memnet_cli.training.ablation import Ablation, load_ablation
from memnet_cli.training.ablation_plan import AblationRequest
from memnet_cli.training.ablation_report import (
    COLUMNS,
    conclusions,
    document,
    heading,
    markdown,
    table_rows,
)
from memnet_cli.training.ablation_summary import AblationResult, summarise
from memnet_cli.training.config import Budget
from memnet_cli.training.statistics import paired_difference

#: In the order of the paper's Table 1, and every seed shifts all variants alike.
_LIKE_PAPER = {
    "MemNet_NL": (30.00, 30.51, 31.02),
    "MemNet_NS": (30.20, 30.70, 31.21),
    "MemNet": (30.40, 30.91, 31.40),
}


def _result(
    psnr: Mapping[str, Sequence[float]], ablation: Ablation | None = None, **asked: object
) -> AblationResult:
    seeds = tuple(range(max(map(len, psnr.values()))))
    request = AblationRequest(Path("out"), Budget(steps=100), seeds)
    scores = [
        RunScore(name, seed, value, 0.9, {"a": value}, "Set5", 100, 12_000_000, 5.0)
        for name, values in psnr.items()
        for seed, value in enumerate(values)
    ]
    request = replace(request, **asked)  # type: ignore[arg-type]
    return summarise(ablation or load_ablation("memnet-table1"), request, scores)


def _said(result: AblationResult) -> str:
    return "\n".join(conclusions(result))


def test_the_table_has_the_best_first_with_intervals_and_the_papers_numbers() -> None:
    result = _result(_LIKE_PAPER)
    rows = table_rows(result)
    assert [row[0] for row in rows] == ["MemNet", "MemNet_NS", "MemNet_NL"]
    assert all(len(row) == len(COLUMNS) for row in rows)
    expected = paired_difference(
        dict(enumerate(_LIKE_PAPER["MemNet_NL"])), dict(enumerate(_LIKE_PAPER["MemNet"]))
    )
    assert expected is not None
    difference = f"{expected.mean:+.3f} ± {expected.half_width:.3f}"
    assert rows[2] == ("MemNet_NL", "3", "30.510 ± 1.267", difference, "12", "33.96", "-0.13")
    assert (rows[0][3], rows[0][5], rows[0][6]) == ("reference", "34.09", "–")
    assert "sr 3 on Set5 (1 picture), 100 steps a run" in heading(result)
    assert "Tai et al., ICCV 2017, Table 1" in heading(result)


def test_an_order_like_the_papers_agrees_and_its_opposite_disagrees() -> None:
    like = _said(_result(_LIKE_PAPER))
    assert "Order here: MemNet > MemNet_NS > MemNet_NL." in like
    assert "Clearly worse than MemNet at this budget" in like
    assert "Table 1: agrees. Of 3 pairs of variants 3 agree, 0 disagree, 0 cannot" in like
    turned = _said(
        _result({**_LIKE_PAPER, "MemNet_NL": _LIKE_PAPER["MemNet"], "MemNet": (30.0, 30.5, 31.02)})
    )
    assert "Clearly better than MemNet" in turned
    assert "Table 1: disagrees. Of 3 pairs of variants 0 agree, 3 disagree" in turned
    assert "MemNet_NL above MemNet" in turned


def test_intervals_that_contain_0_leave_it_open() -> None:
    # means in the paper's order, but the seeds contradict each other
    open_ = _said(
        _result(
            {
                "MemNet_NL": (30.0, 31.0, 30.0),
                "MemNet_NS": (31.0, 30.1, 30.0),
                "MemNet": (30.0, 30.9, 31.0),
            }
        )
    )
    assert "Cannot be told apart from MemNet at this budget" in open_
    assert "Clearly" not in open_
    assert "Table 1: open. Of 3 pairs of variants 0 agree, 0 disagree, 3 cannot" in open_


@pytest.mark.parametrize(
    ("memnet", "verdict"),
    [
        ((30.0, 31.5, 30.6), "agrees as far as it can be told. Of 3 pairs of variants 1 agree"),
        ((29.8, 30.31, 30.8), "agrees in part. Of 3 pairs of variants 1 agree, 2 disagree"),
    ],
)
def test_an_order_that_is_clear_in_part(memnet: tuple[float, ...], verdict: str) -> None:
    assert f"Table 1: {verdict}" in _said(_result({**_LIKE_PAPER, "MemNet": memnet}))


def test_one_seed_is_no_evidence() -> None:
    said = _said(_result({name: values[:1] for name, values in _LIKE_PAPER.items()}))
    assert "With 1 seed there is no interval: this order is no evidence." in said
    assert "3 of 3 pairs lie in the order" in said
    assert "neither confirms nor contradicts" in said
    assert "Clearly" not in said and "agrees" not in said


def test_absolute_numbers_are_said_not_to_be_comparable() -> None:
    said = _said(_result(_LIKE_PAPER))
    assert "A run saw 1.2e+07 pixels in 5 s;" in said
    assert "not comparable with the paper's, which trained for about 5e10 pixels." in said
    assert "measured alike" not in said and "recipe differ" not in said
    other = _said(_result(_LIKE_PAPER, validation="Set14", settings=("model.width=8",)))
    assert "Nor was it measured alike: the paper measured sr 3 on Set5." in other
    assert "Networks and recipe differ too: model.width=8." in other


def test_without_published_numbers_nothing_is_compared() -> None:
    ablation = load_ablation("memnet-table1")
    unnumbered = tuple(replace(variant, published=None) for variant in ablation.variants)
    bare = replace(ablation, variants=unnumbered, paper="", table="")
    result = _result(_LIKE_PAPER, bare)
    assert "No two PSNR are printed in the file" in _said(result)
    assert "Absolute" not in _said(result)
    assert all(row[5:] == ("–", "–") for row in table_rows(result))
    assert result.pairs == ()


def test_an_unfinished_ablation_says_so_and_has_no_more_than_it_has() -> None:
    part = _result({"MemNet_NL": (30.0, 30.5), "MemNet": (30.3,)})
    assert part.missing == 3
    assert "3 runs are not finished" in _said(part)
    assert table_rows(part)[-1][:5] == ("MemNet_NS", "0", "–", "–", "–")
    difference = next(row.difference for row in part.rows if row.name == "MemNet_NL")
    assert difference is not None
    assert difference.mean == pytest.approx(-0.3)
    assert difference.half_width is None
    nothing = summarise(part.ablation, part.request, ())
    assert conclusions(nothing) == ["6 runs are not finished: this is a table of what there is."]


def test_documents() -> None:
    result = _result(_LIKE_PAPER)
    lines = markdown(result).splitlines()
    assert lines[2].count("|") == lines[3].count("|") == lines[4].count("|") == len(COLUMNS) + 1
    assert lines[4].startswith("| MemNet | 3 | 30.903 ±")
    read = json.loads(json.dumps(document(result)))
    assert read["complete"] is True and len(read["runs"]) == 9
    assert [variant["published"] for variant in read["variants"]] == [33.96, 34.0, 34.09]
    assert read["conclusions"] == conclusions(result)

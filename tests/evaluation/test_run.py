from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from memnet_cli.config import RuntimeOptions
from memnet_cli.errors import DeviceError, UsageError
from memnet_cli.evaluation.formats import cost_table
from memnet_cli.evaluation.plan import BenchmarkConfig, make_plan
from memnet_cli.evaluation.results import (
    Results,
    from_document,
    read_results,
    to_document,
    to_text,
)
from memnet_cli.evaluation.run import PeakMemory, Picture, run

from .conftest import MakeRow, MakeWeights, make_results

FLOAT32 = RuntimeOptions(device="cpu", precision="fp32")


def numbers(results: Results) -> list[tuple[object, ...]]:
    return [
        (row.method, row.scores.level, image.name, image.psnr, image.ssim)
        for row in results.rows
        for image in row.scores.images
    ]


def test_two_runs_give_the_same_numbers(picture_folder: Path, make_weights: MakeWeights) -> None:
    config = BenchmarkConfig(
        (str(picture_folder),),
        tasks=("denoise",),
        levels=(30,),
        models=("degraded", str(make_weights("denoise")), "tv"),
        runtime=FLOAT32,
    )
    first, second = (run(make_plan(config)) for _ in range(2))
    assert numbers(first) == numbers(second)
    assert len(first.rows) == 3
    other = run(make_plan(dataclasses.replace(config, seed=1)))
    assert numbers(first) != numbers(other)
    assert first.environment["numpy"] == np.__version__
    assert first.complete


def test_weights_by_level_are_measured_as_one_method(
    picture_folder: Path, by_level: Path, one_thread: None
) -> None:
    folder = (str(picture_folder),)
    config = BenchmarkConfig(folder, tasks=("sr",), models=("memnet",), runtime=FLOAT32)
    results = run(make_plan(config))
    assert [(row.method, row.scores.level) for row in results.rows] == [
        *(("memnet", 2), ("memnet", 3), ("memnet", 4))
    ]
    cards = {row.scores.level: results.card(row) for row in results.rows}
    assert [cards[level].weights for level in (2, 3, 4)] == [
        *("every-sr.safetensors", "every-sr.safetensors", "x4-sr.safetensors")
    ]
    for level, card in cards.items():
        named = dataclasses.replace(config, models=(f"{by_level}/{card.weights}",), levels=(level,))
        (alone,) = run(make_plan(named)).rows
        (row,) = (row for row in results.rows if row.scores.level == level)
        assert [image.psnr for image in alone.scores.images] == [
            image.psnr for image in row.scores.images
        ]
    again = from_document(json.loads(to_text(results)))
    assert [again.card(row).weights for row in again.rows] == [
        card.weights for card in cards.values()
    ]
    assert [row[0] for row in cost_table(results)[1]] == ["memnet ×2 ×3", "memnet ×4"]


def test_every_picture_is_told_with_its_planes(picture_folder: Path) -> None:
    told: list[Picture] = []
    config = BenchmarkConfig(
        (str(picture_folder),), tasks=("sr",), levels=(3,), models=("bicubic",)
    )
    results = run(make_plan(config), told.append)
    assert [picture.score for picture in told] == list(results.rows[0].scores.images)
    assert told[0].pair.clean.shape == told[0].restored.shape == (72, 90)


def test_stopping_keeps_the_rows_that_are_finished(picture_folder: Path) -> None:
    config = BenchmarkConfig((str(picture_folder),), tasks=("sr",), models=("bicubic",))

    def stop_at_scale_4(picture: Picture) -> None:
        if picture.level == 4:
            raise KeyboardInterrupt

    results = run(make_plan(config), stop_at_scale_4)
    assert not results.complete
    assert [row.scores.level for row in results.rows] == [2, 3]


def test_a_failure_keeps_the_rows_that_are_finished(picture_folder: Path) -> None:
    config = BenchmarkConfig((str(picture_folder),), tasks=("sr",), models=("bicubic",))
    plan = make_plan(config)
    damage = DeviceError("out of memory")

    def fail_at_scale_4(picture: Picture) -> None:
        if picture.level == 4:
            raise damage

    reasons: list[BaseException] = []
    results = run(plan, fail_at_scale_4, ended=reasons.append)
    assert (results.complete, reasons) == (False, [damage])
    assert [row.scores.level for row in results.rows] == [2, 3]
    with pytest.raises(DeviceError, match="out of memory"):
        run(plan, fail_at_scale_4)


def test_peak_memory_sees_an_allocation() -> None:
    with PeakMemory("cpu") as small:
        pass
    with PeakMemory("cpu") as large:
        block = np.ones(1 << 27, np.uint8)
        for _ in range(20):
            block += 1
    assert large.bytes - small.bytes > 100 << 20


def test_results_survive_json(make_row: MakeRow, tmp_path: Path) -> None:
    results = make_results(
        make_row(psnr=(30.0, np.inf)), make_row("bicubic", level=3, seen=("image0",))
    )
    path = tmp_path / "r.json"
    path.write_text(to_text(results), "utf-8")
    assert "Infinity" not in path.read_text()
    assert read_results(path) == results


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', "[" * 100_000, '{"format": 1, "rows": [1]}']
)
def test_other_files_are_no_results(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is no benchmark result"):
        read_results(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("psnr", math.nan), ("ssim", math.nan), ("ssim", math.inf), ("seconds", -1.0), ("pixels", 0)],
)
def test_scores_that_no_benchmark_gives_are_refused(
    make_row: MakeRow, field: str, value: float
) -> None:
    document = to_document(make_results(make_row()))
    document["rows"][0]["images"][0][field] = value
    with pytest.raises(ValueError, match="no score"):
        from_document(document)


def test_rows_and_images_are_there_once(make_row: MakeRow) -> None:
    document = to_document(make_results(make_row()))
    (row,) = document["rows"]
    with pytest.raises(ValueError, match="a row twice"):
        from_document({**document, "rows": [row, row]})
    twice = {**row, "images": [row["images"][0]] * 2}
    with pytest.raises(ValueError, match="one twice"):
        from_document({**document, "rows": [twice]})


def test_missing_results_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot read .*r\.json: No such file"):
        read_results(tmp_path / "r.json")


def test_row_without_a_card_is_refused(make_row: MakeRow) -> None:
    document = to_document(make_results(make_row()))
    document["methods"] = []
    with pytest.raises(ValueError, match="no method memnet for sr at 2"):
        from_document(document)

"""Weights carry what the benchmark measured of them, and nothing else."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from memnet_cli.checkpoints import load_weights, read_info
from memnet_cli.config import RuntimeOptions
from memnet_cli.errors import UsageError
from memnet_cli.evaluation.plan import BenchmarkConfig, make_plan
from memnet_cli.evaluation.recording import record_scores, scores_of
from memnet_cli.evaluation.results import Results, to_text
from memnet_cli.evaluation.run import run
from memnet_cli.stores.downloads import file_sha256

from .conftest import MakeRow, MakeWeights, make_results

HASH = "0123456789ab"


def measured(folder: Path, weights: Path) -> Results:
    runtime = RuntimeOptions(device="cpu", precision="fp32")
    models = (str(weights), "bicubic", f"{weights}+")
    return run(make_plan(BenchmarkConfig((str(folder),), ("sr",), (2, 3), models, runtime=runtime)))


def of_weights(results: Results, **changes: object) -> Results:
    """The same results, of weights with the hash above."""
    cards = tuple(
        dataclasses.replace(card, weights_hash=HASH, **changes)  # type: ignore[arg-type]
        for card in results.methods
    )
    return dataclasses.replace(results, methods=cards)


def test_recorded_scores_are_the_measured_ones(
    tmp_path: Path, picture_folder: Path, make_weights: MakeWeights
) -> None:
    weights = make_weights(scores={"Set5": {"2": {"psnr": 1.0, "ssim": 0.5}}})
    results = measured(picture_folder, weights)
    file, target = tmp_path / "results.json", tmp_path / "recorded.safetensors"
    file.write_text(to_text(results), "utf-8")
    scores = record_scores(file, weights, target)
    own = [row for row in results.rows if row.method == weights.stem]
    assert [row.scores.level for row in own] == [2, 3]
    assert scores == {
        own[0].scores.dataset: {
            str(row.scores.level): {
                "psnr": pytest.approx(row.scores.psnr, rel=1e-5),
                "ssim": pytest.approx(row.scores.ssim, rel=1e-5),
            }
            for row in own
        }
    }
    assert read_info(target).scores == scores  # the old ones, of the weights before, are gone
    assert dataclasses.replace(read_info(target), scores=read_info(weights).scores) == read_info(
        weights
    )
    before, after = (load_weights(path)[0].state_dict() for path in (weights, target))
    assert all(torch.equal(before[name], after[name]) for name in before)
    again = measured(picture_folder, target)  # a benchmark of the new file tells what it carries
    assert next(c for c in again.methods if c.name == target.stem).recorded == scores


def test_of_other_weights_nothing_is_recorded(make_row: MakeRow) -> None:
    results = of_weights(make_results(make_row()))
    assert scores_of(results, HASH) == {"Set5": {"2": {"psnr": 37.5, "ssim": 0.95}}}
    with pytest.raises(UsageError, match=r"no score of the weights with sha256 ba9876543210\.\.\."):
        scores_of(results, "ba9876543210")


@pytest.mark.parametrize("change", [{"tta": True}, {"exit_block": 3}, {"nlrn_stride": 7}])
def test_other_than_the_whole_network_alone_is_not_recorded(
    make_row: MakeRow, change: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match="no score"):
        scores_of(of_weights(make_results(make_row()), **change), HASH)


def test_pictures_that_were_trained_on_are_not_recorded(make_row: MakeRow) -> None:
    rows = make_row(), make_row(dataset="BSD100", seen=("image0",))
    assert list(scores_of(of_weights(make_results(*rows)), HASH)) == ["Set5"]


def test_a_perfect_picture_is_not_recorded(make_row: MakeRow) -> None:
    with pytest.raises(UsageError, match="no score"):
        scores_of(of_weights(make_results(make_row(psnr=(float("inf"),)))), HASH)


def test_a_part_of_the_pictures_is_refused(make_row: MakeRow) -> None:
    limited = of_weights(make_results(make_row(), limit=3))
    stopped = dataclasses.replace(of_weights(make_results(make_row())), complete=False)
    for results in (limited, stopped):
        with pytest.raises(UsageError, match="of a part of the pictures"):
            scores_of(results, HASH)


def test_recording_from_the_command_line(tmp_path: Path, make_weights: MakeWeights) -> None:
    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "memnet_cli.evaluation.recording", *map(str, arguments)]
        return subprocess.run(call, capture_output=True, text=True, check=False)

    weights, file = make_weights(), tmp_path / "results.json"
    digest = file_sha256(weights)
    done = command(file, weights, weights)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Cannot read {file}: No such file or directory.\n"
    assert file_sha256(weights) == digest
    assert command(file).stderr.startswith("Give what memnet benchmark --json wrote")

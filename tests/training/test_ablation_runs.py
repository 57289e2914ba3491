"""Real, tiny ablations: done, interrupted, gone on with, and refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memnet_cli.checkpoints import read_info
from memnet_cli.errors import UsageError
from memnet_cli.training import keeping, loop
from memnet_cli.training.ablating import RunScore, do_runs
from memnet_cli.training.ablation import Ablation, Variant
from memnet_cli.training.ablation_plan import AblationRequest, PlannedRun, plan_runs
from memnet_cli.training.ablation_report import keep_result
from memnet_cli.training.ablation_summary import summarise
from memnet_cli.training.config import Budget, Machine
from memnet_cli.training.events import Event, Progress
from memnet_cli.training.records import RunFolder

_ABLATION = Ablation(
    name="mine",
    title="Skips",
    task="sr",
    level=2,
    dataset="Set5",
    model="plain",
    settings={"batch": 2, "patch": 16, "model": {"depth": 2}},
    variants=(Variant("narrow", {"width": 2}), Variant("wide", {"width": 4})),
)
Scores = tuple[RunScore, ...]


@pytest.fixture
def request_(pictures: Path, tmp_path: Path) -> AblationRequest:
    """Return an ablation of two seeds and three steps, measured on two other pictures."""
    for part, numbers in (("train", (0, 1, 2)), ("measured", (3, 4))):
        (tmp_path / part).mkdir()
        for number in numbers:
            shutil.copy(pictures / f"{number}.png", tmp_path / part)
    return AblationRequest(
        out=tmp_path / "out",
        budget=Budget(steps=3),
        seeds=(0, 1),
        data=(str(tmp_path / "train"),),
        validation=str(tmp_path / "measured"),
        machine=Machine(device="cpu", precision="fp32"),
    )


def _do(request: AblationRequest, *, stop_at: int = 0) -> tuple[bool, list[str], Scores]:
    """Do an ablation; the place of the run at which SIGTERM comes, or 0."""
    told: list[str] = []
    kept: list[Scores] = []

    def announce(place: int, run: PlannedRun, score: RunScore | None) -> None:
        told.append(f"{place} {run.variant} {run.seed}{'' if score is None else ' done'}")

    def say(event: Event) -> None:
        if isinstance(event, Progress) and len(told) == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    finished = do_runs(plan_runs(_ABLATION, request), 2, announce, say, kept.append)
    return finished, told, kept[-1]


def test_every_variant_is_trained_with_every_seed_and_scored_alike(
    request_: AblationRequest,
) -> None:
    finished, told, scores = _do(request_)
    assert finished
    assert told == ["1 narrow 0", "2 wide 0", "3 narrow 1", "4 wide 1"]
    for score in scores:
        assert (score.steps, score.pixels) == (3, 3 * 2 * 16**2)
        assert set(score.images) == {"3.png", "4.png"}
        assert score.psnr == pytest.approx(np.mean(list(score.images.values())))
        folder = request_.out / score.variant / f"seed-{score.seed}"
        info = read_info(folder / "last.safetensors")
        assert info.config["width"] == {"narrow": 2, "wide": 4}[score.variant]
        assert (info.levels, info.steps) == ((2,), 3)
        assert next(iter(info.scores.values()))["2"]["psnr"] == round(score.psnr, 4)
    assert len({score.psnr for score in scores}) == 4, "seeds and variants matter"


def test_finished_runs_are_read_back_and_new_seeds_are_added(
    request_: AblationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, first = _do(replace(request_, seeds=(0,)))
    trained: list[Path] = []
    train = loop.train

    def counted(config, *rest):  # type: ignore[no-untyped-def]
        trained.append(config.out)
        return train(config, *rest)

    monkeypatch.setattr(loop, "train", counted)
    finished, told, scores = _do(request_)
    assert finished
    assert told[:3] == ["1 narrow 0 done", "2 wide 0 done", "3 narrow 1"]
    assert [path.name for path in trained] == ["seed-1", "seed-1"]
    assert scores[:2] == first


def test_an_interrupted_ablation_goes_on_in_the_middle_of_a_run(
    request_: AblationRequest, tmp_path: Path
) -> None:
    longer = replace(request_, budget=Budget(steps=6), seeds=(0,))
    finished, told, scores = _do(longer, stop_at=2)
    assert (finished, told[-1], len(scores)) == (False, "2 wide 0", 1)
    stopped = request_.out / "wide" / "seed-0"
    assert not (stopped / "result.json").exists()
    assert 0 < read_info(stopped / "last.safetensors").steps < 6
    finished, told, resumed = _do(longer)
    assert finished and told[0] == "1 narrow 0 done"
    _, _, whole = _do(replace(longer, out=tmp_path / "whole"))
    assert [s.psnr for s in resumed] == pytest.approx([s.psnr for s in whole], abs=1e-4)


@pytest.mark.parametrize(("stop_in", "finished"), [(1, False), (2, True)])
def test_who_asks_at_the_very_end_of_a_run_is_heard(
    request_: AblationRequest, monkeypatch: pytest.MonkeyPatch, stop_in: int, finished: bool
) -> None:
    ended: list[RunFolder] = []

    def draw(folder: RunFolder) -> None:
        ended.append(folder)
        if len(ended) == stop_in:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(keeping, "draw_curves", draw)
    one = replace(request_, seeds=(0,))
    done, told, scores = _do(one)
    assert (done, len(told), len(scores)) == (finished, stop_in, stop_in), "what is done is kept"
    done, told, scores = _do(one)
    assert done and told[:stop_in] == ["1 narrow 0 done", "2 wide 0 done"][:stop_in]
    assert len(scores) == 2


def test_a_result_that_was_lost_after_training_is_measured_again(
    request_: AblationRequest,
) -> None:
    one = replace(request_, seeds=(0,))
    _, _, first = _do(one)
    (one.out / "wide" / "seed-0" / "result.json").unlink()
    finished, told, again = _do(one)
    assert finished and told[-1] == "2 wide 0"
    assert again[1].steps == 3, "not trained once more"
    assert again[1].psnr == pytest.approx(first[1].psnr, abs=1e-6)


def test_runs_are_measured_on_all_pictures_though_time_is_up(
    request_: AblationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = loop.train

    def hurried(config, *rest):  # type: ignore[no-untyped-def]
        result = train(config, *rest)
        cut = {k: replace(v, images=v.images[:1]) for k, v in result.scores.items()}
        return replace(result, scores=cut)

    one = replace(request_, seeds=(0,))
    _, _, whole = _do(one)
    monkeypatch.setattr(loop, "train", hurried)
    _, _, scores = _do(replace(one, out=one.out.with_name("hurried")))
    assert [s.psnr for s in scores] == pytest.approx([s.psnr for s in whole], abs=1e-3)
    assert all(len(score.images) == 2 for score in scores)


def test_other_options_pictures_and_damaged_results_are_refused(
    request_: AblationRequest, pictures: Path, tmp_path: Path
) -> None:
    one = replace(request_, seeds=(0,))
    _, _, scores = _do(one)
    with pytest.raises(UsageError, match="holds a run with another budget and recipe"):
        _do(replace(one, budget=Budget(steps=4), settings=("lr=0.5",)))
    keep_result(summarise(_ABLATION, one, scores), None, None)
    with pytest.raises(UsageError, match="holds the ablation mine: give another --out"):
        plan_runs(replace(_ABLATION, name="other"), one)
    shutil.copy(pictures / "5.png", tmp_path / "measured")
    with pytest.raises(UsageError, match="was measured with other pictures"):
        _do(one)
    (tmp_path / "measured" / "5.png").unlink()
    result = one.out / "narrow" / "seed-0" / "result.json"
    assert json.loads(result.read_text())["score"]["variant"] == "narrow"
    result.write_text('{"score": 1}')
    with pytest.raises(UsageError, match="cannot be understood"):
        _do(one)

"""The measuring run, on tiny networks: structure, and that what is timed is what is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from memnet_cli.config import RuntimeOptions
from memnet_cli.evaluation import speed, speed_machine
from memnet_cli.evaluation.benchmark import evaluate
from memnet_cli.evaluation.exit_curve import Exit, ExitCurve, measure_curve
from memnet_cli.evaluation.methods import PlannedMethod
from memnet_cli.evaluation.speed import measure_speed
from memnet_cli.evaluation.speed_child import Run, first_output, memory_growth
from memnet_cli.evaluation.speed_plan import CurveConfig, SpeedConfig, plan_curve, plan_speed
from memnet_cli.evaluation.speed_report import Spread
from memnet_cli.evaluation.speed_subjects import (
    Loaded,
    inside_call,
    load,
    picture_call,
    port_call,
    sample_picture,
    sample_plane,
)
from memnet_cli.restoration.restorer import Restorer
from tests.evaluation.conftest import MakeWeights


def planned(path: Path, suffix: str = "") -> PlannedMethod:
    (plan,) = plan_speed(SpeedConfig(models=(f"{path}{suffix}",)))
    return plan


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("suffix", ["", "@1"])
def test_inside_is_what_the_engine_runs(
    make_weights: MakeWeights, precision: str, suffix: str
) -> None:
    engine = load(planned(make_weights(), suffix), "cpu", precision).engine
    call, pixels = inside_call(engine, 20, 30)
    plane = sample_plane(20, 30)
    assert pixels == plane.size
    # bit for bit: were the engine to run anything else, its time would be that of something else
    np.testing.assert_array_equal(call()[0, 0].float(), engine.restore([plane])[0].plane)


def test_inside_is_one_tile_where_the_engine_cuts(tiny_weights: dict[str, Path]) -> None:
    engine = Restorer.load(task="jpeg", weights=tiny_weights["jpeg"], tile=64).engine
    call, pixels = inside_call(engine, 40, 100)
    assert pixels == 40 * 64
    assert call().shape == (1, 1, 40, 64)


@pytest.mark.parametrize(("task", "size"), [("jpeg", (33, 40)), ("sr", (32, 40))])
def test_picture_is_restored_from_png_to_png(
    make_weights: MakeWeights, task: str, size: tuple[int, int]
) -> None:
    item = load(planned(make_weights(task)), "cpu", "fp32")
    call, made = picture_call(item, 33, 40)
    assert made == size
    picture = np.asarray(Image.open(io.BytesIO(call())))
    assert picture.shape == (*size, 3)
    if task == "jpeg":
        sample = np.rint(sample_picture(33, 40).pixels * 255).astype(np.uint8)
        np.testing.assert_array_equal(picture, item.restorer(sample))


def test_only_a_whole_memnet_has_a_port(make_weights: MakeWeights) -> None:
    path = make_weights()
    call = port_call(planned(path), torch.device("cpu"), 16, 24)
    assert call is not None
    restored = Restorer.load(task="sr", weights=path, precision="fp32").restore_plane(
        sample_plane(16, 24)
    )
    np.testing.assert_allclose(call()[0, 0], restored, atol=1e-5)
    assert port_call(planned(path, "@1"), torch.device("cpu"), 16, 24) is None


@pytest.fixture
def fixed_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at a peak gives the next of a few values; every call takes a known time."""
    looks = {"fp32": iter([1e9, 3e9, 2e9, 1e9, 1e9]), "bf16": iter([4e9] * 5)}
    monkeypatch.setattr(
        speed_machine, "_MEASURES", {"convolution": lambda runtime: next(looks[runtime.precision])}
    )
    seconds = {"inside": 2.0, "plane": 4.0, "picture": 5.0, "port": 8.0}

    def timed(calls: dict, repeats: int, device: torch.device, *, between: object) -> dict:  # type: ignore[type-arg]
        for _ in range(repeats):
            between()  # type: ignore[operator]
        for call in calls.values():
            call()
        return {key: Spread((seconds[key[0]],) * repeats) for key in calls}

    monkeypatch.setattr(speed, "interleaved", timed)


def test_ratios_of_a_run_follow_from_its_timings(
    make_weights: MakeWeights, fixed_machine: None
) -> None:
    path = make_weights("jpeg")
    config = SpeedConfig(
        models=(str(path), f"{path}@1"),
        device="cpu",
        sizes=((20, 30), (16, 16)),
        precisions=("fp32",),
        repeats=2,
        side_processes=False,
    )
    report = measure_speed(plan_speed(config), config)
    assert [(s.subject.name, s.height, s.width) for s in report.speeds] == [
        ("tiny", 20, 30),
        ("tiny@1", 20, 30),
        ("tiny", 16, 16),
        ("tiny@1", 16, 16),
    ]
    whole, exit_one = report.speeds[:2]
    # M2R1 of width 4: FENet, in each block two 3x3 and a gate over m + 1 memories, and ReconNet
    # after each; the ensemble is no convolution
    conv, gate, ends = 9 * 4 * 4, 4 * 4, 9 * 4
    expected = ends + 2 * 2 * conv + (2 + 3) * gate + 2 * ends
    assert whole.subject.flop_per_pixel == 2 * expected
    assert exit_one.subject.flop_per_pixel == 2 * (ends + 2 * conv + 2 * gate + ends)
    # 3e9 was the best look of the run, and the last size has the same peak as the first
    assert {s.conv_peak for s in report.speeds} == {3e9}
    assert whole.inside_share == pytest.approx(2 * expected * 600 / 2.0 / 3e9)
    assert whole.times_faster == 4.0
    assert exit_one.times_faster is None
    assert whole.megapixels_per_second == pytest.approx(600 / 4.0 / 1e6)
    assert report.machine["torch_threads"] == torch.get_num_threads()
    assert {(p.operation, p.precision) for p in report.peaks} == {
        ("convolution", "fp32"),
        ("convolution", "bf16"),
    }


def test_precisions_share_one_port(make_weights: MakeWeights, fixed_machine: None) -> None:
    config = SpeedConfig(
        models=(str(make_weights("jpeg")),),
        device="cpu",
        sizes=((16, 16),),
        precisions=("fp32", "bf16", "auto"),
        repeats=1,
        side_processes=False,
    )
    report = measure_speed(plan_speed(config), config)
    assert len({s.subject.precision for s in report.speeds}) == len(report.speeds) == 2
    assert all(s.port == Spread((8.0,)) for s in report.speeds)
    assert [s.conv_peak for s in report.speeds] == [3e9, 4e9]


def run_of(item: Loaded, side: int) -> Run:
    return Run(str(item.planned.weights), item.subject.task, "cpu", "fp32", side, side)


def test_processes_of_their_own(make_weights: MakeWeights) -> None:
    item = load(planned(make_weights("sr")), "cpu", "fp32")
    # the tensors that a tiny network cannot do without: 4 float32 maps and the two planes
    assert memory_growth(run_of(item, 640)) > 640 * 640 * 4 * 4
    seconds = first_output(run_of(item, 0), item.scale, repeats=1)
    assert seconds.median > 0.0


def test_exit_rows_are_those_of_direct_calls(
    make_weights: MakeWeights, picture_folder: Path
) -> None:
    path = make_weights("denoise")
    config = CurveConfig(str(picture_folder), model=str(path), task="denoise", level=50, limit=2)
    plan = plan_curve(config)
    curve = measure_curve(plan, RuntimeOptions("cpu", "fp32"), repeats=2)
    assert (curve.task, curve.level, curve.images) == ("denoise", 50, 2)
    assert [exit.block for exit in curve.exits] == [1, 2, None]
    (the_set,) = plan.sets
    for exit in curve.exits:
        restorer = Restorer.load(
            task="denoise", weights=path, precision="fp32", exit_block=exit.block
        )
        scores = evaluate(restorer.restore_plane, the_set.images, the_set.task, 50)
        assert exit.psnr == pytest.approx(scores.psnr, abs=1e-9)
        assert len(exit.seconds.values) == 2
    work = [exit.multiply_adds_per_pixel for exit in curve.exits]
    assert work[0] < work[1] < work[2]


def test_what_an_exit_loses_and_saves() -> None:
    exits = (
        Exit(1, 29.0, 1e6, Spread((2.0, 2.5, 3.0))),
        Exit(2, 30.1, 2e6, Spread((11.0,))),
        Exit(None, 30.0, 2e6, Spread((10.0, 9.0, 12.0))),
    )
    curve = ExitCurve("memnet", "Set5", "sr", 2, 5, exits)
    assert curve.loss(exits[0]) == pytest.approx(1.0)
    assert curve.saved(exits[0]) == pytest.approx(0.75)
    assert curve.loss_per_saved(exits[0]) == pytest.approx(4 / 3)
    assert curve.loss(exits[1]) == pytest.approx(-0.1)
    assert curve.loss_per_saved(exits[1]) is None  # it was slower: there is nothing to divide by
    document = curve.document()["exits"]
    assert isinstance(document, list)
    assert [row["block"] for row in document] == [1, 2, None]
    assert document[0]["share_of_time_saved"] == pytest.approx(0.75)

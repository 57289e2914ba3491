"""Ratios of `memnet speed` against what injected timings make them by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from memnet_cli.evaluation.speed_report import Peak, Speed, SpeedReport, Spread, Start, Subject

_SUBJECT = Subject(
    name="memnet",
    model="memnet",
    task="jpeg",
    weights="tiny.safetensors",
    weights_hash="0123456789ab",
    device="cpu",
    precision="fp32",
    flop_per_pixel=6e6,
)
#: 100 x 200 pixels of 6 MFLOP are 0.12 TFLOP; the model alone does half of them, one tile
_SPEED = Speed(
    subject=_SUBJECT,
    height=100,
    width=200,
    conv_peak=0.2e12,
    inside=Spread((0.3, 0.5, 0.4)),
    inside_pixels=10_000,
    plane=Spread((1.0, 0.8, 1.2)),
    picture=Spread((2.0,)),
    picture_pixels=18_000,
    port=Spread((3.2, 9.0, 2.0)),
    memory=30_000_000,
)


def test_spread_is_median_and_extremes() -> None:
    spread = Spread((3.0, 1.0, 8.0, 2.0))
    assert (spread.median, spread.low, spread.high) == (2.5, 1.0, 8.0)


def test_shares_of_the_peak() -> None:
    # 0.06 TFLOP in 0.4 s are 0.15 of 0.2 TFLOP/s; 0.12 in 1.0 s are 0.12
    assert _SPEED.inside_share == pytest.approx(0.75)
    assert _SPEED.plane_share == pytest.approx(0.6)


def test_times_faster_compares_pixels_not_calls() -> None:
    # the port needs 3.2 s for 20,000 pixels, the model 0.4 s for 10,000
    assert _SPEED.times_faster == pytest.approx(4.0)
    assert replace(_SPEED, port=None).times_faster is None


def test_pixels_a_second_and_bytes_a_pixel() -> None:
    assert _SPEED.megapixels_per_second == pytest.approx(0.02)
    assert _SPEED.picture_megapixels_per_second == pytest.approx(0.009)
    assert _SPEED.kilobytes_per_pixel == pytest.approx(1.5)
    assert replace(_SPEED, memory=None).kilobytes_per_pixel is None


def test_document_is_json_with_every_measurement() -> None:
    peak = Peak("convolution", "fp32", Spread((0.1e12, 0.2e12, 0.15e12)))
    start = Start("memnet", "fp32", Spread((2.0, 4.0)))
    report = SpeedReport({"cpu": "a machine"}, [peak], [_SPEED], [start])
    document = json.loads(json.dumps(report.document()))
    assert document["machine"] == {"cpu": "a machine"}
    assert document["peaks"][0]["flop_per_second"] == 0.2e12
    assert document["starts"][0]["first_output_seconds"]["median"] == 3.0
    (speed,) = document["speeds"]
    assert speed["name"] == "memnet" and speed["weights_hash"] == "0123456789ab"
    assert speed["inside_seconds"] == {
        "median": 0.4,
        "low": 0.3,
        "high": 0.5,
        "all": [0.3, 0.5, 0.4],
    }
    assert speed["times_faster_than_port"] == pytest.approx(4.0)
    assert speed["inside_share_of_conv_peak"] == pytest.approx(0.75)


def test_a_busy_machine_is_told_of() -> None:
    def told(load: float | None) -> str | None:
        machine = {"load_average": load, "cpu_threads": 8}
        return SpeedReport(machine, [], [], []).busy

    assert told(1.9) is None and told(None) is None
    said = told(2.0)
    assert said is not None and "load 2.0 on 8 threads" in said

"""Measure this machine's peaks and, in the same run, how near the models come to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from memnet_cli.errors import DeviceError
from memnet_cli.evaluation.methods import PlannedMethod
from memnet_cli.evaluation.speed_child import Run, first_output, memory_growth
from memnet_cli.evaluation.speed_machine import PeakMeter, machine_facts
from memnet_cli.evaluation.speed_plan import SpeedConfig
from memnet_cli.evaluation.speed_report import Speed, SpeedReport, Start
from memnet_cli.evaluation.speed_subjects import (
    Loaded,
    Plane,
    inside_call,
    load,
    picture_call,
    port_call,
    sample_plane,
)
from memnet_cli.evaluation.speed_timing import interleaved
from memnet_cli.restoration.devices import resolve_runtime

#: Told what is being measured now.
Say = Callable[[str], None]


def measure_speed(
    plans: Sequence[PlannedMethod], config: SpeedConfig, say: Say = lambda _: None
) -> SpeedReport:
    """Measure every model in every precision at every size.

    All candidates of one size are timed in turns, with a look at the peaks after every round.

    Raises:
        DeviceError: for a device or precision that is not there, or too little memory.
        WeightsError: for damaged weights.
    """
    runtimes = [resolve_runtime(config.device, name) for name in config.precisions]
    device, precisions = runtimes[0].device, dict.fromkeys(r.precision for r in runtimes)
    machine = machine_facts(device)
    loaded = [load(plan, str(device), precision) for plan in plans for precision in precisions]
    meter = PeakMeter(device, precisions)
    say("peaks of the machine")
    meter.look()
    speeds: list[Speed] = []
    starts: list[Start] = []
    for height, width in config.sizes:
        say(f"{len(loaded)} candidates at {height}x{width}")
        measured = _measure_size(loaded, height, width, config.repeats, meter)
        if config.side_processes:
            say(f"memory at {height}x{width}")
            pairs = zip(loaded, measured, strict=True)
            measured = [_with_memory(item, speed) for item, speed in pairs]
        speeds += measured
    if config.side_processes:
        say("time to the first output")
        starts = [_start(item, config.repeats) for item in loaded]
    # the highest peak of the whole run counts for all, however early a size was measured
    speeds = [replace(s, conv_peak=meter.conv_peak(s.subject.precision)) for s in speeds]
    return SpeedReport(machine, meter.peaks(), speeds, starts)


def _measure_size(
    loaded: Sequence[Loaded], height: int, width: int, repeats: int, meter: PeakMeter
) -> list[Speed]:
    plane = sample_plane(height, width)
    notes: dict[int, tuple[str, ...]] = {}
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    inside_pixels, picture_pixels = [], []
    for index, item in enumerate(loaded):
        inside, pixels = inside_call(item.engine, height, width)
        picture, (made_height, made_width) = picture_call(item, height, width)
        inside_pixels.append(pixels)
        picture_pixels.append(made_height * made_width)
        calls["inside", index] = inside
        calls["plane", index] = partial(_restore, item, plane, notes, index)
        calls["picture", index] = picture
        if _first_of_its_weights(loaded, index) == index:
            port = port_call(item.planned, item.engine.runtime.device, height, width)
            if port is not None:
                calls["port", index] = port
    device = loaded[0].engine.runtime.device
    seconds = interleaved(calls, repeats, device, between=meter.look)
    return [
        Speed(
            subject=item.subject,
            height=height,
            width=width,
            conv_peak=meter.conv_peak(item.subject.precision),
            inside=seconds["inside", index],
            inside_pixels=inside_pixels[index],
            plane=seconds["plane", index],
            picture=seconds["picture", index],
            picture_pixels=picture_pixels[index],
            port=seconds.get(("port", _first_of_its_weights(loaded, index))),
            notes=notes[index],
        )
        for index, item in enumerate(loaded)
    ]


def _restore(item: Loaded, plane: Plane, notes: dict[int, tuple[str, ...]], index: int) -> None:
    notes[index] = item.engine.restore([plane])[0].notes


def _first_of_its_weights(loaded: Sequence[Loaded], index: int) -> int:
    """Return the index whose port serves ``index`` too: precisions of one model share it."""
    return next(i for i, item in enumerate(loaded) if item.planned == loaded[index].planned)


def _with_memory(item: Loaded, speed: Speed) -> Speed:
    try:
        return replace(speed, memory=memory_growth(_run(item, speed.height, speed.width)))
    except DeviceError as error:
        return replace(speed, notes=(*speed.notes, str(error)))


def _start(item: Loaded, repeats: int) -> Start:
    seconds = first_output(_run(item), item.scale, repeats)
    return Start(item.subject.name, item.subject.precision, seconds)


def _run(item: Loaded, height: int = 0, width: int = 0) -> Run:
    return Run(
        weights=str(item.planned.weights),
        task=item.subject.task,
        device=item.subject.device,
        precision=item.subject.precision,
        height=height,
        width=width,
        exit_block=item.planned.name.exit_block,
    )

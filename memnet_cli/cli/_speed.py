"""The tables of ``memnet speed``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memnet_cli.cli._console import table

if TYPE_CHECKING:
    from rich.table import Table

    from memnet_cli.evaluation.exit_curve import ExitCurve
    from memnet_cli.evaluation.speed_profile import Operation, SpeedProfile
    from memnet_cli.evaluation.speed_report import Speed, SpeedReport, Spread

_NONE = "-"
#: Operations that take less of the time are told of together.
_LEAST_SHARE = 0.01


def speed_tables(report: SpeedReport) -> list[Table]:
    """Return the whole report: peaks, inside the model, end to end, memory, start-up, notes."""
    tables = [_peaks(report), _inside(report), _end_to_end(report)]
    if any(speed.memory is not None for speed in report.speeds):
        tables.append(_memory(report))
    if report.starts:
        rows = [(start.name, start.precision, _spread(start.seconds)) for start in report.starts]
        columns = ("model", "precision", "seconds")
        tables.append(table("Time to the first output of `memnet restore`", columns, rows))
    notes = [(speed.subject.name, note) for speed in report.speeds for note in speed.notes]
    if notes:
        tables.append(table("Notes", ("model", "note"), notes))
    return tables


def curve_table(curve: ExitCurve) -> Table:
    """Return the exits, one a row."""
    rows = [
        (
            "all" if exit.block is None else str(exit.block),
            f"{exit.psnr:.2f}",
            f"{curve.loss(exit):.2f}",
            f"{exit.multiply_adds_per_pixel / 1e6:.2f}",
            _spread(exit.seconds),
            f"{curve.saved(exit):.0%}",
            _number(curve.loss_per_saved(exit), "{:.2f}", 0.1),
        )
        for exit in curve.exits
    ]
    title = (
        f"{curve.model} on {curve.images} images of {curve.dataset}, {curve.task} {curve.level}: "
        "what every --exit-block costs and saves"
    )
    columns = (
        "block",
        "PSNR dB",
        "dB lost",
        "millions of MAC a pixel",
        "seconds",
        "time saved",
        "dB lost per 10 % saved",
    )
    return table(title, columns, rows)


def profile_table(profile: SpeedProfile) -> Table:
    """Return the operations, one a row, the small ones together, and what the model takes."""
    from memnet_cli.evaluation.speed_profile import merged

    small = [op for op in profile.operations if profile.share(op) < _LEAST_SHARE]
    operations = [op for op in profile.operations if op not in small]
    if small:
        operations.append(merged(f"{len(small)} others", small))
    rows = [_profiled(operation, profile) for operation in (*operations, profile.total)]
    rows.append(("the model, its operations untimed", "", _spread(profile.inside), "", "", ""))
    subject = profile.subject
    title = (
        f"Where the time inside {subject.name} goes: {subject.task}, {subject.precision}, "
        f"{profile.height}x{profile.width}"
    )
    columns = ("operation", "calls", "seconds", "of all", "of peak", "beyond, s")
    return table(title, columns, rows)


def _profiled(operation: Operation, profile: SpeedProfile) -> tuple[str, ...]:
    return (
        operation.name,
        str(operation.calls),
        f"{operation.seconds.median:.3g}",
        f"{profile.share(operation):.0%}",
        f"{profile.share_of_peak(operation):.0%}" if operation.flop else _NONE,
        f"{profile.above_floor(operation):.3f}",
    )


def _peaks(report: SpeedReport) -> Table:
    rows = [
        (
            peak.operation,
            peak.precision,
            f"{peak.flops.high / 1e12:.3f}",
            f"{peak.flops.low / 1e12:.3f}-{peak.flops.high / 1e12:.3f}",
        )
        for peak in report.peaks
    ]
    machine = report.machine
    title = (
        f"Peaks of {machine['device_name']} ({machine['device']}), "
        f"{machine['torch_threads']} threads, {machine['cpu_instructions']}"
    )
    return table(title, ("operation", "precision", "TFLOP/s", "looks"), rows)


def _inside(report: SpeedReport) -> Table:
    rows = [
        (
            _who(speed),
            _spread(speed.inside),
            f"{speed.inside_share:.0%}",
            _NONE if speed.port is None else _spread(speed.port),
            _number(speed.times_faster, "{:.2f}"),
        )
        for speed in report.speeds
    ]
    columns = (_WHO, "seconds", "of conv peak", "float32 port, s", "times faster")
    return table("Inside the model: device tensor to device tensor", columns, rows)


def _end_to_end(report: SpeedReport) -> Table:
    rows = [
        (
            _who(speed),
            _spread(speed.plane),
            f"{speed.plane_share:.0%}",
            f"{speed.megapixels_per_second:.3f}",
            _spread(speed.picture),
            f"{speed.picture_megapixels_per_second:.3f}",
        )
        for speed in report.speeds
    ]
    columns = (_WHO, "plane, s", "of conv peak", "MP/s", "PNG to PNG, s", "MP/s")
    return table("End to end: one plane, and one picture", columns, rows)


def _memory(report: SpeedReport) -> Table:
    rows = [
        (
            _who(speed),
            _number(speed.memory, "{:.0f}", 1e-6),
            _number(speed.kilobytes_per_pixel, "{:.0f}", 1e3),
            _number(speed.kilobytes_per_pixel, "{:.2f}"),
        )
        for speed in report.speeds
    ]
    columns = (_WHO, "MB", "MB a megapixel", "KB a pixel")
    return table("Memory that one untiled plane takes at most", columns, rows)


_WHO = "candidate"


def _who(speed: Speed) -> str:
    subject = speed.subject
    return f"{subject.name} {subject.task} {subject.precision} {speed.height}x{speed.width}"


def _spread(seconds: Spread) -> str:
    """Median, and below it the extremes: side by side they would not fit into 80 columns."""
    return f"{seconds.median:.3g}\n{seconds.low:.3g}-{seconds.high:.3g}"


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return _NONE if value is None else form.format(value * factor)

"""``memnet speed``: how near this machine's limit the models run, and what earlier exits save."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memnet_cli.cli._console import err, out, print_json, print_warning
from memnet_cli.cli._options import Device
from memnet_cli.errors import UsageError
from memnet_cli.files import check_writable

if TYPE_CHECKING:
    from memnet_cli.evaluation.speed_plan import CurveConfig, SpeedConfig

_STDOUT = "-"
_REPEATS, _QUICK_REPEATS = 5, 2
_SIZE, _QUICK_SIZE = "512", "128"


def speed(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            "--weights",
            help="memnet, rednet, nlrn, weights by name or a .safetensors file; NAME@3 stops after "
            "block 3. May be repeated.",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="sr, denoise or jpeg; else what the weights are.")
    ] = None,
    device: Device = "auto",
    size: Annotated[
        list[str] | None,
        typer.Option("--size", help="HEIGHTxWIDTH or one side, else 512; may be repeated."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            help="fp32, bf16, fp16, int8, or auto: what the device is good at. May be repeated.",
        ),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, help="Of every measurement; else 5.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A rough answer: 128x128, twice, no memory, no start-up."),
    ] = False,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Instead: where the time inside one model goes."),
    ] = False,
    exit_curve: Annotated[
        bool,
        typer.Option("--exit-curve", help="Instead: what stopping after each block costs, saves."),
    ] = False,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="For --exit-curve: a set or a folder.")
    ] = None,
    level: Annotated[
        int | None, typer.Option("--level", "-l", help="For --exit-curve: scale, sigma, quality.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="For --exit-curve: first N images only.")
    ] = None,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write everything as JSON.")
    ] = None,
) -> None:
    """Measure this machine's peaks and, in the same run, how near the models come to them.

    memnet speed --model memnet --size 512
    """
    times = repeats or (_QUICK_REPEATS if quick else _REPEATS)
    for_curve = {"--dataset": dataset, "--level": level, "--limit": limit}
    one_model = len(model or []) <= 1 and len(precision or []) <= 1
    if profile and (exit_curve or not one_model or len(size or []) > 1):
        raise UsageError("--profile takes one model, precision and size, and no --exit-curve.")
    if exit_curve:
        if dataset is None:
            raise UsageError("--exit-curve needs pictures to score: give --dataset Set5.")
        if size or not one_model:
            raise UsageError("--exit-curve takes one model and precision, and no --size.")
    else:
        for option, value in for_curve.items():
            if value is not None:
                raise UsageError(f"{option} goes with --exit-curve only.")
    _check_writable(json)

    from memnet_cli.evaluation.speed_plan import CurveConfig, SpeedConfig, parse_size

    config = SpeedConfig(
        models=tuple(model or ["memnet"]),
        task=task,
        device=device,
        sizes=tuple(parse_size(text) for text in size or [_QUICK_SIZE if quick else _SIZE]),
        precisions=tuple(precision or ["auto"]),
        repeats=times,
        side_processes=not quick,
    )
    if dataset is not None:
        curve = CurveConfig(dataset, config.models[0], task, level, limit, times)
        _show_curve(curve, config, json)
    elif profile:
        _show_profile(config, json)
    else:
        _show_speed(config, json)


def _check_writable(json: str | None) -> None:
    if json in {None, _STDOUT}:
        return
    try:
        check_writable(Path(str(json)))
    except OSError as error:
        raise UsageError(
            f"--json {json} cannot be written ({error.strerror}): expected a file in a folder, "
            "or '-'."
        ) from None


def _show_speed(config: SpeedConfig, json: str | None) -> None:
    from memnet_cli.evaluation.speed_plan import plan_speed

    plans = plan_speed(config)

    from memnet_cli.cli._speed import speed_tables
    from memnet_cli.evaluation.speed import measure_speed
    from memnet_cli.restoration.host_memory import reuse_freed_memory

    reuse_freed_memory()  # as `memnet restore` does
    report = measure_speed(plans, config, _say)
    if report.busy is not None:
        print_warning(report.busy)
    _write(report.document(), json)
    if json != _STDOUT:
        for made in speed_tables(report):
            out.print(made)
            out.print()


def _show_profile(config: SpeedConfig, json: str | None) -> None:
    from memnet_cli.evaluation.speed_plan import plan_speed

    (plan,) = plan_speed(config)

    from memnet_cli.cli._speed import profile_table
    from memnet_cli.evaluation.speed_profile import measure_profile
    from memnet_cli.restoration.host_memory import reuse_freed_memory

    reuse_freed_memory()
    measured = measure_profile(plan, config, _say)
    _write(measured.document(), json)
    if json != _STDOUT:
        out.print(profile_table(measured))


def _show_curve(curve: CurveConfig, config: SpeedConfig, json: str | None) -> None:
    from memnet_cli.evaluation.speed_plan import plan_curve

    plan = plan_curve(curve)

    from memnet_cli.cli._speed import curve_table
    from memnet_cli.config import RuntimeOptions
    from memnet_cli.evaluation.exit_curve import measure_curve
    from memnet_cli.restoration.host_memory import reuse_freed_memory

    reuse_freed_memory()
    options = RuntimeOptions(config.device, config.precisions[0])
    measured = measure_curve(plan, options, curve.repeats, _say)
    _write(measured.document(), json)
    if json != _STDOUT:
        out.print(curve_table(measured))


def _say(what: str) -> None:
    err.print(f"Measuring {what} ...")


def _write(document: dict[str, object], json: str | None) -> None:
    from memnet_cli.files import encodable, write_atomically

    if json == _STDOUT:
        print_json(document)
    elif json is not None:
        text = json_format.dumps(document, indent=2, ensure_ascii=False) + "\n"
        try:
            write_atomically(Path(json), encodable(text).encode("utf-8"))
        except OSError as error:
            raise UsageError(f"--json {json} cannot be written ({error.strerror}).") from None

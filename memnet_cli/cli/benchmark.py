"""``memnet benchmark``: methods on datasets in the papers' protocols, beside their numbers."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memnet_cli.cli._console import (
    err,
    picture_progress,
    print_warning,
)
from memnet_cli.cli._options import (
    DataDir,
    Device,
    Fp32,
    Offline,
    Precision,
    Tile,
    TileOverlap,
)
from memnet_cli.cli._results import (
    Check,
    Outputs,
    check_outputs,
    check_tolerances,
    conclude,
    save,
    show,
)
from memnet_cli.cli._signals import stopping
from memnet_cli.config import RuntimeOptions, parse_tile
from memnet_cli.errors import UsageError

if TYPE_CHECKING:
    from memnet_cli.evaluation.plan import BenchmarkConfig, Plan
    from memnet_cli.evaluation.report import PictureStore
    from memnet_cli.evaluation.results import Results
    from memnet_cli.evaluation.run import Picture


def benchmark(
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", "-d", help="Set by name, or a folder; may be repeated."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            "--weights",
            help="memnet, rednet, nlrn, weights by name, a .safetensors file, bicubic, degraded, "
            "nlm, tv, wavelet, bm3d; NAME+ is the self-ensemble, NAME@3 stops after block 3, "
            "NAME:7 averages NLRN's patches 7 pixels apart. May be repeated.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="sr, denoise, jpeg; else those that the set is for."),
    ] = None,
    level: Annotated[
        list[int] | None,
        typer.Option("--level", "-l", help="Scale, sigma or quality; else the papers' levels."),
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta", "--x8", help="Add a '+' row: mean of 8 flips and rotations.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first N images of each set.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the noise.")] = 0,
    allow_seen: Annotated[
        bool,
        typer.Option("--allow-seen", help="Measure and mark images that weights were trained on."),
    ] = False,
    published: Annotated[
        str, typer.Option("--published", help="Quoted numbers to show: best, all or none.")
    ] = "best",
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with recorded or published values; 1 on a miss."),
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0.0, show_default=str(Check.psnr), help="Of --check, dB."),
    ] = None,
    ssim_tolerance: Annotated[
        float | None,
        typer.Option("--ssim-tolerance", min=0.0, show_default=str(Check.ssim), help="Of --check."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the tables as CSV.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the tables as LaTeX.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the tables as Markdown.")
    ] = False,
    save: Annotated[
        list[Path] | None,
        typer.Option("--save", help="Also write a .json, .csv, .tex or .md file; repeatable."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder for an HTML page with pictures.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="Show a saved .json instead of running.")
    ] = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    device: Device = "auto",
    precision: Precision = "auto",
    fp32: Fp32 = False,
    tile: Tile = "auto",
    tile_overlap: TileOverlap = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure restoration on standard image sets, exactly as the papers do.

    memnet benchmark --dataset Set14
    """
    formats = {".json": json, ".csv": csv, ".tex": latex, ".md": markdown}
    outputs = check_outputs(formats, published, tuple(save or ()), report, quiet)
    tolerances = check_tolerances(check, tolerance, ssim_tolerance)
    if results is not None:
        _show_saved(results, dataset, outputs, tolerances)
        return
    if not dataset:
        from memnet_cli.stores.datasets import dataset_names

        raise UsageError(f"Give --dataset: a folder, or one of {', '.join(dataset_names())}.")
    if fp32 and precision not in {"auto", "fp32"}:
        raise UsageError(f"--fp32 and --precision {precision} contradict each other: give one.")
    if check and limit is not None:
        raise UsageError("--check compares whole sets: leave --limit out.")

    from memnet_cli.evaluation.plan import BenchmarkConfig

    config = BenchmarkConfig(
        datasets=tuple(dataset),
        tasks=tuple(task or ()),
        levels=tuple(level or ()),
        models=tuple(model or ()),
        tta=tta,
        seed=seed,
        limit=limit,
        allow_seen=allow_seen,
        data_dir=data_dir,
        offline=offline,
        runtime=RuntimeOptions(
            device, "fp32" if fp32 else precision, parse_tile(tile), tile_overlap
        ),
    )
    _run(_plan(config, outputs), outputs, tolerances)


def _plan(config: BenchmarkConfig, outputs: Outputs) -> Plan:
    from memnet_cli.evaluation.plan import make_plan
    from memnet_cli.stores.datasets import get_dataset

    with picture_progress(hidden=outputs.quiet) as progress:
        bars: dict[str, object] = {}

        def tell(name: str, done: int, total: int | None) -> None:
            if name not in bars:
                err.print(f"{name}: {get_dataset(name).source}")
                bars[name] = progress.add_task(f"Fetching {name}", total=total, pixels=0)
            progress.update(bars[name], completed=done, total=total)  # type: ignore[arg-type]

        plan = make_plan(config, tell)
    for note in plan.notes:
        print_warning(note)
    return plan


def _run(plan: Plan, outputs: Outputs, tolerances: Check | None) -> None:
    """Measure, show and write what was measured, whatever ended it, and end with the right code."""
    from memnet_cli.evaluation.report import PictureStore
    from memnet_cli.evaluation.run import run
    from memnet_cli.restoration.host_memory import reuse_freed_memory

    reuse_freed_memory()
    ended: list[BaseException] = []
    with ExitStack() as stack:
        store = stack.enter_context(PictureStore()) if outputs.report else None
        with picture_progress(hidden=outputs.quiet) as progress:
            bar = progress.add_task("Measuring", total=plan.pictures, pixels=0)
            pixels = 0

            def tell(picture: Picture) -> None:
                nonlocal pixels, store
                pixels += picture.score.pixels
                what = f"{picture.dataset} {picture.level} {picture.method}"
                progress.update(bar, advance=1, pixels=pixels, description=what)
                store = _keep(store, picture)

            with stopping():
                results = run(plan, tell, ended=ended.append)
        if not results.rows:
            conclude(results, [], ended, None)
        failures = [*save(results, outputs), *_report(results, outputs, store)]
        # last, since whoever reads it may have gone
        show(results, outputs)
    conclude(results, failures, ended, tolerances)


def _report(results: Results, outputs: Outputs, store: PictureStore | None) -> list[UsageError]:
    """Write the report that is asked for; return why it could not be."""
    from memnet_cli.evaluation.report import write_report
    from memnet_cli.evaluation.tables import sections

    if outputs.report is None:
        return []
    if store is None:
        return [UsageError(f"The report {outputs.report} has no pictures: not written.")]
    try:
        page = write_report(outputs.report, results, sections(results, outputs.quotes), store)
    except UsageError as error:
        return [error]
    err.print(f"Report: {page}")
    return []


def _keep(store: PictureStore | None, picture: Picture) -> PictureStore | None:
    """Keep a picture for the report; without room for it there will be none."""
    if store is None:
        return None
    try:
        store.add(picture)
    except OSError as error:
        print_warning(f"the folder for temporary files takes no more ({error}): no report.")
        return None
    return store


def _show_saved(
    path: Path, dataset: list[str] | None, outputs: Outputs, tolerances: Check | None
) -> None:
    from memnet_cli.evaluation.results import read_results

    if dataset:
        raise UsageError("--results shows a finished run and --dataset starts one: give one.")
    if outputs.report is not None:
        raise UsageError("--report needs the pictures of a run: leave --results out.")
    results = read_results(path)
    failures = save(results, outputs)
    show(results, outputs)
    if not results.complete:
        print_warning("this run was stopped before its end.")
    conclude(results, failures, [], tolerances)

"""What ``memnet benchmark`` shows, writes and checks when it has measured."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from memnet_cli.cli._console import err, out, print_error, write_text
from memnet_cli.cli._signals import Stopped
from memnet_cli.errors import UsageError
from memnet_cli.files import check_writable, encodable

if TYPE_CHECKING:
    from memnet_cli.evaluation.results import Results
    from memnet_cli.evaluation.tables import Quotes

_QUOTES = ("best", "all", "none")
_SUFFIXES = (".json", ".csv", ".tex", ".md")


@dataclass(frozen=True)
class Outputs:
    """What is shown and written.

    Attributes:
        stdout: suffix of the format for standard output, or None for tables.
        quotes: which published numbers stand beside the measured ones.
        save: files to write, format by suffix.
        report: folder of the HTML report, or None.
        quiet: no progress.
    """

    stdout: str | None
    quotes: Quotes
    save: tuple[Path, ...]
    report: Path | None
    quiet: bool


@dataclass(frozen=True)
class Check:
    """Tolerances of ``--check``: PSNR in dB, and SSIM."""

    psnr: float = 0.02
    ssim: float = 0.001


def check_tolerances(check: bool, psnr: float | None, ssim: float | None) -> Check | None:
    """Return the tolerances of ``--check``, None without it.

    Raises:
        UsageError: for a tolerance without ``--check``, which would go unheeded.
    """
    if check:
        return Check(Check.psnr if psnr is None else psnr, Check.ssim if ssim is None else ssim)
    for name, given in (("--tolerance", psnr), ("--ssim-tolerance", ssim)):
        if given is not None:
            raise UsageError(f"{name} without --check would go unheeded: give --check too.")
    return None


def check_outputs(
    formats: dict[str, bool],
    published: str,
    save: tuple[Path, ...],
    report: Path | None,
    quiet: bool,
) -> Outputs:
    """Check what is to be written, and that it can be, before anything slow begins.

    Args:
        formats: suffix -> whether that format is for standard output.
        published: which published numbers stand beside the measured ones.
        save: files to write.
        report: folder of the HTML report, or None.
        quiet: no progress.

    Raises:
        UsageError: for two formats, an unknown choice or suffix, or a file that cannot be written.
    """
    chosen = [suffix for suffix, wanted in formats.items() if wanted]
    if len(chosen) > 1:
        raise UsageError("Give one of --json, --csv, --latex, --markdown; --save writes the rest.")
    if published not in _QUOTES:
        raise UsageError(f"--published {published}: expected best, all or none.")
    for path in save:
        if path.suffix not in _SUFFIXES:
            raise UsageError(f"--save {path}: expected a name that ends in {', '.join(_SUFFIXES)}.")
        try:
            check_writable(path)
        except OSError as error:
            raise UsageError(f"--save {path} cannot be written ({error.strerror}).") from None
    if report is not None:
        from memnet_cli.evaluation.report import check_folder

        check_folder(report)
    stdout = chosen[0] if chosen else None
    return Outputs(stdout, cast("Quotes", published), save, report, quiet)


def save(results: Results, outputs: Outputs) -> list[UsageError]:
    """Write the results into the files that were named; return which of them could not be."""
    from memnet_cli.files import write_atomically

    failures = []
    for path in outputs.save:
        try:
            text = encodable(_text(results, path.suffix, outputs), "utf-8")
            write_atomically(path, text.encode("utf-8"))
        except OSError as error:
            failures.append(UsageError(f"--save {path} cannot be written ({error.strerror})."))
    return failures


def _text(results: Results, suffix: str, outputs: Outputs) -> str:
    from memnet_cli.evaluation.formats import WRITERS
    from memnet_cli.evaluation.results import to_text
    from memnet_cli.evaluation.tables import sections

    if suffix == ".json":
        return to_text(results)
    return WRITERS[suffix](results, sections(results, outputs.quotes))


def show(results: Results, outputs: Outputs) -> None:
    """Print the results."""
    if outputs.stdout is not None:
        write_text(_text(results, outputs.stdout, outputs))
    else:
        _print_tables(results, outputs)


def conclude(
    results: Results,
    failures: Sequence[UsageError],
    ended: Sequence[BaseException],
    tolerances: Check | None,
) -> None:
    """Tell what failed, check the results, and end with the right code.

    Args:
        results: what was measured.
        failures: to save or report them.
        ended: Ctrl-C, SIGTERM or a failure that says why they are not complete; or nothing.
        tolerances: None for no check.

    Raises:
        typer.Exit: 130 after Ctrl-C, 143 after SIGTERM, 2 where something was not written, 1 for a
            miss or a check of an incomplete result.
        MemnetError: the failure that ended the run.
    """
    for failure in failures:
        print_error(str(failure))
    for reason in ended:
        if not isinstance(reason, KeyboardInterrupt):
            raise reason
        stop = reason if isinstance(reason, Stopped) else Stopped(signal.SIGINT)
        print_error(f"Stopped by {stop.name}: only {len(results.rows)} rows were finished.")
        raise typer.Exit(stop.exit_code)
    if failures:
        raise typer.Exit(UsageError.exit_code)
    if tolerances is not None:
        _check(results, tolerances)


def _print_tables(results: Results, outputs: Outputs) -> None:
    from memnet_cli.cli._scores import cost_rows, score_table
    from memnet_cli.evaluation.tables import sections

    for section in sections(results, outputs.quotes):
        out.print(score_table(section))
        out.print()
    out.print(cost_rows(results))


def _check(results: Results, tolerances: Check) -> None:
    """Print the verdicts on stderr; exit 1 on a miss or if there was nothing to compare with."""
    from memnet_cli.cli._scores import verdict_table
    from memnet_cli.evaluation.verdict import judge

    if results.limit is not None:
        raise UsageError(
            f"--check compares whole sets: this result has the first {results.limit} images only."
        )
    verdicts = judge(results, psnr_tolerance=tolerances.psnr, ssim_tolerance=tolerances.ssim)
    if not verdicts:
        print_error("Nothing is published or recorded for these methods and datasets to check.")
        raise typer.Exit(1)
    err.print(verdict_table(verdicts, tolerances.psnr))
    missed = sum(not verdict.passed for verdict in verdicts)
    unjudged = len(results.rows) - len(verdicts)
    err.print(
        f"{len(verdicts) - missed} of {len(verdicts)} rows pass"
        + (f"; for {unjudged} nothing is published or recorded." if unjudged else ".")
    )
    if missed or not results.complete:
        raise typer.Exit(1)

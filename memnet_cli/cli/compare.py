"""``memnet compare``: what got better or worse between two benchmark results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memnet_cli.cli._console import err, out, print_json

if TYPE_CHECKING:
    from memnet_cli.evaluation.comparison import Comparison


def compare(
    before: Annotated[Path, typer.Argument(help="Result of `memnet benchmark --save x.json`.")],
    after: Annotated[Path, typer.Argument(help="The one to compare with it.")],
    fail_on_worse: Annotated[
        bool, typer.Option("--fail-on-worse", help="Exit 1 if a row is clearly worse.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Say what got better or worse, row by row, with a sign test over the images.

    memnet compare before.json after.json
    """
    from memnet_cli.cli._scores import comparison_table
    from memnet_cli.evaluation.comparison import compare as compare_results
    from memnet_cli.evaluation.results import read_results

    comparison = compare_results(read_results(before), read_results(after))
    if json:
        print_json(_document(comparison))
    else:
        out.print(comparison_table(comparison, (before.name, after.name)))
        out.print(_summary(comparison))
    for name, count in ((before, comparison.only_before), (after, comparison.only_after)):
        if count:
            rows = "1 row is" if count == 1 else f"{count} rows are"
            err.print(f"{rows} only in {name} and left out.")
    if fail_on_worse and any(change.verdict == "worse" for change in comparison.changes):
        raise typer.Exit(1)


def _summary(comparison: Comparison) -> str:
    verdicts = [change.verdict for change in comparison.changes]
    counts = ((word, verdicts.count(word)) for word in ("better", "worse", "unclear", "same"))
    rows = "1 row" if len(verdicts) == 1 else f"{len(verdicts)} rows"
    return f"Of {rows}: " + ", ".join(f"{n} {word}" for word, n in counts if n) + "."


def _document(comparison: Comparison) -> list[dict[str, object]]:
    from memnet_cli.evaluation.results import finite

    return [
        {
            "dataset": change.before.scores.dataset,
            "task": change.before.scores.task,
            "level": change.before.scores.level,
            "method_before": change.before.method,
            "method_after": change.after.method,
            "psnr_before": finite(change.before.scores.psnr),
            "psnr_after": finite(change.after.scores.psnr),
            "psnr_difference": finite(change.psnr),
            "ssim_difference": change.ssim,
            "images_better": change.better,
            "images_worse": change.worse,
            "images_equal": change.equal,
            "p_value": change.p_value,
            "speed_ratio": change.speed,
            "verdict": change.verdict,
        }
        for change in comparison.changes
    ]

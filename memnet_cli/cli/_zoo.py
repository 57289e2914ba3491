"""The zoo as tables and as JSON, for `models` and `download-weights`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from memnet_cli.cli._console import out, print_json

if TYPE_CHECKING:
    from memnet_cli.stores.zoo import WeightsEntry


def weights_document(entries: Sequence[WeightsEntry]) -> dict[str, object]:
    """Return everything about weights as a JSON document."""
    from memnet_cli.stores.downloads import without_password

    return {
        entry.name: {
            "model": entry.model,
            "task": entry.task,
            "levels": entry.levels,
            "scores": entry.scores,
            "bytes": entry.bytes,
            "sha256": entry.sha256,
            "training_sets": entry.training_sets,
            "licence": entry.licence,
            "default": entry.default,
            "state": entry.state,
            "path": None if entry.state == "remote" else str(entry.path),
            "address": without_password(entry.address, entry.address),
        }
        for entry in entries
    }


def show_weights(entries: Sequence[WeightsEntry], *, json: bool) -> None:
    """Print weights with task, size, training data and scores."""
    if json:
        print_json(weights_document(entries))
        return
    out.print(_weights_table(entries))
    if any(entry.scores for entry in entries):
        out.print(_scores_table(entries))


def _weights_table(entries: Sequence[WeightsEntry]) -> Table:
    made = _table("weights", "task", "default", "MB", "where", "licence", "trained on")
    for entry in entries:
        made.add_row(
            entry.name,
            entry.task or "all",
            _default(entry),
            f"{entry.bytes / 1e6:.1f}",
            entry.state,
            entry.licence,
            ", ".join(entry.training_sets),
        )
    return made


def _default(entry: WeightsEntry) -> str:
    """Say when the weights are taken: without a model, with one, or only by their name.

    Where those of one model and task differ by level, with the levels.
    """
    from memnet_cli.stores.zoo import DEFAULT_MODEL, default_entries

    if not entry.default:
        return "no"
    when = "yes" if entry.model == DEFAULT_MODEL else f"-m {entry.model}"
    if len(default_entries(entry.model, entry.task)) == 1:
        return when
    levels = "-".join(map(str, sorted({min(entry.levels), max(entry.levels)})))
    return f"{when}, {'x' if entry.task == 'sr' else ''}{levels}"


def _scores_table(entries: Sequence[WeightsEntry]) -> Table:
    made = _table("weights", "measured on", "levels", "PSNR dB")
    for entry in entries:
        for dataset, levels in entry.scores.items():
            values = (f"{score['psnr']:.2f}" for score in levels.values())
            made.add_row(entry.name, dataset, " ".join(levels), " ".join(values))
    return made


def _table(name: str, *columns: str) -> Table:
    # the longest names leave no room for two spaces between columns in 80
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    # names are there to be copied: the other columns fold, training sets between the names
    made.add_column(name, no_wrap=True)
    for column in columns:
        made.add_column(
            column,
            overflow="fold",
            justify="right" if column == "MB" else "left",
            min_width=len("LIVE1-train") if column == "trained on" else None,
        )
    return made

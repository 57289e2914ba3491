"""``memnet models``: which networks and weights there are."""

from __future__ import annotations

from typing import Annotated

import typer

from memnet_cli.cli._console import out, print_json, table


def scores_text(scores: object) -> str:
    """Return "Set5 x2 36.75, ..." of the PSNR in a manifest's scores, or a dash."""
    if not isinstance(scores, dict) or not scores:
        return "-"
    parts = []
    for dataset, levels in scores.items():
        values = "/".join(f"{score['psnr']:.2f}" for score in levels.values())
        parts.append(f"{dataset} at {'/'.join(levels)}: {values} dB")
    return "; ".join(parts)


def models(
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """List the networks, and the weights with task, training data, scores and size."""
    from memnet_cli.models import MODELS
    from memnet_cli.stores.weights import weights_entries

    entries = weights_entries()
    if json:
        print_json(
            {
                "models": {
                    name: {"title": model.title, "paper": model.paper}
                    for name, model in MODELS.items()
                },
                "weights": {
                    entry.name: {
                        "model": entry.model,
                        "task": entry.task,
                        "levels": entry.levels,
                        "training_sets": entry.training_sets,
                        "scores": entry.scores,
                        "bytes": entry.bytes,
                        "licence": entry.licence,
                        "state": entry.state,
                        "default": entry.default,
                    }
                    for entry in entries
                },
            }
        )
        return
    out.print(
        table(
            "Networks",
            ("model", "name", "paper"),
            [(name, model.title, model.paper) for name, model in MODELS.items()],
        )
    )
    out.print(
        table(
            "Weights (* used where only model and task are named)",
            ("weights", "model", "task", "trained on", "PSNR", "MB", "where"),
            [
                (
                    entry.name + (" *" if entry.default else ""),
                    entry.model,
                    entry.task or "all",
                    ", ".join(entry.training_sets),
                    scores_text(entry.scores),
                    f"{entry.bytes / 1e6:.1f}",
                    entry.state,
                )
                for entry in entries
            ],
        )
    )

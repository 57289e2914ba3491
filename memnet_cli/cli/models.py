"""``memnet models``: which networks and weights there are."""

from __future__ import annotations

from typing import Annotated

import typer

from memnet_cli.cli._console import out, print_json, table
from memnet_cli.cli._zoo import show_weights, weights_document


def models(
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """List the networks, and the weights with task, training data, scores and size."""
    from memnet_cli.models import MODELS
    from memnet_cli.stores.zoo import weights_entries

    entries = weights_entries()
    if json:
        networks = {
            name: {"title": model.title, "paper": model.paper} for name, model in MODELS.items()
        }
        print_json({"models": networks, "weights": weights_document(entries)})
        return
    rows = [(name, model.title, model.paper) for name, model in MODELS.items()]
    out.print(table("Networks", ("model", "name", "paper"), rows))
    show_weights(entries, json=False)

"""Everything that commands say: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from memnet_cli.files import encodable


class _Messages(Console):
    """Standard error; work goes on when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        """Be quiet from now on; rich would end the process."""
        self.quiet = True
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


#: Results that a user or a program reads. Names of files are no markup: "x[/b].png", ":cat:.png".
out = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
#: Progress, warnings and errors.
err = _Messages(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def printable(message: str) -> str:
    """Replace what would steer a terminal: messages quote files that anybody may have made."""
    return "".join(c if c.isprintable() else "\ufffd" for c in message)


def print_error(message: str) -> None:
    """Say what went wrong in one line on stderr."""
    err.print(Text.assemble(("Error: ", "bold red"), printable(message)))


def print_warning(message: str) -> None:
    """Say what the user should know, on stderr."""
    err.print(Text.assemble(("Warning: ", "bold yellow"), printable(message)))


def print_json(document: object) -> None:
    """Print one JSON document and nothing else on stdout."""
    write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_text(text: str) -> None:
    """Write to stdout; what its encoding has no letters for is escaped as JSON does."""
    sys.stdout.write(encodable(text, sys.stdout.encoding or "utf-8"))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table whose first column is left and whose other columns are right aligned."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


class _RateColumn(ProgressColumn):
    """Megapixels a second, from the ``pixels`` field of the task."""

    def render(self, task: Task) -> Text:
        pixels, elapsed = float(task.fields.get("pixels", 0)), task.elapsed or 0.0
        return Text(f"{pixels / elapsed / 1e6:.2f} MP/s" if pixels and elapsed else "- MP/s")


def picture_progress(*, hidden: bool) -> Progress:
    """Return a progress bar over pictures: count, megapixels a second, time left."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=hidden or not err.is_terminal,
        transient=True,
    )

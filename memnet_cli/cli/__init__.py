"""The ``memnet`` command: one file per subcommand, none of them importing torch at import time."""

from __future__ import annotations

import errno
import io
import logging
import sys
import warnings

import typer

from memnet_cli.cli._console import print_error
from memnet_cli.cli._startup import let_others_run, open_streams
from memnet_cli.cli.ablate import ablate
from memnet_cli.cli.benchmark import benchmark
from memnet_cli.cli.compare import compare
from memnet_cli.cli.degrade import degrade
from memnet_cli.cli.download_weights import download_weights
from memnet_cli.cli.export import export
from memnet_cli.cli.import_caffe import import_caffe
from memnet_cli.cli.import_torch import import_torch
from memnet_cli.cli.models import models
from memnet_cli.cli.restore import restore
from memnet_cli.cli.speed import speed
from memnet_cli.cli.train import train
from memnet_cli.config import __version__
from memnet_cli.errors import MemnetError

#: Why a stream cannot be written: a full disk or quota, a device that fails, a reader that left.
_NOT_WRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE}

#: What typer raises for options and arguments that it cannot take: click's UsageError, or its own.
_Misused: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="memnet",
    help="Restore noisy, small or JPEG-damaged pictures with MemNet, RED-Net and NLRN.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# one line per subcommand
app.command("restore")(restore)
app.command("degrade")(degrade)
app.command("benchmark")(benchmark)
app.command("compare")(compare)
app.command("speed")(speed)
app.command("models")(models)
app.command("download-weights")(download_weights)
app.command("train")(train)
app.command("ablate")(ablate)
app.command("export")(export)
app.command("import-caffe")(import_caffe)
app.command("import-torch")(import_torch)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"memnet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and leave."
    ),
) -> None:
    """Options of `memnet` itself."""


def main() -> None:
    """Run the command line; every known failure becomes one sentence and an exit code."""
    closed = open_streams()
    let_others_run()
    logging.basicConfig(format="Warning: %(message)s")
    # Pillow warns of damaged EXIF, which costs the user nothing
    warnings.filterwarnings("ignore", module="PIL")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a file that Windows redirects to has no letter for many a sign
            stream.reconfigure(errors="backslashreplace")
    try:
        _run(closed)
    except MemnetError as error:
        print_error(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is not None or error.errno not in _NOT_WRITTEN:
            raise
        # files are written where such errors are told with their names; what is left of standard
        # output would be tried again at the end
        sys.stdout = io.StringIO()
        if error.errno != errno.EPIPE:
            print_error(f"Standard output cannot be written: {error.strerror or error}.")
        sys.exit(1)


def _run(closed: frozenset[str]) -> None:
    try:
        code = app(standalone_mode=False, obj=closed)
    except _Misused as misuse:
        # without any arguments typer has printed the help already
        if type(misuse).__name__ != "NoArgsIsHelpError":
            print_error(_sentence(misuse))
        code = misuse.exit_code  # type: ignore[attr-defined]
    except typer.Abort:
        # Ctrl-C where nothing was begun that has to be told of; newer ones end with this code
        code = 130
    finally:
        sys.stdout.flush()
    sys.exit(code)


def _sentence(misuse: Exception) -> str:
    said = " ".join(misuse.format_message().split())  # type: ignore[attr-defined]
    context = getattr(misuse, "ctx", None)
    command = context.command_path if context is not None else "memnet"
    return f"{said.removesuffix('.')}: see {command} --help."

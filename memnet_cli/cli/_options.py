"""Options that several commands share: one name, one help text, one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Device = Annotated[str, typer.Option("--device", "-g", help="auto, cpu, cuda, cuda:N or mps.")]
Precision = Annotated[
    str, typer.Option("--precision", help="auto, fp32, bf16, fp16 (GPUs), int8 (MemNet on CPUs).")
]
Fp32 = Annotated[bool, typer.Option("--fp32", help="The same as --precision fp32.")]
Tile = Annotated[str, typer.Option("--tile", "-t", help="auto (from free memory), off, or pixels.")]
TileOverlap = Annotated[
    int | None,
    typer.Option("--tile-overlap", help="Pixels that tiles see of each other; else by network."),
]
TrainingPrecision = Annotated[str, typer.Option("--precision", help="auto, fp32 or bf16.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where datasets lie already; also MEMNET_DATA."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Download nothing.")]
ValidationLimit = Annotated[
    int | None, typer.Option("--val-limit", min=1, help="Only its first N pictures.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Look into sub-folders too.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite/--skip-existing", help="What to do with outputs that exist.")
]

"""What is asked about weights that were trained elsewhere, and where they are to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memnet_cli.errors import UsageError
from memnet_cli.files import exists
from memnet_cli.tasks import get_task

if TYPE_CHECKING:
    from memnet_cli.checkpoints import WeightsInfo
    from memnet_cli.models.configs import ModelConfig

OutOption = Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file to write.")]
TaskOption = Annotated[str, typer.Option("--task", help="What it restores: sr, denoise or jpeg.")]
LevelsOption = Annotated[
    list[int] | None,
    typer.Option(
        "--levels",
        "-l",
        help="Level that it was trained on; may be repeated; the task's by default.",
    ),
]
TrainingSetOption = Annotated[
    list[str] | None,
    typer.Option("--training-set", help="Dataset that it was trained on; may be repeated."),
]
LicenceOption = Annotated[
    str, typer.Option("--licence", help="Licence of the weights, kept in the file.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the file of --out.")]


@dataclass(frozen=True)
class Origin:
    """What the user says about weights from elsewhere, checked.

    Attributes:
        task: what they restore.
        levels: trained on.
        training_sets: names of catalogue datasets that they were trained on.
        licence: of the weights.
    """

    task: str
    levels: tuple[int, ...]
    training_sets: tuple[str, ...]
    licence: str

    def info(self, config: ModelConfig, file: Path) -> WeightsInfo:
        """Return the metadata of weights converted from ``file``."""
        from memnet_cli.checkpoints import WeightsInfo
        from memnet_cli.models import config_to_mapping
        from memnet_cli.stores.downloads import file_sha256

        return WeightsInfo(
            model=config.model,
            config=config_to_mapping(config),
            task=self.task,
            levels=self.levels,
            training_sets=self.training_sets,
            licence=self.licence,
            source=f"converted from {file.name} (sha256 {file_sha256(file)})",
        )


def read_origin(
    task: str, levels: Sequence[int] | None, training_sets: Sequence[str] | None, licence: str
) -> Origin:
    """Check what the user says before any work starts.

    Raises:
        UsageError: for an unknown task or an impossible level.
        DatasetError: for a training set that is not in the catalogue: the benchmark could not tell
            which of its images the weights have seen.
    """
    from memnet_cli.stores.datasets import get_dataset

    chosen = get_task(task)
    trained = tuple(dict.fromkeys(levels or chosen.levels))
    for level in trained:
        chosen.check_level(level)
    sets = tuple(training_sets or ())
    for name in sets:
        get_dataset(name)
    return Origin(chosen.name, trained, sets, licence)


def check_out(path: Path, *, force: bool) -> None:
    """Refuse a target that could not be found again as weights, or that is there already.

    Raises:
        UsageError: with what to do.
    """
    if path.suffix != ".safetensors":
        raise UsageError(f"--out {path} is no weights file: give a name ending in .safetensors.")
    if exists(path) and not force:
        raise UsageError(f"{path} is there already: give --force to replace it.")

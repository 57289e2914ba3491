"""The models that the authors of MemNet released: fetched from their repository and converted.

The names of the files are those that the programs under test/ in github.com/tyshiwo/MemNet load
from its folder model/; the training sets are those of the paper, section 5.1 (papers/memnet.txt).
The repository states no licence, so the files are never bundled. Nobody published checksums: a file
is known by being a MemNet of the right M, R and width, and its sha256 is kept with its source.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from memnet_cli.checkpoints import WeightsInfo, read_info, save_arrays
from memnet_cli.errors import DownloadError, PlacingError, WeightsError, did_you_mean
from memnet_cli.models import config_to_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores.caffe import import_memnet
from memnet_cli.stores.downloads import (
    DEFAULT_PATIENCE,
    Expected,
    Patience,
    Progress,
    download,
    file_sha256,
    join_address,
)
from memnet_cli.stores.zoo import converted_file, refuse_other
from memnet_cli.tasks import get_task

REPOSITORY = "https://github.com/tyshiwo/MemNet"
#: Where GitHub serves the files of its folder model/.
ADDRESS = f"{REPOSITORY}/raw/master/model"
LICENCE = "none stated by the authors"


@dataclass(frozen=True)
class AuthorsModel:
    """One released model.

    Attributes:
        name: what ``memnet download-weights --source authors`` takes.
        file: in the authors' repository.
        task: what it restores.
        config: the network that the file must hold.
        training_sets: catalogue names of what the paper trained it on.
    """

    name: str
    file: str
    task: str
    config: MemNetConfig
    training_sets: tuple[str, ...]

    def target(self, folder: Path | None) -> Path:
        """Return where the converted file goes: into a folder, or the cache."""
        where = converted_file(self.name)
        return where if folder is None else folder / where.name


_M6R6 = MemNetConfig(preactivated_input=True)
_M10R10 = MemNetConfig(memory_blocks=10, recursions=10, preactivated_input=True)
_SR_SETS = ("T91", "BSD-train")
_OTHER_SETS = ("BSD-train", "BSD-val")

AUTHORS_MODELS = (
    AuthorsModel("authors-m6r6-sr", "MemNet_M6R6_80C64_SR.caffemodel", "sr", _M6R6, _SR_SETS),
    AuthorsModel(
        "authors-m6r6-denoise", "MemNet_M6R6_80C64_GD.caffemodel", "denoise", _M6R6, _OTHER_SETS
    ),
    AuthorsModel(
        "authors-m6r6-jpeg", "MemNet_M6R6_80C64_JD.caffemodel", "jpeg", _M6R6, _OTHER_SETS
    ),
    AuthorsModel(
        "authors-m10r10-sr", "MemNet_M10R10_212C64_SR.caffemodel", "sr", _M10R10, _SR_SETS
    ),
)


def get_authors_model(name: str) -> AuthorsModel:
    """Return the released model called ``name``.

    Raises:
        WeightsError: for another name; the message lists the names.
    """
    known = {model.name: model for model in AUTHORS_MODELS}
    if name not in known:
        raise WeightsError(
            f"The authors released no '{name}'.{did_you_mean(name, known)} Known names: "
            f"{', '.join(known)}."
        )
    return known[name]


def fetch_and_convert(
    model: AuthorsModel,
    *,
    folder: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> Path:
    """Return the converted weights, fetching the authors' file if they are not there.

    Raises:
        DownloadError: if the file cannot be fetched.
        WeightsError: if it does not hold the network that it should.
    """
    target = model.target(folder)
    if not force and _is_converted(target, model):
        return target
    _check_place(model, folder, force=force)
    address = join_address(ADDRESS, model.file)
    with tempfile.TemporaryDirectory(prefix="memnet-") as temporary:
        file = Path(temporary) / model.file
        try:
            download(address, file, Expected(None), progress=progress, patience=patience)
        except PlacingError:
            raise
        except DownloadError as error:
            raise DownloadError(
                f"{error} A {model.file} that was fetched by other means is taken with `memnet "
                f"download-weights --source authors {model.name} --from FILE`."
            ) from None
        return convert(model, file, folder=folder, force=force, source=address)


def convert(
    model: AuthorsModel,
    file: Path,
    *,
    folder: Path | None = None,
    force: bool = False,
    source: str = REPOSITORY,
) -> Path:
    """Convert the authors' file for ``model`` into the cache or a folder.

    Raises:
        WeightsError: if the file does not hold the network that it should, or cannot be written, or
            another one of that name lies in ``folder`` and ``force`` is not given.
    """
    _check_place(model, folder, force=force)
    config, state = import_memnet(file)
    if config != model.config:
        raise WeightsError(
            f"{file} holds a MemNet of {_size(config)}, expected one of {_size(model.config)}: "
            f"the authors' {model.file}."
        )
    target = model.target(folder)
    info = WeightsInfo(
        model="memnet",
        config=config_to_mapping(config),
        task=model.task,
        levels=get_task(model.task).levels,
        training_sets=model.training_sets,
        recipe="the authors' release, Tai et al., ICCV 2017",
        licence=LICENCE,
        source=f"{source} (sha256 {file_sha256(file)})",
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"Cannot write {target}: {error.strerror}.") from None
    save_arrays(target, state, info)
    return target


def _check_place(model: AuthorsModel, folder: Path | None, *, force: bool) -> None:
    """Refuse to replace what is not this model in a folder; the cache is ours."""
    target = model.target(folder)
    if folder is not None and not force and not _is_converted(target, model):
        refuse_other(target)


def _size(config: MemNetConfig) -> str:
    return f"M = {config.memory_blocks}, R = {config.recursions}, {config.width} maps"


def _is_converted(target: Path, model: AuthorsModel) -> bool:
    try:
        info = read_info(target)
    except WeightsError:
        return False
    return info.config == config_to_mapping(model.config) and info.task == model.task

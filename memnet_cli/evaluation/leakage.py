"""Find the benchmark images that weights have seen in training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from memnet_cli.checkpoints import WeightsInfo
from memnet_cli.errors import DatasetError
from memnet_cli.stores.datasets import DatasetImage, get_dataset

#: Hex digits by which ``WeightsInfo.training_images`` names a file.
HASH_DIGITS = 16
#: Sets whose files are re-encoded copies of another's, so that hashes cannot tell:
#: the 68 grey PNGs of Roth and Black are 68 of the BSD-val JPEGs.
_COPIES = {"BSD-val": ("BSD68",), "BSD100": ("BSD68",)}


def content_hash(image: DatasetImage) -> str:
    """Return the sha256 of the image's file; catalogue images carry it already."""
    return image.sha256 or hashlib.sha256(image.path.read_bytes()).hexdigest()


def _set_hashes(name: str) -> frozenset[str]:
    try:
        files = get_dataset(name).files
    except DatasetError:
        return frozenset()  # trained on a folder that is not in the catalogue: hashes tell
    return frozenset(file.sha256[:HASH_DIGITS] for file in files)


def training_hashes(info: WeightsInfo) -> frozenset[str]:
    """Return the first 16 hex digits of the sha256 of every file the weights were trained on."""
    names = {
        name for trained in info.training_sets for name in (trained, *_COPIES.get(trained, ()))
    }
    return frozenset(info.training_images).union(*(_set_hashes(name) for name in names))


def seen_images(info: WeightsInfo, images: Sequence[DatasetImage]) -> frozenset[str]:
    """Return the names of those ``images`` that the weights were trained on, by content hash.

    An image counts as seen if its file has the same bytes as a training file, in the catalogue or
    in any folder; weights that do not say what they were trained on have seen nothing that can be
    told.
    """
    trained = training_hashes(info)
    if not trained:
        return frozenset()
    return frozenset(image.name for image in images if content_hash(image)[:HASH_DIGITS] in trained)

"""Find the benchmark images that weights have seen in training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from memnet_cli.checkpoints import WeightsInfo
from memnet_cli.errors import DatasetError
from memnet_cli.stores.datasets import DatasetImage, get_dataset

#: Hex digits by which ``WeightsInfo.training_images`` names a file.
HASH_DIGITS = 16
#: Files of other sets that show what a training set does, cut or encoded anew, so that hashes
#: cannot tell; without names, all of them. The 68 grey PNGs of Roth and Black are 68 of the BSD-val
#: JPEGs; the starfish of Set12 is the middle of 12003.jpg of BSD-train, pixel by pixel.
_COPIES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "BSD-val": {"BSD68": ()},
    "BSD100": {"BSD68": ()},
    "BSD-train": {"Set12": ("04.png",)},
}


#: What the papers' own training set shows in another size: Set5's woman is 302003.jpg of BSD-train.
#: Every network for enlarging that learned from the field's 291 images has seen it: it is measured,
#: so that figures can be compared, and its mean without it is told.
_SEEN_BY_ALL: Mapping[str, Mapping[str, Sequence[str]]] = {
    "BSD-train": {"Set5": ("woman_GT.bmp",)},
}


def also_seen(training_sets: Sequence[str], dataset: str) -> tuple[str, ...]:
    """Return the images of a dataset that such sets show, as those of the papers do."""
    shown = [_SEEN_BY_ALL.get(name, {}).get(dataset, ()) for name in training_sets]
    return tuple(dict.fromkeys(name for names in shown for name in names))


def content_hash(image: DatasetImage) -> str:
    """Return the sha256 of the image's file; catalogue images carry it already."""
    return image.sha256 or hashlib.sha256(image.path.read_bytes()).hexdigest()


def _hashes(name: str, only: Sequence[str] = ()) -> Iterator[str]:
    """Yield the hashes of a set's files, or of some of them."""
    try:
        files = get_dataset(name).files
    except DatasetError:
        return  # trained on a folder that is not in the catalogue: hashes tell
    yield from (f.sha256[:HASH_DIGITS] for f in files if not only or f.name in only)


def training_hashes(info: WeightsInfo) -> frozenset[str]:
    """Return the first 16 hex digits of the sha256 of every file the weights were trained on."""
    hashes = set(info.training_images)
    for trained in info.training_sets:
        hashes.update(_hashes(trained))
        for name, only in _COPIES.get(trained, {}).items():
            hashes.update(_hashes(name, only))
    return frozenset(hashes)


def seen_images(info: WeightsInfo, images: Sequence[DatasetImage]) -> frozenset[str]:
    """Return the names of those ``images`` that the weights were trained on, by content hash.

    An image counts as seen if its file has the same bytes as a training file, in the catalogue or
    in any folder, or is known to show the same; weights that do not say what they were trained on
    have seen nothing that can be told.
    """
    trained = training_hashes(info)
    if not trained:
        return frozenset()
    return frozenset(image.name for image in images if content_hash(image)[:HASH_DIGITS] in trained)

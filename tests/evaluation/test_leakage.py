from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from memnet_cli.checkpoints import WeightsInfo
from memnet_cli.evaluation.leakage import seen_images
from memnet_cli.stores.datasets import DatasetImage, get_dataset

from .conftest import Images


def info(*sets: str, hashes: tuple[str, ...] = ()) -> WeightsInfo:
    return WeightsInfo("memnet", {}, "denoise", training_sets=sets, training_images=hashes)


def test_bsd100_is_bsd_val_under_another_name(mirrored: Images) -> None:
    assert len(seen_images(info("BSD-train", "BSD-val"), mirrored("BSD100"))) == 100
    assert seen_images(info("BSD-train"), mirrored("BSD100")) == frozenset()
    assert seen_images(info("T91", "BSD-train"), mirrored("Set14")) == frozenset()


def test_live1_is_seen_by_what_was_trained_on_most_of_it(mirrored: Images) -> None:
    assert len(seen_images(info("T91", "LIVE1-train"), mirrored("LIVE1"))) == 27
    assert seen_images(info("LIVE1-train"), mirrored("Set14")) == frozenset()


def test_a_copied_file_is_found_by_its_content(mirrored: Images, tmp_path: Path) -> None:
    renamed = tmp_path / "innocent.jpg"
    shutil.copy(mirrored("BSD-train")[7].path, renamed)
    other = tmp_path / "other.jpg"
    shutil.copy(mirrored("BSD200")[0].path, other)
    images = (DatasetImage(renamed.name, renamed, None), DatasetImage(other.name, other, None))
    assert seen_images(info("BSD-train"), images) == {"innocent.jpg"}


def test_own_training_images_are_named_by_hash(tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    own.write_bytes(b"anything")
    digest = hashlib.sha256(b"anything").hexdigest()
    image = DatasetImage("own.png", own, None)
    assert seen_images(info("a folder of mine", hashes=(digest[:16],)), (image,)) == {"own.png"}
    assert seen_images(info(hashes=("0" * 16,)), (image,)) == frozenset()


def test_bsd68_is_drawn_from_bsd_val_though_its_files_differ() -> None:
    images = tuple(
        DatasetImage(str(index), Path("not read"), file.sha256)
        for index, file in enumerate(get_dataset("BSD68").files)
    )
    assert len(seen_images(info("BSD-val"), images)) == 68
    assert seen_images(info("BSD-train"), images) == frozenset()


def test_weights_that_say_nothing_have_seen_nothing_that_can_be_told(mirrored: Images) -> None:
    assert seen_images(info(), mirrored("Set5")) == frozenset()

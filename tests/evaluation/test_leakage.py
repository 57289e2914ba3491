from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.checkpoints import WeightsInfo, read_info
from memnet_cli.evaluation.leakage import also_seen, seen_images
from memnet_cli.stores import zoo as listed
from memnet_cli.stores.datasets import DatasetImage, get_dataset
from memnet_cli.training.ablation import BUILT_IN, load_ablation

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
    assert len(seen_images(info("BSD-val"), _listed("BSD68"))) == 68
    assert seen_images(info("BSD-train"), _listed("BSD68")) == frozenset()


def test_set12_shows_the_middle_of_a_training_picture(mirrored: Images) -> None:
    (starfish,) = (image for image in mirrored("Set12") if image.name == "04.png")
    (whole,) = (image for image in mirrored("BSD-train") if image.name == "12003.jpg")
    middle = np.asarray(Image.open(whole.path).convert("L"))[7:263, 109:365]
    difference = np.asarray(Image.open(starfish.path)).astype(int) - middle
    assert np.abs(difference).max() <= 1  # grey by another rounding
    assert seen_images(info("BSD-train"), mirrored("Set12")) == {"04.png"}
    assert seen_images(info("T91", "BSD-val", "LIVE1-train"), mirrored("Set12")) == frozenset()


def test_set5_shows_a_training_picture_in_another_size(mirrored: Images) -> None:
    """And no other picture of the sets that are measured for enlarging does."""

    def small(image: DatasetImage) -> NDArray[np.float64]:
        grey = Image.open(image.path).convert("L").resize((24, 24), Image.Resampling.BOX)
        values = np.asarray(grey, np.float64).ravel()
        values = values - values.mean()
        unit: NDArray[np.float64] = values / np.linalg.norm(values)
        return unit

    training = np.array([small(i) for name in ("BSD-train", "T91") for i in mirrored(name)])
    alike = {
        image.name
        for name in ("Set5", "Set14", "BSD100")
        for image in mirrored(name)
        if (training @ small(image)).max() > 0.95
    }
    assert alike == {"woman_GT.bmp"} == set(also_seen(("T91", "BSD-train"), "Set5"))
    assert also_seen(("T91", "BSD-val"), "Set5") == also_seen(("BSD-train",), "Set14") == ()


def _listed(name: str) -> tuple[DatasetImage, ...]:
    return tuple(
        DatasetImage(file.name, Path("not read"), file.sha256) for file in get_dataset(name).files
    )


def test_no_bundled_weights_have_a_score_on_what_they_were_trained_on() -> None:
    for entry in listed.weights_entries():
        if entry.bundled:
            recorded = read_info(entry.path)
            for name in recorded.scores:
                assert not seen_images(recorded, _listed(name)), (entry.name, name)


def test_no_built_in_ablation_is_measured_on_what_it_trains_on() -> None:
    for name in BUILT_IN:
        ablation = load_ablation(name)
        assert not seen_images(info(*ablation.data), _listed(ablation.dataset)), name


def test_weights_that_say_nothing_have_seen_nothing_that_can_be_told(mirrored: Images) -> None:
    assert seen_images(info(), mirrored("Set5")) == frozenset()

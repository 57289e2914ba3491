from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memnet_cli.errors import DatasetError, UsageError, WeightsError
from memnet_cli.evaluation.plan import BenchmarkConfig, make_plan

from .conftest import MakeWeights


def test_a_folder_is_measured_in_every_task_at_the_papers_levels(picture_folder: Path) -> None:
    plan = make_plan(BenchmarkConfig((str(picture_folder),), models=("degraded",)))
    assert [(s.task.name, s.levels) for s in plan.sets] == [
        ("sr", (2, 3, 4)),
        ("denoise", (30, 50, 70)),
        ("jpeg", (10, 20)),
    ]
    assert plan.pictures == 3 * 8


def test_methods_run_where_they_fit_and_the_rest_is_told(
    picture_folder: Path, make_weights: MakeWeights
) -> None:
    weights = str(make_weights("sr"))
    models = ("degraded", "nlm", weights)
    plan = make_plan(BenchmarkConfig((str(picture_folder),), models=models))
    names = {s.task.name: [method.name.text for method in s.methods] for s in plan.sets}
    assert names == {
        "sr": ["degraded", "tiny"],
        "denoise": ["degraded", "nlm"],
        "jpeg": ["degraded"],
    }
    assert sum("tiny" in note for note in plan.notes) == 2


def test_method_that_fits_no_task_is_an_error(
    picture_folder: Path, make_weights: MakeWeights
) -> None:
    config = BenchmarkConfig(
        (str(picture_folder),), tasks=("jpeg",), models=("degraded", str(make_weights("sr")))
    )
    with pytest.raises(WeightsError, match="trained for sr, not for jpeg"):
        make_plan(config)


def test_default_weights_are_those_of_each_level(picture_folder: Path, by_level: Path) -> None:
    config = BenchmarkConfig((str(picture_folder),), tasks=("sr",), models=("bicubic", "memnet"))
    plan = make_plan(config)
    (planned,) = plan.sets
    named = {
        level: [method.weights and method.weights.stem for method in planned.methods_at(level)]
        for level in planned.levels
    }
    assert named == {2: [None, "every-sr"], 3: [None, "every-sr"], 4: [None, "x4-sr"]}
    assert plan.pictures == 3 * 3 * 2
    (only,) = make_plan(dataclasses.replace(config, levels=(4,))).sets
    assert [method.levels for method in only.methods] == [(), ()]  # nothing to tell apart


def test_levels_tasks_and_limit(picture_folder: Path) -> None:
    config = BenchmarkConfig(
        (str(picture_folder),), tasks=("sr",), levels=(4, 2, 4), models=("bicubic",), limit=2
    )
    (planned,) = make_plan(config).sets
    assert planned.levels == (2, 4)
    assert len(planned.images) == 2


def test_too_small_a_picture_is_refused_before_anything_runs(picture_folder: Path) -> None:
    Image.fromarray(np.zeros((15, 40), np.uint8)).save(picture_folder / "zz.png")
    config = BenchmarkConfig((str(picture_folder),), tasks=("sr",), models=("bicubic",))
    with pytest.raises(DatasetError, match=r"zz\.png is 40x15 pixels, too small"):
        make_plan(config)


def test_damaged_picture_is_refused(picture_folder: Path) -> None:
    config = BenchmarkConfig((str(picture_folder),), tasks=("sr",), models=("bicubic",))
    whole = (picture_folder / "second.png").read_bytes()
    for content in (b"no picture", whole[: len(whole) // 2]):
        (picture_folder / "zz.png").write_bytes(content)
        with pytest.raises(DatasetError, match=r"zz\.png"):
            make_plan(config)


def test_a_folder_is_one_with_and_without_a_slash_behind_it(picture_folder: Path) -> None:
    both = (str(picture_folder), f"{picture_folder}/")
    config = BenchmarkConfig(both, tasks=("sr",), models=("bicubic",))
    assert [planned.dataset for planned in make_plan(config).sets] == [str(picture_folder)]


def test_a_slash_tells_a_folder_from_a_set_of_its_name(
    picture_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = picture_folder.rename(picture_folder.with_name("Set5"))
    monkeypatch.chdir(named.parent)
    (planned,) = make_plan(BenchmarkConfig(("Set5/",), ("sr",), models=("bicubic",))).sets
    assert (planned.dataset, len(planned.images)) == ("Set5/", 3)
    assert planned.images[0].path.parent.resolve() == named.resolve()


def test_what_is_called_as_another_file_with_self_ensemble_is_refused(
    picture_folder: Path, make_weights: MakeWeights
) -> None:
    first = make_weights()
    second = first.with_name(f"{first.stem}+.safetensors")
    second.write_bytes(first.read_bytes())
    folder = (str(picture_folder),)
    make_plan(BenchmarkConfig(folder, ("sr",), models=(str(first), f"{first}+"), tta=True))
    with pytest.raises(UsageError, match=r"both called 'tiny\+'"):
        make_plan(BenchmarkConfig(folder, ("sr",), models=(str(first), str(second)), tta=True))


def test_what_is_to_be_done_depends_on_what_was_given(
    picture_folder: Path, make_weights: MakeWeights
) -> None:
    folder = (str(picture_folder),)
    with pytest.raises(UsageError, match="Give --task for levels of one task alone"):
        make_plan(BenchmarkConfig(folder, levels=(30,)))
    with pytest.raises(UsageError, match=r"sr takes 2 to 8\.$"):
        make_plan(BenchmarkConfig(folder, tasks=("sr",), levels=(30,)))
    mixed = BenchmarkConfig(folder, tasks=("sr", "jpeg"), models=(str(make_weights()),))
    with pytest.raises(UsageError, match="add one, or leave that task out"):
        make_plan(mixed)


def test_seen_images_are_refused_or_marked(picture_folder: Path, make_weights: MakeWeights) -> None:
    digest = hashlib.sha256((picture_folder / "second.png").read_bytes()).hexdigest()
    weights = str(make_weights(training_images=(digest[:16],)))
    config = BenchmarkConfig((str(picture_folder),), tasks=("sr",), models=(weights,))
    with pytest.raises(DatasetError, match=r"tiny were trained on 1 of the 3 images.*--allow-seen"):
        make_plan(config)
    allowed = BenchmarkConfig(
        (str(picture_folder),), tasks=("sr",), models=(weights,), allow_seen=True
    )
    assert make_plan(allowed).sets[0].seen["tiny"] == {"second.png"}


def test_two_files_of_one_name_are_refused(
    picture_folder: Path, make_weights: MakeWeights, tmp_path: Path
) -> None:
    first = make_weights()
    (tmp_path / "elsewhere").mkdir()
    second = tmp_path / "elsewhere" / first.name
    second.write_bytes(first.read_bytes())
    config = BenchmarkConfig((str(picture_folder),), models=(str(first), str(second)))
    with pytest.raises(UsageError, match="both called 'tiny'"):
        make_plan(config)


def test_level_out_of_range_and_unknown_task(picture_folder: Path) -> None:
    with pytest.raises(UsageError, match="scale factor 9 is out of range"):
        make_plan(BenchmarkConfig((str(picture_folder),), tasks=("sr",), levels=(9,)))
    with pytest.raises(UsageError, match="no task 'deblur'"):
        make_plan(BenchmarkConfig((str(picture_folder),), tasks=("deblur",)))


def test_unknown_dataset_lists_the_known_ones() -> None:
    with pytest.raises(DatasetError, match=r"Set15.*Set14"):
        make_plan(BenchmarkConfig(("Set15",), models=("bicubic",)))


def test_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty"):
        make_plan(BenchmarkConfig((str(tmp_path / "empty"),), models=("degraded",)))

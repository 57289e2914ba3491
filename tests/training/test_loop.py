"""Whole runs: they learn, end in time, measure what they did not train on, and keep records."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.checkpoints import WeightsInfo, load_weights, read_info, save_weights
from memnet_cli.errors import DatasetError, MemnetError, TrainingError, UsageError
from memnet_cli.evaluation.benchmark import evaluate
from memnet_cli.evaluation.leakage import content_hash, seen_images
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.stores.datasets import find_images
from memnet_cli.tasks import get_task
from memnet_cli.training.clock import Clock
from memnet_cli.training.config import Budget, TrainingConfig
from memnet_cli.training.data import HELD_BACK, gather_data, hold_back
from memnet_cli.training.events import Event, Measured, Note, Progress
from memnet_cli.training.recipe_files import load_recipe
from tests.training.conftest import checkpoint_of, run, with_recipe


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ("sr", ()),
        ("denoise", ()),
        ("jpeg", ("whitened=true",)),
        ("denoise", ("whitened=true", "model.unshuffle=2", "model.width=8", "patch=24")),
        ("denoise", ("whitened=true", "model.non_local=1", "model.width=8", "patch=24")),
    ],
)
def test_a_run_learns(tiny: TrainingConfig, task: str, more: tuple[str, ...]) -> None:
    muon = ("optimizer=muon", "lr=0.02", "warmup=0.0", *more)
    config = replace(
        with_recipe(tiny, *muon, "batch=8", "hardest_of=2"),
        task=task,
        budget=Budget(steps=60),
    )
    said: list[Event] = []
    result = run(config, said.append)
    losses = [event.loss for event in said if isinstance(event, Progress)]
    assert losses[-1] < 0.5 * losses[0]
    assert result.finished
    assert set(result.scores) == set(get_task(task).levels)


def test_the_scores_are_those_of_the_benchmark_on_pictures_held_back(
    tiny: TrainingConfig,
) -> None:
    data = gather_data(tiny)
    held = data.validation.images
    assert (len(data.images), len(held), data.validation.name) == (5, 1, HELD_BACK)
    result = run(tiny)
    info = read_info(result.weights)
    assert not seen_images(info, held)
    assert seen_images(info, data.images) == {image.name for image in data.images}
    restorer = Restorer.load(task="sr", weights=result.weights, device="cpu", precision="fp32")
    for level, score in result.scores.items():
        again = evaluate(restorer.restore_plane, held, get_task("sr"), level)
        assert again.psnr == pytest.approx(score.psnr, abs=1e-3)
        stored = info.scores[HELD_BACK][str(level)]
        assert stored["psnr"] == pytest.approx(score.psnr, abs=1e-4)


def test_a_picture_that_is_held_back_is_trained_on_from_no_other_folder(
    tiny: TrainingConfig, pictures: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(pictures, tmp_path / "again")
    for path in sorted(again.iterdir()):
        path.rename(again / f"copy-of-{path.name}")
    data = gather_data(replace(tiny, data=(*tiny.data, str(again))))
    held = {content_hash(image) for image in data.validation.images}
    assert held and data.images
    assert held.isdisjoint(content_hash(image) for image in data.images)


@pytest.mark.parametrize(("limit", "told"), [(1, False), (2, True), (None, True)])
def test_scores_of_a_part_of_a_set_are_not_put_into_the_weights_as_the_sets(
    tiny: TrainingConfig, pictures: Path, tmp_path: Path, limit: int | None, told: bool
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for number in range(2):
        with Image.open(pictures / f"{number}.png") as picture:
            picture.rotate(90, expand=True).save(others / f"{number}.png")
    result = run(replace(tiny, validation=str(others), validation_limit=limit))
    assert len(result.scores[2].images) == (limit or 2)
    for which in ("last", "best"):
        scores = read_info(tiny.out / f"{which}.safetensors").scores
        assert bool(scores) == told


def test_a_budget_that_is_over_before_the_first_step_leaves_no_weights(
    tiny: TrainingConfig,
) -> None:
    short = replace(tiny, budget=Budget(seconds=1e-3))
    with pytest.raises(TrainingError, match=r"0\.001 s were over before the first step"):
        run(short)
    assert not list(tiny.out.glob("*.safetensors"))
    assert run(replace(tiny, resume=True, budget=Budget(steps=2))).step == 2


def test_the_weights_say_how_they_were_made(tiny: TrainingConfig) -> None:
    result = run(tiny)
    _, info = load_weights(result.weights)
    assert (info.model, info.task, info.levels) == ("memnet", "sr", (2, 3, 4))
    assert (info.steps, info.pixels_seen) == (6, 6 * 4 * 16 * 16)
    assert info.config == config_to_mapping(tiny.model_config)
    recipe = tiny.out / "written.toml"
    recipe.write_text(info.recipe)
    assert replace(load_recipe(str(recipe), "memnet"), name="fast") == tiny.recipe
    assert (tiny.out / "recipe.toml").read_text() == info.recipe


def test_a_run_ends_measured_within_its_time(tiny: TrainingConfig) -> None:
    config = replace(with_recipe(tiny, "grow_to=2", "grow_at=0.5"), budget=Budget(seconds=12.0))
    said: list[Event] = []
    start = time.monotonic()
    result = run(config, said.append)
    # much more than a step and a picture, much less than measuring on top of the budget
    assert time.monotonic() - start < 15.0
    assert result.finished and result.scores
    told = [event for event in said if isinstance(event, Progress)]
    assert told[-1].lr < 0.05 * config.recipe.lr  # annealed
    assert Note("Grown to 2 recursions.") in said
    progress = [event.progress for event in told]
    assert progress == sorted(progress)


def test_epochs_are_counted_in_patches(tiny: TrainingConfig) -> None:
    config = replace(
        with_recipe(tiny, "stride=40", "augment=false", "levels=2", "sizes=1.0"),
        budget=Budget(epochs=2),
    )
    # 5 pictures of 60x72 hold 2x2 patches of 16 at a distance of 40: 20 an epoch, 4 a step
    assert run(config).step == 10


def _instantly(clock: Clock, _seconds: float) -> None:
    clock.measuring = 1e-9


def test_measuring_on_the_way_keeps_the_best(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Event] = []
    # as if measuring took no time, so that every step is followed by it
    monkeypatch.setattr(Clock, "expect_measuring", _instantly)
    run(replace(tiny, validation_share=0.9, budget=Budget(steps=4)), said.append)
    measured = [event for event in said if isinstance(event, Measured)]
    assert len(measured) == 5  # after every step, and at the end
    assert measured[0].best
    means = [np.mean([score["psnr"] for score in event.scores.values()]) for event in measured]
    best = read_info(tiny.out / "best.safetensors")
    kept = np.mean([score["psnr"] for score in best.scores[HELD_BACK].values()])
    assert kept == pytest.approx(max(means), abs=1e-3)
    assert [event.best for event in measured] == [
        all(mean > earlier for earlier in means[:index]) for index, mean in enumerate(means)
    ]


def test_metrics_and_curves_are_kept(tiny: TrainingConfig) -> None:
    run(tiny)
    lines = (tiny.out / "metrics.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["kind"] for entry in entries] == ["train", "train", "train", "validation"]
    assert {"loss", "lr", "pixels_per_second", "peak_share", "data_share"} <= entries[0].keys()
    assert entries[-1]["scores"]["2"]["psnr"] > 0
    with Image.open(tiny.out / "curves.png") as curves:
        assert curves.size == (900, 960)
        colours = {colour for _, colour in curves.getcolors(maxcolors=10**6) or []}
    assert (31, 119, 180) in colours  # the first curve's


def test_accumulated_parts_equal_the_whole_batch(tiny: TrainingConfig) -> None:
    # without BN the parts are independent, as in RED-Net
    recipe = load_recipe(
        "fast", "rednet", ["model.depth=4", "model.width=4", "batch=4", "patch=16", "optimizer=sgd"]
    )
    whole = replace(tiny, model="rednet", recipe=recipe)
    parts = replace(whole, recipe=replace(recipe, accumulate=4), out=tiny.out.with_name("parts"))
    run(whole)
    run(parts)
    one, other = checkpoint_of(whole).model, checkpoint_of(parts).model
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-6


def test_recalibrated_results_are_measured_and_kept(tiny: TrainingConfig) -> None:
    config = with_recipe(tiny, "recalibrate=3")
    run(config)
    mean = checkpoint_of(config).mean
    model, _ = load_weights(config.out / "last.safetensors")
    kept = model.state_dict()
    assert mean is not None
    name = "blocks.0.recursion.norm1.0"
    assert bool((kept[f"{name}.weight"] == mean[f"{name}.weight"]).all())
    assert not bool((kept[f"{name}.running_mean"] == mean[f"{name}.running_mean"]).all())


def test_a_set_that_is_trained_on_is_not_measured_on(
    tiny: TrainingConfig, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"6 of the 6 pictures of .* are trained on \(0.png,"):
        gather_data(replace(tiny, validation=str(pictures)))
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "other-name.png").write_bytes((pictures / "3.png").read_bytes())
    with pytest.raises(UsageError, match=r"1 of the 1 pictures of .* are trained on"):
        gather_data(replace(tiny, validation=str(copy)))


def test_pictures_that_first_weights_saw_are_not_held_back(pictures: Path, tmp_path: Path) -> None:
    images = find_images(str(pictures))
    seen = tuple(content_hash(image)[:16] for image in images[:4])
    config = MemNetConfig(memory_blocks=1, recursions=1, width=1)
    info = WeightsInfo("memnet", config_to_mapping(config), "sr", training_images=seen)
    save_weights(tmp_path / "seen.safetensors", build_model(config), info)
    _, held = hold_back(images, [info], 16)
    assert [image.name for image in held] == ["5.png"]
    everything = replace(info, training_images=tuple(content_hash(i)[:16] for i in images))
    assert hold_back(images, [everything], 16) == (images, ())
    assert hold_back(images, [], 61) == (images, ())


def test_the_only_picture_that_holds_a_patch_is_not_held_back(
    tiny: TrainingConfig, tmp_path: Path, photograph: NDArray[np.uint8]
) -> None:
    for number, side in enumerate((12, 12, 12, 64, 12)):
        Image.fromarray(photograph[:side, :side]).save(tmp_path / f"{number}.png")
    said: list[Event] = []
    assert run(replace(tiny, data=(str(tmp_path),)), said.append).finished
    small = "pictures and copies are smaller than a patch of 16x16 pixels: left out."
    assert any(isinstance(event, Note) and small in event.text for event in said)


@pytest.mark.parametrize(
    ("size", "data", "message"),
    [((12, 12), None, "too small for scale factor 2"), ((60, 60), b"\x89PNG", "damaged")],
)
def test_a_picture_that_cannot_be_measured_is_told_before_the_first_step(
    tiny: TrainingConfig,
    pictures: Path,
    tmp_path: Path,
    size: tuple[int, int],
    data: bytes | None,
    message: str,
) -> None:
    (tmp_path / "measured").mkdir()
    bad = tmp_path / "measured" / "bad.png"
    Image.open(pictures / "0.png").transpose(Image.Transpose.ROTATE_180).resize(size).save(bad)
    if data is not None:
        bad.write_bytes(data + bad.read_bytes()[len(data) : -400])
    said: list[Event] = []
    with pytest.raises(MemnetError, match=message):
        run(replace(tiny, validation=str(bad.parent)), said.append)
    assert not any(isinstance(event, Progress) for event in said)
    assert not tiny.out.exists()


def test_a_run_folder_of_pictures_is_refused(tiny: TrainingConfig, pictures: Path) -> None:
    with pytest.raises(UsageError, match="is also a folder of pictures"):
        gather_data(replace(tiny, out=pictures / "." / ""))


def test_one_picture_alone_is_trained_on_and_nothing_is_measured(
    tiny: TrainingConfig, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "a.png").write_bytes((pictures / "0.png").read_bytes())
    result = run(replace(tiny, data=(str(tmp_path / "single"),)))
    assert result.finished
    assert result.scores == {}
    assert not (tiny.out / "best.safetensors").exists()


def test_pictures_smaller_than_a_patch_are_refused(
    tiny: TrainingConfig, tmp_path: Path, photograph: NDArray[np.uint8]
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    Image.fromarray(photograph[:15, :40]).save(folder / "small.png")
    with pytest.raises(DatasetError, match="as large as a patch of 16x16 pixels"):
        run(replace(tiny, data=(str(folder),)))


def test_pictures_smaller_than_a_scale_factor_are_left_out(
    tiny: TrainingConfig, tmp_path: Path, photograph: NDArray[np.uint8]
) -> None:
    for number, (height, width) in enumerate([(64, 64), (48, 64), (9, 7)] + [(7, 9)] * 9):
        Image.fromarray(photograph[:height, :width]).save(tmp_path / f"{number}.png")
    small = with_recipe(tiny, "levels=8", "patch=6", "batch=32")
    assert run(replace(small, data=(str(tmp_path),))).finished


def test_frozen_statistics_stay_those_of_the_first_weights(tiny: TrainingConfig) -> None:
    run(tiny)
    first = load_weights(tiny.out / "last.safetensors")[0].state_dict()
    config = replace(
        with_recipe(tiny, "freeze_statistics=true"),
        init=(tiny.out / "last.safetensors",),
        out=tiny.out / "more",
    )
    run(config)
    second = load_weights(config.out / "last.safetensors")[0].state_dict()
    for name, tensor in second.items():
        assert torch.equal(tensor, first[name]) == ("running" in name), name

"""The protocols reproduce the untrained rows of the papers and agree with other libraries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from memnet_cli.errors import DatasetError, UsageError
from memnet_cli.evaluation.benchmark import Plane, evaluate
from memnet_cli.evaluation.protocols import (
    PROTOCOLS,
    check_size,
    comparable,
    describe,
    grey_uint8,
    image_rng,
    prepare,
    score,
    shrink_factor,
)
from memnet_cli.imaging.metrics import psnr, ssim
from memnet_cli.stores.datasets import DatasetImage
from memnet_cli.tasks import TASKS, get_task

Images = Callable[[str], tuple[DatasetImage, ...]]

# dataset, task, level, tolerance in dB, tolerance in SSIM (None: the papers' copy differs)
UNTRAINED = [
    *(("Set5", "sr", scale, 0.01, 0.0002) for scale in (2, 3, 4)),
    *(("BSD100", "sr", scale, 0.01, 0.0002) for scale in (2, 3, 4)),
    *(("Set14", "sr", scale, 0.02, None) for scale in (2, 3, 4)),
    *(("Classic5", "jpeg", quality, 0.01, 0.0002) for quality in (10, 20)),
    *(("LIVE1", "jpeg", quality, 0.01, 0.0002) for quality in (10, 20)),
]


def unrestored(degraded: Plane) -> Plane:
    return degraded


@pytest.mark.parametrize("expected", UNTRAINED, ids=str)
def test_untrained_rows_are_the_papers(
    shared: Path, mirrored: Images, expected: tuple[str, str, int, float, float | None]
) -> None:
    dataset, task, level, psnr_off, ssim_off = expected
    rows = json.loads((shared / "published.json").read_text())["rows"]
    (published,) = (
        row
        for row in rows
        if (row["paper"], row["dataset"], row["task"], row["level"])
        == ("memnet", dataset, task, level)
        and row["method"] in ("Bicubic", "JPEG")
    )
    scores = evaluate(unrestored, mirrored(dataset), get_task(task), level, dataset=dataset)
    assert scores.psnr == pytest.approx(published["psnr"], abs=psnr_off)
    if ssim_off is not None:
        assert scores.ssim == pytest.approx(published["ssim"], abs=ssim_off)


def test_pictures_of_two_shapes_are_not_compared() -> None:
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match=r"shape|dimensions"):
            measure(np.zeros((11, 12)), np.zeros((1, 12)))


@pytest.mark.parametrize("sigma", [30, 50, 70])
def test_noise_has_the_closed_form_psnr(mirrored: Images, sigma: int) -> None:
    scores = evaluate(unrestored, mirrored("Set14-denoise"), get_task("denoise"), sigma)
    assert scores.psnr == pytest.approx(20 * np.log10(255 / sigma), abs=0.02)


@pytest.mark.parametrize("name", ["sr", "jpeg"])
def test_scores_equal_torchmetrics(mirrored: Images, name: str) -> None:
    task, level = TASKS[name], TASKS[name].levels[0]
    pixels = np.asarray(Image.open(mirrored("Set5")[2].path))
    pair = prepare(pixels, task, level, image_rng(0, "butterfly", level))
    measured = score(pair.clean, pair.degraded, task, level)
    clean, output = (
        torch.from_numpy(plane)[None, None]
        for plane in comparable(pair.clean, pair.degraded, task, level)
    )
    psnr = peak_signal_noise_ratio(output, clean, data_range=255.0)
    _, similarity = structural_similarity_index_measure(
        output, clean, sigma=1.5, kernel_size=11, data_range=255.0, return_full_image=True
    )
    assert measured.psnr == pytest.approx(float(psnr), abs=1e-6)
    # Wang's code averages where the 11x11 window fits, torchmetrics over the mirrored border too
    assert measured.ssim == pytest.approx(float(similarity[..., 5:-5, 5:-5].mean()), abs=1e-6)


def test_super_resolution_crops_shaves_and_rounds() -> None:
    task = get_task("sr")
    pixels = np.random.default_rng(1).integers(0, 256, (41, 50, 3), dtype=np.uint8)
    pair = prepare(pixels, task, 4, np.random.default_rng(0))
    assert pair.clean.shape == pair.degraded.shape == (40, 48)
    restored = pair.clean / 255.0
    restored[:4] = 0.0  # inside the border that is shaved
    restored += 0.49 / 255  # rounds back to the same 8-bit values
    result = score(pair.clean, restored, task, 4)
    assert result.psnr == np.inf
    assert result.ssim == 1.0


@pytest.mark.parametrize("name", ["denoise", "jpeg"])
def test_other_tasks_keep_borders_and_fractions(name: str) -> None:
    task, level = TASKS[name], TASKS[name].levels[0]
    clean = np.full((20, 30), 128, np.uint8)
    off = clean / 255.0
    off[0, 0] += 0.4 / 255
    expected = 10 * np.log10(255**2 / (0.4**2 / clean.size))
    assert score(clean, off, task, level).psnr == pytest.approx(expected)


def test_luma_is_studio_range_but_denoising_takes_full_grey() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    coloured = np.stack([grey] * 3, axis=2)
    rng = np.random.default_rng(0)
    assert prepare(coloured, TASKS["jpeg"], 10, rng).clean.max() == 235
    np.testing.assert_array_equal(prepare(coloured, TASKS["denoise"], 30, rng).clean, grey)
    np.testing.assert_array_equal(prepare(grey, TASKS["jpeg"], 10, rng).clean, grey)


def test_grey_is_close_to_pillows() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    pillows = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    assert np.abs(grey_uint8(pixels).astype(int) - pillows).max() <= 1


def test_only_bsd200_is_shrunk_and_only_for_denoising() -> None:
    assert shrink_factor("BSD200", TASKS["denoise"]) == 2
    assert shrink_factor("BSD200", TASKS["sr"]) == 1
    assert shrink_factor("Set14-denoise", TASKS["denoise"]) == 1
    assert "shrunk" in describe("BSD200", TASKS["denoise"])
    pixels = np.zeros((321, 481), np.uint8)
    rng = np.random.default_rng(0)
    assert prepare(pixels, TASKS["denoise"], 30, rng, shrink=2).clean.shape == (161, 241)


def test_noise_depends_on_seed_level_and_name_only(mirrored: Images) -> None:
    images = mirrored("Set14-denoise")
    task = get_task("denoise")
    whole = evaluate(unrestored, images[:3], task, 30)
    part = evaluate(unrestored, (images[2],), task, 30)
    assert part.images[0].psnr == whole.images[2].psnr
    other = evaluate(unrestored, (images[2],), task, 30, seed=1)
    assert part.images[0].psnr != other.images[0].psnr


@pytest.mark.parametrize(("scale", "smallest"), [(2, 16), (3, 18), (4, 20)])
def test_smallest_picture_can_be_measured_and_one_less_cannot(scale: int, smallest: int) -> None:
    task = get_task("sr")
    check_size("a.png", smallest, smallest, task, scale)
    pixels = np.random.default_rng(0).integers(0, 256, (smallest, smallest), dtype=np.uint8)
    pair = prepare(pixels, task, scale, np.random.default_rng(0))
    assert np.isfinite(score(pair.clean, pair.degraded, task, scale).ssim)
    with pytest.raises(DatasetError, match=rf"a\.png is \d+x\d+ pixels.*{smallest}x{smallest}"):
        check_size("a.png", smallest - 1, 99, task, scale)


def test_level_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="quality factor 101"):
        prepare(np.zeros((32, 32), np.uint8), TASKS["jpeg"], 101, np.random.default_rng(0))


def test_every_task_says_its_protocol() -> None:
    assert set(PROTOCOLS) == set(TASKS)
    for name in TASKS:
        assert "luma" in describe("Set5", TASKS[name]) or "grey" in describe("Set5", TASKS[name])

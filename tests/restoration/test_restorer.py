"""The shipped weights on real photographs: they gain, tiles do not show, bf16 costs nothing."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from memnet_cli.config import RuntimeOptions
from memnet_cli.errors import ImageError, UsageError, WeightsError
from memnet_cli.imaging.images import picture_from_array, picture_from_pil
from memnet_cli.imaging.metrics import psnr
from memnet_cli.imaging.resize import imresize
from memnet_cli.restoration.restorer import Restorer
from memnet_cli.tasks import TASKS


@pytest.fixture(scope="module", params=["sr", "denoise", "jpeg"])
def shipped(request: pytest.FixtureRequest) -> Restorer:
    return Restorer.load(task=request.param, precision="fp32")


@pytest.fixture(scope="module")
def grey(photograph: NDArray[np.uint8]) -> NDArray[np.float64]:
    # a part with an eye, hair and cloth; scikit-image's photographs are in no training set
    return photograph[60:204, 150:294, 1] / 255.0


def degrade(shipped: Restorer, grey: NDArray[np.float64], level: int) -> NDArray[np.float32]:
    degraded = shipped.task.degrade(grey, level, np.random.default_rng(0))
    return degraded.astype(np.float32)


def test_every_level_gains(shipped: Restorer, grey: NDArray[np.float64]) -> None:
    for level in TASKS[shipped.task.name].levels:
        degraded = degrade(shipped, grey[:96, :96], level)
        restored = shipped.restore_plane(degraded)
        clean = grey[:96, :96]
        assert psnr(clean, restored, 1.0) > psnr(clean, degraded, 1.0) + 0.3, level


def test_seams_are_below_what_rounding_shows(shipped: Restorer, grey: NDArray[np.float64]) -> None:
    # as far from each other as tiles get: two that share just the two overlaps
    tile, overlap = 96, shipped.engine.overlap
    side = 2 * (tile - overlap)
    levels = TASKS[shipped.task.name].levels
    for level in (levels[0], levels[-1]):
        plane = degrade(shipped, grey[:80, :side], level)
        results = [
            replace(shipped, engine=replace(shipped.engine, tile=size)).restore_plane(plane)
            for size in (tile, "off")
        ]
        # half of what is promised: other pictures show more than this one
        assert np.abs(results[0] - results[1]).max() < 0.25 / 255, level


def test_bf16_costs_less_than_a_hundredth_of_a_decibel(
    shipped: Restorer, grey: NDArray[np.float64]
) -> None:
    clean = grey[:96, :96]
    plane = degrade(shipped, clean, TASKS[shipped.task.name].levels[-1])
    runtime = replace(shipped.engine.runtime, precision="bf16")
    reduced = replace(shipped, engine=replace(shipped.engine, runtime=runtime))
    exact = psnr(clean, shipped.restore_plane(plane), 1.0)
    assert abs(psnr(clean, reduced.restore_plane(plane), 1.0) - exact) < 0.01


class TestColour:
    """What happens to channels, types and sizes; any weights show it."""

    @pytest.fixture
    def tiny(self, tiny_weights: dict[str, Path]) -> dict[str, Restorer]:
        return {
            task: Restorer.load(task=task, weights=file, precision="fp32")
            for task, file in tiny_weights.items()
        }

    @pytest.mark.parametrize("channels", [None, 1, 3, 4])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
    def test_type_and_channels_are_kept(
        self,
        tiny: dict[str, Restorer],
        rng: np.random.Generator,
        channels: int | None,
        dtype: type[np.generic],
    ) -> None:
        values = rng.random((20, 24) if channels is None else (20, 24, channels))
        top = 1 if dtype is np.float32 else np.iinfo(dtype).max  # type: ignore[type-var]
        image = (values * top).astype(dtype)
        restored = tiny["sr"](image, scale=3)
        assert restored.dtype == image.dtype
        assert restored.shape == (60, 72, *image.shape[2:])

    def test_pil_in_pil_out(self, tiny: dict[str, Restorer], photograph: NDArray[np.uint8]) -> None:
        image = Image.fromarray(photograph[:40, :50])
        restored = tiny["sr"](image, scale=2)
        assert (restored.mode, restored.size) == ("RGB", (100, 80))
        array = tiny["sr"](photograph[:40, :50], scale=2)
        np.testing.assert_array_equal(np.asarray(restored), array)

    def test_sr_leaves_chroma_bicubic(
        self, tiny: dict[str, Restorer], photograph: NDArray[np.uint8]
    ) -> None:
        from skimage.color import rgb2ycbcr

        small = photograph[100:130, 100:130].astype(np.float64) / 255
        restored = tiny["sr"](small.astype(np.float32), scale=2)
        inside = np.all((restored > 0.001) & (restored < 0.999), axis=2)
        expected = imresize(rgb2ycbcr(small), scale=2)
        difference = rgb2ycbcr(restored.astype(np.float64)) - expected
        assert np.abs(difference[inside][:, 1:]).max() < 1e-3
        assert np.abs(difference[inside][:, 0]).max() > 1e-3

    def test_jpeg_keeps_chroma_unless_asked(
        self, tiny: dict[str, Restorer], photograph: NDArray[np.uint8]
    ) -> None:
        from skimage.color import rgb2ycbcr

        image = (photograph[100:130, 100:130] / 255).astype(np.float32) * 0.8 + 0.1
        before = rgb2ycbcr(image.astype(np.float64))
        luma_only = rgb2ycbcr(tiny["jpeg"](image).astype(np.float64)) - before
        all_planes = rgb2ycbcr(tiny["jpeg"](image, chroma=True).astype(np.float64)) - before
        assert np.abs(luma_only[:, :, 1:]).max() < 1e-3 < np.abs(luma_only[:, :, 0]).max()
        assert np.abs(all_planes[:, :, 1:]).max() > 1e-3

    def test_a_jpeg_file_holds_back_what_it_cannot_have_been(
        self, tiny: dict[str, Restorer], photograph: NDArray[np.uint8]
    ) -> None:
        clean = photograph[100:148, 100:148]
        content = io.BytesIO()
        Image.fromarray(clean).save(content, "JPEG", quality=90)
        file = Image.open(content)
        compressed, alone, held = (
            float(np.square(np.asarray(one, np.float64) - clean).mean())
            for one in (file, tiny["jpeg"](np.asarray(file)), tiny["jpeg"](file))
        )
        assert compressed < alone  # weights by chance make it worse
        assert held < min(0.5 * alone, 1.02 * compressed)  # most of which the file takes back

    def test_a_jpeg_that_lies_on_its_side_is_restored_as_it_lies(
        self, tiny: dict[str, Restorer], photograph: NDArray[np.uint8]
    ) -> None:
        results = []
        for orientation in (1, 5, 6):
            exif, content = Image.Exif(), io.BytesIO()
            exif[ExifTags.Base.Orientation] = orientation
            stored = Image.fromarray(photograph[100:150, 100:172])
            stored.save(content, "JPEG", quality=20, exif=exif)
            picture = picture_from_pil(Image.open(content))
            results.append(tiny["jpeg"].restore([picture], chroma=True)[0].picture.pixels)
        # sums in another order; levels of 8 bits could fall to either side of a half
        np.testing.assert_allclose(results[1], results[0].swapaxes(0, 1), rtol=0.0, atol=1e-6)
        # the network sees a flipped picture
        assert results[2].shape == results[1].shape

    def test_denoise_restores_the_mean_and_two_differences(
        self, tiny: dict[str, Restorer], rng: np.random.Generator
    ) -> None:
        image = rng.uniform(0.3, 0.7, (16, 16, 3)).astype(np.float32)
        restored = tiny["denoise"](image)
        for weights, offset in (((1 / 3, 1 / 3, 1 / 3), 0.0), ((0.5**0.5, 0.0, -(0.5**0.5)), 0.5)):
            before = (image @ np.array(weights) + offset).astype(np.float32)
            after = restored @ np.array(weights) + offset
            np.testing.assert_allclose(after, tiny["denoise"].restore_plane(before), atol=2e-6)
            assert np.abs(after - before).max() > 1e-3

    def test_alpha_is_kept_and_enlarged_bicubically(
        self, tiny: dict[str, Restorer], rng: np.random.Generator
    ) -> None:
        image = rng.random((12, 10, 4), dtype=np.float32)
        np.testing.assert_array_equal(tiny["denoise"](image)[:, :, 3], image[:, :, 3])
        enlarged = tiny["sr"](image, scale=2)[:, :, 3]
        expected = np.clip(imresize(image[:, :, 3], scale=2), 0, 1)
        np.testing.assert_allclose(enlarged, expected, atol=1e-6)

    @pytest.mark.parametrize(
        ("scale", "trained"), [(1.5, 2), (2, 2), (2.4, 2), (2.5, 3), (3.7, 4), (6, 4)]
    )
    def test_other_scales_take_the_nearest_trained_one(
        self, tiny: dict[str, Restorer], scale: float, trained: int
    ) -> None:
        assert tiny["sr"].trained_scale(scale) == trained
        restored = tiny["sr"](np.full((10, 20), 0.5, np.float32), scale=scale)
        assert restored.shape == (round(10 * scale), round(20 * scale))


def test_weights_for_another_task_are_refused(tiny_weights: dict[str, Path]) -> None:
    with pytest.raises(WeightsError, match="trained for sr, not for jpeg"):
        Restorer.load(task="jpeg", weights=tiny_weights["sr"])


@pytest.mark.parametrize("level", [-1, 0, float("nan"), float("inf")])
def test_levels_that_are_none_choose_no_weights(level: float) -> None:
    with pytest.raises(UsageError, match="expected a number above 0"):
        Restorer.load(task="sr", level=level)


def test_a_tile_of_no_size_is_refused(tiny_weights: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="'x' is no tile size"):
        Restorer.load(task="sr", weights=tiny_weights["sr"], tile="x")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="8 pixels is too small"):
        RuntimeOptions(tile=np.int64(8))  # type: ignore[arg-type]
    assert RuntimeOptions(tile=np.int64(64)).tile == 64  # type: ignore[arg-type]


def test_exit_block_past_the_last(tiny_weights: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="past the last of 2"):
        Restorer.load(task="sr", weights=tiny_weights["sr"], exit_block=3)


def test_exit_block_gives_that_blocks_prediction(
    tiny_weights: dict[str, Path], rng: np.random.Generator
) -> None:
    import torch

    early = Restorer.load(task="sr", weights=tiny_weights["sr"], exit_block=1, precision="fp32")
    plane = rng.random((16, 16), dtype=np.float32)
    with torch.inference_mode():
        first = early.engine.model.predictions(torch.from_numpy(plane)[None, None])[0]
    np.testing.assert_allclose(early.restore_plane(plane), first[0, 0].numpy(), atol=1e-6)


def test_no_picture(tiny_weights: dict[str, Path]) -> None:
    restorer = Restorer.load(task="denoise", weights=tiny_weights["denoise"])
    with pytest.raises(ImageError):
        restorer(np.zeros((4, 4, 7), np.uint8))


def test_verify_tiles_sees_a_difference_where_there_is_one(
    tiny_weights: dict[str, Path], photograph: NDArray[np.uint8]
) -> None:
    picture = picture_from_array(photograph[:48, :64])
    exact, seams = (
        Restorer.load(
            task="denoise", weights=tiny_weights["denoise"], tile_overlap=overlap, tile=24
        ).verify_tiles(picture, scale=None, chroma=False)
        for overlap in (8, 0)
    )
    assert exact < 1e-6 < seams
    # a scale factor that the network is not trained for: it sees the size of the nearest one
    restorer = Restorer.load(task="sr", weights=tiny_weights["sr"], tile_overlap=0)
    assert restorer.verify_tiles(picture, scale=8.0, chroma=False) > 1e-6

"""Pictures taken apart into planes and put together again."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps
from skimage.color import rgb2ycbcr, ycbcr2rgb

from memnet_cli.imaging.images import Picture, picture_from_array, picture_from_pil
from memnet_cli.imaging.resize import imresize
from memnet_cli.restoration import planes
from memnet_cli.restoration.planes import RestoredParts, as_the_file_allows, merge, split
from memnet_cli.tasks import get_task


@pytest.fixture(params=[1, 7 * 23, 1 << 20])
def _blocks_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert one row, seven rows and all rows at a time."""
    monkeypatch.setattr(planes, "_BLOCK_PIXELS", request.param)


def _colours(channels: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(5).random((31, 23, channels), dtype=np.float32)


@pytest.mark.usefixtures("_blocks_of")
def test_restored_luma_goes_beside_the_chroma_of_the_picture() -> None:
    pixels = _colours()
    parts = split(picture_from_array(pixels), get_task("jpeg"))
    reference = rgb2ycbcr(pixels.astype(np.float64))
    assert len(parts.planes) == 1
    np.testing.assert_allclose(parts.planes[0], reference[:, :, 0] / 255.0, atol=1e-6)

    darker = parts.planes[0] * np.float32(0.9)
    reference[:, :, 0] *= 0.9
    merged = merge(parts, [darker], pixels.shape[:2])
    np.testing.assert_allclose(merged.pixels, np.clip(ycbcr2rgb(reference), 0, 1), atol=2e-6)


@pytest.mark.usefixtures("_blocks_of")
@pytest.mark.parametrize(
    ("task", "channels", "chroma", "count"),
    [("jpeg", 3, True, 3), ("denoise", 3, False, 3), ("denoise", 1, False, 1)],
)
def test_planes_that_are_left_alone_give_the_picture_back(
    task: str, channels: int, chroma: bool, count: int
) -> None:
    picture = picture_from_array(_colours(channels))
    before = picture.pixels.copy()
    parts = split(picture, get_task(task), chroma=chroma)
    assert [plane.shape for plane in parts.planes] == [(31, 23)] * count
    merged = merge(parts, parts.planes, (31, 23))
    np.testing.assert_allclose(merged.pixels, before, atol=1e-6)
    np.testing.assert_array_equal(picture.pixels, before)  # merging writes to no input


def _subsampled(pixels: NDArray[np.float32], step: tuple[int, int]) -> Picture:
    picture = picture_from_array(pixels)
    return replace(picture, source=replace(picture.source, chroma_step=step))


@pytest.mark.usefixtures("_blocks_of")
@pytest.mark.parametrize(
    ("step", "shape"), [((2, 2), (16, 12)), ((1, 2), (31, 12)), ((2, 1), (16, 23))]
)
def test_subsampled_chroma_is_restored_at_its_own_size(
    step: tuple[int, int], shape: tuple[int, int]
) -> None:
    rows, columns = np.mgrid[0:31, 0:23].astype(np.float64)
    ycbcr = np.stack([np.full((31, 23), 120.0), 100.0 + rows, 140.0 - columns], axis=2)
    pixels = ycbcr2rgb(ycbcr).astype(np.float32)
    picture = _subsampled(pixels, step)
    parts = split(picture, get_task("jpeg"), chroma=True)
    assert [plane.shape for plane in parts.planes] == [(31, 23), shape, shape]
    # an even slope is its own mean and its own interpolation, but for the edges
    merged = rgb2ycbcr(merge(parts, parts.planes, (31, 23)).pixels.astype(np.float64))
    np.testing.assert_allclose(merged[8:-9, 8:-9], ycbcr[8:-9, 8:-9], atol=1e-3)
    np.testing.assert_allclose(merged, ycbcr, atol=1.0)

    redder = [parts.planes[0], parts.planes[1], parts.planes[2] + np.float32(8 / 224)]
    merged = rgb2ycbcr(merge(parts, redder, (31, 23)).pixels.astype(np.float64))
    np.testing.assert_allclose(merged[8:-9, 8:-9, 2], ycbcr[8:-9, 8:-9, 2] + 8, atol=1e-3)


def test_subsampling_matters_for_chroma_planes_only() -> None:
    picture = _subsampled(_colours(), (2, 2))
    for task in ("sr", "denoise", "jpeg"):
        scale = 2 if task == "sr" else 1
        parts = split(picture, get_task(task), scale=scale)
        assert {plane.shape for plane in parts.planes} == {(31 * scale, 23 * scale)}


@pytest.mark.parametrize(("task", "chroma"), [("denoise", False), ("jpeg", True)])
def test_a_grey_picture_in_colour_stays_grey(task: str, chroma: bool) -> None:
    grey = picture_from_array(np.repeat(_colours(1), 3, axis=2))
    parts = split(grey, get_task(task), chroma=chroma)
    assert parts.channels == (0,)
    merged = merge(parts, [parts.planes[0] * np.float32(0.5) + np.float32(0.1)], (31, 23))
    np.testing.assert_allclose(np.ptp(merged.pixels, axis=2), 0.0, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_luma_of_a_file_is_one_that_it_could_have_been_made_of(
    photograph: NDArray[np.uint8], mode: str
) -> None:
    clean = Image.fromarray(photograph[40:136, 60:204]).convert(mode)
    content = io.BytesIO()
    clean.save(content, "JPEG", quality=60, subsampling="4:4:4")
    task = get_task("jpeg")
    parts = split(picture_from_pil(Image.open(content)), task)
    wanted = split(picture_from_array(np.asarray(clean)), task).planes[0]
    assert len(parts.blocks) == 1
    (kept,) = as_the_file_allows(parts, [wanted])
    assert np.quantile(np.abs(kept - wanted), 0.95) < 0.2 / 255
    darker = wanted - np.float32(0.1)
    (allowed,) = as_the_file_allows(parts, [darker])
    assert np.abs(allowed - wanted).mean() < 0.25 * np.abs(darker - wanted).mean()
    assert split(picture_from_array(np.asarray(clean)), task).blocks == ()
    assert split(picture_from_pil(Image.open(content)), get_task("denoise")).blocks == ()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_chroma_of_a_file_is_one_that_it_could_have_been_made_of(
    photograph: NDArray[np.uint8], subsampling: str, orientation: int
) -> None:
    clean = Image.fromarray(photograph[40:136, 60:204])
    content = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    clean.save(content, "JPEG", quality=60, subsampling=subsampling, exif=exif)
    task = get_task("jpeg")
    parts = split(picture_from_pil(Image.open(content)), task, chroma=True)
    upright = ImageOps.exif_transpose(Image.open(content)).size
    turned = clean.transpose(Image.Transpose.ROTATE_270) if orientation == 6 else clean
    assert turned.size == upright
    held = np.asarray(turned.convert("YCbCr"), np.float32)[:, :, 1:]
    rows, columns = parts.picture.source.chroma_step
    for index in (1, 2):
        # what an encoder makes of the clean picture: means of the pixels of a sample
        jfif = held[:, :, index - 1].reshape(
            held.shape[0] // rows, rows, held.shape[1] // columns, columns
        )
        wanted = jfif.mean((1, 3)) / np.float32(255)
        planes = [*parts.planes]
        planes[index] = wanted
        kept = as_the_file_allows(parts, planes)
        assert np.quantile(np.abs(kept[index] - wanted), 0.95) < 0.5 / 255
        planes[index] = wanted - np.float32(0.05)
        allowed = as_the_file_allows(parts, planes)[index]
        assert np.abs(allowed - wanted).mean() < 0.3 * 0.05


def test_a_file_has_no_say_on_what_was_a_worse_jpeg_before(photograph: NDArray[np.uint8]) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    Image.fromarray(photograph[40:240, 60:300]).save(first, "JPEG", quality=20)
    before = np.asarray(Image.open(first))
    Image.fromarray(before[3:, 5:]).save(second, "JPEG", quality=90)
    task = get_task("jpeg")
    for content, told in ((first, True), (second, False)):
        assert (split(picture_from_pil(Image.open(content)), task).blocks != ()) == told


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_planes_of_a_file_are_what_it_holds_whatever_no_colour_could_be(subsampling: str) -> None:
    squares = np.random.default_rng(3).integers(0, 256, (4, 4, 3), np.uint8)
    colours = Image.fromarray(squares.repeat(16, 0).repeat(16, 1), "YCbCr")
    content = io.BytesIO()
    colours.save(content, "JPEG", quality=95, subsampling=subsampling)
    parts = split(picture_from_pil(Image.open(content)), get_task("jpeg"), chroma=True)
    held = Image.open(content)
    held.draft("YCbCr", None)
    luma, *chroma = np.moveaxis(np.asarray(held, np.float64), 2, 0)
    np.testing.assert_allclose(parts.planes[0] * 255, 16 + luma * 219 / 255, atol=0.01)
    for plane, samples in zip(parts.planes[1:], chroma, strict=True):
        step = 64 // len(plane)
        inside = slice(2, None, 16 // step)  # of the squares
        wanted = samples[2 * step :: 16, 2 * step :: 16]
        np.testing.assert_allclose(plane[inside, inside] * 255, wanted, atol=2.0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [2, 3])
def test_an_enlarged_picture_shrinks_to_what_it_was(
    photograph: NDArray[np.uint8], channels: int, scale: int
) -> None:
    small = picture_from_array(photograph[40:70, 60:100, :channels])
    parts = split(small, get_task("sr"), scale=scale)
    too_light = RestoredParts(parts, (parts.planes[0] + np.float32(0.05),), ())
    result = too_light.together((30 * scale, 40 * scale)).pixels.astype(np.float64)
    pixels = small.pixels.astype(np.float64)
    if channels == 3:
        result, pixels = (rgb2ycbcr(colours)[:, :, :1] / 255 for colours in (result, pixels))
    shrunk = imresize(result[:, :, 0], shape=(30, 40))
    assert np.abs(shrunk - pixels[:, :, 0]).mean() < 0.6 / 255
    assert np.quantile(np.abs(shrunk - pixels[:, :, 0]), 0.99) < 1 / 255


@pytest.mark.parametrize("depth", [8, 16])
def test_what_luma_can_have_been_before_it_was_rounded(depth: int) -> None:
    """Y of BT.601 in studio range, half a level up or down, and endless where a channel is cut."""
    colours = _colours() * np.float32(0.9) + np.float32(0.05)
    colours[0, 0], colours[0, 1], colours[0, 2] = (0, 0.5, 0.5), (0.5, 1, 0.5), (0, 1, 0.5)
    small = replace(picture_from_array(colours), bit_depth=depth)
    parts = split(small, get_task("sr"), scale=2)
    assert parts.bounds is not None
    least, most = parts.bounds
    luma = rgb2ycbcr(colours.astype(np.float64))[:, :, 0] / 255
    half = 0.5 / (2**depth - 1)
    inner = (slice(1, None), slice(None))
    np.testing.assert_allclose(least[inner], luma[inner] - half, atol=2e-6)
    np.testing.assert_allclose(most[inner], luma[inner] + half, atol=2e-6)
    ends = [(low, high) for low, high in zip(least[0, :3], most[0, :3], strict=True)]
    assert np.isinf(ends).tolist() == [[True, False], [False, True], [True, True]]


def test_an_enlarged_colour_in_range_is_what_its_luma_says(
    photograph: NDArray[np.uint8],
) -> None:
    """The mean luma of the result is that of the picture, whatever a network made of it."""
    small = picture_from_array(np.clip(photograph[40:70, 60:100], 30, 220))
    parts = split(small, get_task("sr"), scale=2)
    for error in (-0.04, 0.04):
        off = RestoredParts(parts, (parts.planes[0] + np.float32(error),), ())
        pixels = off.together((60, 80)).pixels
        means = [rgb2ycbcr(colours)[:, :, 0].mean() for colours in (pixels, small.pixels)]
        assert means[0] == pytest.approx(means[1], abs=0.6)

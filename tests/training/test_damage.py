"""Training pairs against the benchmark's own degradations of whole pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.overrides import TorchFunctionMode

from memnet_cli.evaluation.protocols import prepare
from memnet_cli.imaging.degradations import downscale, jpeg_compress, jpeg_resaved
from memnet_cli.imaging.images import picture_from_pil
from memnet_cli.imaging.resize import imresize
from memnet_cli.restoration.planes import split
from memnet_cli.stores.datasets import DatasetImage
from memnet_cli.tasks import get_task
from memnet_cli.training.damage import Chance, Damage
from memnet_cli.training.pictures import Plane, load_pictures, read_chroma, read_planes
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.sampler import ORIENTATIONS, Patches

_CPU = torch.device("cpu")
_PATCH = 16


@pytest.fixture(scope="module")
def planes(photograph: NDArray[np.uint8]) -> list[Plane]:
    """Return two small luma planes whose sides every scale divides."""
    grey = photograph[:, :, 1]
    return [grey[100:148, 200:260].copy(), grey[300:360, 50:86].copy()]


def _patches(top: list[int], left: list[int], level: int, orientation: int = 0) -> Patches:
    count = len(top)
    return Patches(
        picture=np.arange(count) % 2,
        top=np.array(top),
        left=np.array(left),
        orientation=np.full(count, orientation),
        level=np.full(count, level),
        altered=np.zeros(count, np.bool_),
    )


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shrunk_patches_equal_those_of_whole_shrunk_pictures(
    planes: list[Plane], scale: int
) -> None:
    # all four corners, an edge and the middle; the benchmark degrades the whole picture
    top, left = [0, 44, 24, 12, 32 // scale * scale, 0], [0, 20, 0, 12, 44 // scale * scale, 12]
    top[1] = (60 - _PATCH) // scale * scale
    left[1] = (36 - _PATCH) // scale * scale
    damage = Damage(get_task("sr"), load_pictures(planes, _CPU), _PATCH, 0)
    clean, degraded = damage.pairs(_patches(top, left, scale), Chance())
    for k, (y, x) in enumerate(zip(top, left, strict=True)):
        rng = np.random.default_rng(0)
        whole = prepare(planes[k % 2], get_task("sr"), scale, rng)
        window = np.s_[y : y + _PATCH, x : x + _PATCH]
        assert clean[k, 0].numpy() * 255 == pytest.approx(whole.clean[window], abs=1e-4)
        assert np.abs(degraded[k, 0].numpy() - whole.degraded[window]).max() < 2e-6


@pytest.mark.parametrize("scale", [5, 7, 8])
def test_pictures_that_no_scale_divides_are_cut_as_the_benchmark_cuts_them(
    planes: list[Plane], scale: int
) -> None:
    odd = [planes[0][:47, :59], planes[1][:59, :35]]
    damage = Damage(get_task("sr"), load_pictures(odd, _CPU), _PATCH, 0)
    ends = [[(side // scale * scale - _PATCH) // scale * scale for side in p.shape] for p in odd]
    top, left = [0, 0, ends[0][0], ends[1][0]], [0, 0, ends[0][1], ends[1][1]]
    clean, degraded = damage.pairs(_patches(top, left, scale), Chance())
    for k, (y, x) in enumerate(zip(top, left, strict=True)):
        whole = prepare(odd[k % 2], get_task("sr"), scale, np.random.default_rng(0))
        window = np.s_[y : y + _PATCH, x : x + _PATCH]
        assert clean[k, 0].numpy() * 255 == pytest.approx(whole.clean[window], abs=1e-4)
        assert np.abs(degraded[k, 0].numpy() - whole.degraded[window]).max() < 2e-6


def test_a_small_picture_of_8_bits(planes: list[Plane]) -> None:
    damage = Damage(get_task("sr"), load_pictures(planes, _CPU), _PATCH, 0)
    patches = _patches([12, 12], [12, 12], 3)
    patches.altered[1] = True
    _, degraded = damage.pairs(patches, Chance())
    small = np.rint(downscale(planes[1] / 255.0, 3) * 255.0) / 255.0
    whole = imresize(small, shape=planes[1].shape)
    assert np.abs(degraded[1, 0].numpy() - whole[12:28, 12:28]).max() < 2e-6
    exact = prepare(planes[1], get_task("sr"), 3, np.random.default_rng(0)).degraded
    assert 1e-4 < np.abs(degraded[1, 0].numpy() - exact[12:28, 12:28]).max() < 0.02


def test_noise_has_its_level_and_does_not_depend_on_the_part(planes: list[Plane]) -> None:
    damage = Damage(get_task("denoise"), load_pictures(planes, _CPU), _PATCH, 5)
    patches = _patches([3, 7] * 32, [9, 1] * 32, 50)
    patches.level[0] = 0
    chance = damage.chance(11, 64)
    clean, degraded = damage.pairs(patches, chance)
    assert torch.equal(clean[0], degraded[0])
    assert float((degraded - clean)[1:].std()) * 255 == pytest.approx(50, rel=0.03)
    half = slice(32, 64)
    assert torch.equal(damage.pairs(patches.part(half), chance.part(half))[1], degraded[half])
    assert torch.equal(damage.pairs(patches, damage.chance(11, 64))[1], degraded)
    assert not torch.equal(damage.pairs(patches, damage.chance(12, 64))[1][1:], degraded[1:])


def test_jpeg_patches_are_those_of_compressed_pictures(planes: list[Plane]) -> None:
    damage = Damage(get_task("jpeg"), load_pictures(planes, _CPU), _PATCH, 0)
    # in the middle, and at the edges, of which the blocks of the second picture (60 x 36) are cut
    top, left = [5, 11, 0, 44, 32], [3, 13, 44, 20, 0]
    for quality in (10, 40, 95):
        _, degraded = damage.pairs(_patches(top, left, quality), Chance())
        for k, (y, x) in enumerate(zip(top, left, strict=True)):
            rng = np.random.default_rng(0)
            whole = prepare(planes[k % 2], get_task("jpeg"), quality, rng).degraded
            window = whole[y : y + _PATCH, x : x + _PATCH]
            assert degraded[k, 0].numpy() == pytest.approx(window, abs=1e-6)


def test_jpeg_patches_of_pictures_that_were_saved_before(planes: list[Plane]) -> None:
    # of whole blocks: the last, cut one of a picture is filled up before either compression
    whole = [planes[0][:48, :56], planes[1][:56, :32]]
    damage = Damage(get_task("jpeg"), load_pictures(whole, _CPU), _PATCH, 7, qualities=(10, 40))
    top, left = [5, 11, 0, 40] * 8, [3, 13, 40, 16] * 8
    patches = _patches(top, left, 40)
    patches.altered[:-1] = True
    chance = damage.chance(3, len(top))
    _, degraded = damage.pairs(patches, chance)
    earlier = chance.earlier
    assert earlier is not None
    assert set(earlier.quality) == {10, 40} and set(earlier.top) | set(earlier.left) == {*range(8)}
    for k, (y, x) in enumerate(zip(top[:-1], left[:-1], strict=True)):
        before = int(earlier.quality[k]), 40, int(earlier.top[k]), int(earlier.left[k])
        expected = jpeg_resaved(whole[k % 2], *before)[y : y + _PATCH, x : x + _PATCH]
        assert np.array_equal(np.rint(degraded[k, 0].numpy() * 255.0), expected)
    once = jpeg_compress(whole[1], 40)[40:56, 16:32]
    assert np.array_equal(np.rint(degraded[-1, 0].numpy() * 255.0), once)
    other = damage.chance(4, len(top)).earlier
    assert other is not None and not np.array_equal(other.quality, earlier.quality)


def _oriented(plane: Plane, orientation: int) -> Plane:
    """Return a plane as the sampler numbers orientations."""
    negative, turned = divmod(orientation, ORIENTATIONS)
    shown = np.rot90(plane, turned % 4)
    shown = np.fliplr(shown) if turned >= 4 else shown
    return np.ascontiguousarray(255 - shown if negative else shown)


def test_a_turned_jpeg_is_the_jpeg_of_the_turned_picture(planes: list[Plane]) -> None:
    # quantisation tables are not the same along rows and columns
    whole = [plane[:48, :32] for plane in planes]  # of whole blocks, whichever way it is turned
    damage = Damage(get_task("jpeg"), load_pictures(whole, _CPU), _PATCH, 0)
    for orientation in range(2 * ORIENTATIONS):
        _, degraded = damage.pairs(_patches([5], [3], 20, orientation), Chance())
        mark = np.zeros((48, 32), np.uint8)
        mark[5 : 5 + _PATCH, 3 : 3 + _PATCH] = 1
        rows, columns = np.nonzero(_oriented(mark, orientation % ORIENTATIONS))
        saved = jpeg_compress(_oriented(whole[0], orientation), 20)
        window = saved[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert np.array_equal(np.rint(degraded[0, 0].numpy() * 255.0), window)
        if orientation == 1:
            later = np.rot90(jpeg_compress(whole[0], 20))
            later = later[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert not np.array_equal(window, later)


def test_both_patches_are_turned_alike_in_eight_different_ways(planes: list[Plane]) -> None:
    damage = Damage(get_task("sr"), load_pictures(planes, _CPU), _PATCH, 0)
    views = [damage.pairs(_patches([4], [6], 2, turn), Chance()) for turn in range(8)]
    upright = [pair[0, 0].numpy() for pair in views[0]]
    for turn, pair in enumerate(views):
        for plane, straight in zip(pair, upright, strict=True):
            expected = np.rot90(straight, turn % 4)
            expected = np.fliplr(expected) if turn >= 4 else expected
            assert np.array_equal(plane[0, 0].numpy(), expected)
    assert len({pair[0].numpy().tobytes() for pair in views}) == 8


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_negative_is_what_shrinking_the_negative_gives(planes: list[Plane], scale: int) -> None:
    damage = Damage(get_task("sr"), load_pictures(planes, _CPU), _PATCH, 0)
    clean, degraded = damage.pairs(_patches([12, 24], [12, 12], scale, ORIENTATIONS), Chance())
    for k, (y, x) in enumerate([(12, 12), (24, 12)]):
        whole = prepare(255 - planes[k], get_task("sr"), scale, np.random.default_rng(0))
        window = np.s_[y : y + _PATCH, x : x + _PATCH]
        assert np.abs(clean[k, 0].numpy() - whole.clean[window] / 255.0).max() < 2e-6
        assert np.abs(degraded[k, 0].numpy() - whole.degraded[window]).max() < 2e-6


def _wave(height: int, width: int, length: float, degrees: float) -> NDArray[np.float64]:
    """Return a plane wave about the middle, odd there, so that its sign tells the direction."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    angle = np.radians(degrees)
    along = (x - (width - 1) / 2) * np.cos(angle) + (y - (height - 1) / 2) * np.sin(angle)
    wave: NDArray[np.float64] = 127.5 + 100.0 * np.sin(2 * np.pi * along / length)
    return wave


def test_turned_copies_are_turned_and_shrunk(tmp_path: Path) -> None:
    # a wave that is turned is a wave of another direction; the middle has no mirrored corners
    path = tmp_path / "wave.png"
    Image.fromarray(np.rint(_wave(120, 160, 24.0, 0.0)).astype(np.uint8)).save(path)
    recipe = Recipe(sizes=(1.0, 0.5), turns=(30.0, 45.0))
    planes = read_planes([DatasetImage("wave.png", path, None)], get_task("denoise"), recipe)
    assert [p.shape for p in planes] == [(120, 160), (60, 80), (60, 80), (60, 80)]
    middle = np.s_[18:42, 24:56]
    for plane, degrees in zip(planes[1:], (0.0, -30.0, -45.0), strict=True):
        expected = _wave(60, 80, 12.0, degrees)[middle]
        assert np.abs(plane[middle] - expected).max() < 4.0  # shrinking softens it a little


def test_mixed_copies_are_of_the_triangle_of_colours(tmp_path: Path) -> None:
    # even colours tell in what proportions they were mixed: three pictures of one channel each
    recipe = Recipe(sizes=(1.0, 0.5), turns=(30.0,), mixed=1.0)
    task = get_task("denoise")
    shares = []
    for channel in range(3):
        pixels = np.zeros((40, 40, 3), np.uint8)
        pixels[..., channel] = 200
        path = tmp_path / f"{channel}.png"
        Image.fromarray(pixels).save(path)
        image = DatasetImage(path.name, path, None)
        own, *copies = read_planes([image], task, recipe)
        assert np.array_equal(own, read_planes([image], task, Recipe())[0])
        shares.append([np.unique(copy) / 200.0 for copy in copies])
    for alike in zip(*shares, strict=True):
        assert sum(share.item() for share in alike) == pytest.approx(1.0, abs=0.01)
    first, turned = (np.array(alike).ravel() for alike in zip(*shares, strict=True))
    assert np.abs(first - turned).max() > 0.05  # every copy is another mix


def test_a_grey_picture_stays_what_it_is_when_mixed(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    wave = np.rint(_wave(40, 48, 24.0, 0.0)).astype(np.uint8)
    Image.fromarray(np.dstack([wave] * 3)).save(path)
    Image.fromarray(wave).save(tmp_path / "one.png")
    both = [DatasetImage(p.name, p, None) for p in (path, tmp_path / "one.png")]
    task, sizes = get_task("denoise"), (1.0, 0.5)
    for image in both:
        mixed = read_planes([image], task, Recipe(sizes=sizes, mixed=1.0))
        assert all(map(np.array_equal, mixed, read_planes([image], task, Recipe(sizes=sizes))))


def test_planes_are_those_that_the_benchmark_measures(pictures: Path) -> None:
    path = pictures / "0.png"
    image = DatasetImage("0.png", path, None)
    pixels = np.asarray(Image.open(path))
    for name in ("sr", "denoise", "jpeg"):
        task = get_task(name)
        level = task.levels[0]
        (plane,) = read_planes([image], task, Recipe())
        measured = prepare(pixels, task, level, np.random.default_rng(0)).clean
        assert np.array_equal(plane, measured[: plane.shape[0], : plane.shape[1]])
    recipe = Recipe(sizes=(1.0, 0.5))
    sizes = [p.shape for p in read_planes([image], get_task("denoise"), recipe)]
    assert sizes == [(60, 72), (30, 36)]


def test_contrast_is_raised_about_the_mean_and_clipped(pictures: Path) -> None:
    image = DatasetImage("0.png", pictures / "0.png", None)
    recipe = Recipe(contrasts=(1.0, 2.0))
    own, more = read_planes([image], get_task("denoise"), recipe)
    assert np.array_equal(own, read_planes([image], get_task("denoise"), Recipe())[0])
    wanted = own.mean() + 2.0 * (own - own.mean())
    assert wanted.min() < 0 or wanted.max() > 255
    assert np.abs(more - wanted.clip(0, 255)).max() < 2  # the mean, then the result are rounded


def test_chroma_is_compressed_by_its_own_table(planes: list[Plane]) -> None:
    whole = [plane[:48, :32] for plane in planes]
    damage = Damage(
        get_task("jpeg"), load_pictures(whole, _CPU), _PATCH, 0, qualities=(10,), chroma=range(1, 2)
    )
    patches = _patches([5, 5], [3, 3], 40)
    assert list(patches.picture) == [0, 1]
    for altered in (False, True):
        patches.altered[:] = altered
        chance = damage.chance(0, 2)
        _, degraded = damage.pairs(patches, chance)
        assert chance.earlier is not None
        for index, chroma in enumerate((False, True)):
            first = 10, 40, int(chance.earlier.top[index]), int(chance.earlier.left[index])
            expected = (
                jpeg_resaved(whole[index], *first, chroma=chroma)
                if altered
                else jpeg_compress(whole[index], 40, chroma=chroma)
            )
            cut = expected[5 : 5 + _PATCH, 3 : 3 + _PATCH]
            assert np.array_equal(np.rint(degraded[index, 0].numpy() * 255.0), cut)


def test_chroma_is_read_as_a_jpeg_holds_it(tmp_path: Path, photograph: Plane) -> None:
    colour, grey = tmp_path / "colour.png", tmp_path / "grey.png"
    clean = photograph[40:121, 60:181]
    Image.fromarray(clean).save(colour)
    Image.fromarray(clean[:, :, 0]).save(grey)
    images = [DatasetImage(path.name, path, None) for path in (colour, grey)]
    cb, half_cb, cr, half_cr = read_chroma(images, get_task("jpeg"), Recipe(sizes=(1.0, 0.5)))
    assert cb.shape == cr.shape == (40, 60) and half_cb.shape == half_cr.shape == (20, 30)
    # libjpeg's own halves, kept by steps of 1
    content = io.BytesIO()
    Image.fromarray(clean[:80, :120]).save(content, "JPEG", quality=100, subsampling="4:2:0")
    picture = picture_from_pil(Image.open(content))
    parts = split(picture, get_task("jpeg"), chroma=True)
    for own, held in zip((cb, cr), parts.planes[1:], strict=True):
        assert np.abs(own - held * 255.0).mean() < 1.0
        assert np.abs(np.fliplr(own) - held * 255.0).mean() > 3.0


def test_colour_differences_are_those_that_are_denoised(tmp_path: Path, photograph: Plane) -> None:
    path = tmp_path / "colour.png"
    Image.fromarray(photograph[40:120, 60:180]).save(path)
    images = [DatasetImage(path.name, path, None)]
    planes = read_chroma(images, get_task("denoise"), Recipe(sizes=(1.0, 0.5)))
    assert [plane.shape for plane in planes] == [(80, 120), (40, 60)] * 2
    parts = split(picture_from_pil(Image.open(path)), get_task("denoise"))
    for own, shown in zip(planes[::2], parts.planes[1:], strict=True):
        np.testing.assert_allclose(own, shown * 255.0, atol=0.51)


class _Copies(TorchFunctionMode):
    """Notes of every copy between devices whether it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[bool] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.to:
            self.waited.append(not (kwargs or {}).get("non_blocking", False))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["sr", "jpeg"])
def test_memory_that_is_given_back_is_copied_first(planes: list[Plane], name: str) -> None:
    # Apple's GPUs copy it later if they are let, when it may hold something else
    damage = Damage(get_task(name), load_pictures(planes, _CPU), _PATCH, 0)
    with _Copies() as copies:
        damage.pairs(_patches([0, 12], [0, 12], 2 if name == "sr" else 20), Chance())
    assert len(copies.waited) >= 5 and all(copies.waited)

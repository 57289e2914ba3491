"""Luma that a JPEG file could have been made of, against the clean one and another transform."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw
from scipy.fft import dctn

from memnet_cli.imaging.consistency import consistent, weighed
from memnet_cli.imaging.images import read_image
from memnet_cli.imaging.picture import JpegBlocks, Picture

_JFIF = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def grey(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grey picture whose sides no block divides."""
    return photograph[40:131, 60:203, 1].copy()


def _file(clean: NDArray[np.uint8], quality: int, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(clean).save(content, "JPEG", quality=quality, **options)
    return content.getvalue()


def _decoded(content: bytes) -> tuple[Picture, NDArray[np.float32], JpegBlocks]:
    """Return a JPEG, its luma from 0 to 255 and its blocks."""
    picture = read_image(io.BytesIO(content))
    pixels = picture.pixels * 255.0
    luma = pixels[:, :, 0] if picture.is_grey else pixels @ _JFIF
    assert picture.source.luma_blocks is not None
    return picture, luma.astype(np.float32), picture.source.luma_blocks


def _error(one: NDArray[np.floating], other: NDArray[np.integer]) -> float:
    return float(np.square(one - other).mean())


@pytest.mark.parametrize("quality", [5, 20, 50, 90, 97])
def test_the_clean_picture_stays_and_all_others_come_nearer_to_it(
    grey: NDArray[np.uint8], quality: int
) -> None:
    _, decoded, blocks = _decoded(_file(grey, quality))
    clean = grey.astype(np.float32)
    kept = consistent(clean, decoded, blocks)
    # the steps of the best qualities are as fine as the roundings of the decoded pixels
    assert np.abs(kept - clean).max() < (0.5 if quality < 95 else 3.0)
    rng = np.random.default_rng(0)
    for wrong in (clean + rng.normal(0, 20, clean.shape), np.roll(clean, 2, 1), 255.0 - clean):
        nearest = consistent(wrong.astype(np.float32), decoded, blocks)
        assert _error(nearest, grey) < _error(wrong, grey)


def test_coefficients_lie_within_half_a_step_of_the_files(grey: NDArray[np.uint8]) -> None:
    _, decoded, blocks = _decoded(_file(grey, 30))
    steps = np.array(blocks.table).reshape(8, 8)
    black = np.zeros(grey.shape, np.float32)
    result = consistent(black, decoded, blocks)
    for top in range(0, 88, 8):
        for left in range(0, 136, 8):
            block = np.s_[top : top + 8, left : left + 8]
            own, held = (dctn(x[block] - 128.0, norm="ortho") for x in (result, decoded))
            assert (np.abs(own - np.rint(held / steps) * steps) <= 0.5 * steps + 0.01).all()
    # the rest of blocks that the edge cuts is not known
    assert np.array_equal(result[88:], black[88:])
    assert np.array_equal(result[:, 136:], black[:, 136:])


def _of_blocks(plane: NDArray[np.floating], rows: int, columns: int) -> NDArray[np.float64]:
    """Return cosine coefficients (rows, columns, 8, 8) of grey levels less 128."""
    whole = plane[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2)
    cosines: NDArray[np.float64] = dctn(whole - 128.0, axes=(2, 3), norm="ortho")
    return cosines


@pytest.mark.parametrize("deviation", [1.0, 9.0])
def test_fine_steps_and_contradicted_blocks_draw_what_was_restored_to_the_file(
    grey: NDArray[np.uint8], deviation: float
) -> None:
    _, decoded, blocks = _decoded(_file(grey, 90))
    steps = np.array(blocks.table).reshape(8, 8)
    assert steps.min() < 3 and steps.max() > 10
    noise = np.random.default_rng(1).normal(0, deviation, grey.shape)
    restored = decoded + noise.astype(np.float32)
    planes = restored, decoded, *(make(restored, decoded, blocks) for make in (consistent, weighed))
    raw, held, near, far = (_of_blocks(plane, 11, 17) for plane in planes)
    file = np.rint(held / steps) * steps
    moved = np.square((raw - file) / steps).mean((2, 3), keepdims=True)
    assert (moved < 0.12).any() if deviation == 1.0 else (moved > 0.12).all()
    shares = np.maximum(0.3, np.minimum(1.0, steps / 10.0)) * np.minimum(1.0, (0.12 / moved) ** 0.5)
    np.testing.assert_allclose(far - file, shares * (near - file), atol=0.01)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (5, 3)])
def test_blocks_that_the_edge_cuts_are_drawn_to_the_file_too(
    grey: NDArray[np.uint8], top: int, left: int
) -> None:
    clean = np.pad(grey, ((top and 8 - top, 0), (left and 8 - left, 0)))
    inner = np.s_[top and 8 - top :, left and 8 - left :]
    _, decoded, blocks = _decoded(_file(clean, 97))
    cut = JpegBlocks(blocks.table, top, left)
    noise = np.random.default_rng(3).normal(0, 3, grey.shape)
    restored, held = (grey + noise).astype(np.float32), np.ascontiguousarray(decoded[inner])
    drawn = weighed(restored, held, cut)
    bottom, right = (
        start + (side - start) // 8 * 8 for side, start in zip(grey.shape, (top, left), strict=True)
    )
    whole = slice(None)
    after = [(slice(bottom, None), whole), (whole, slice(right, None))]
    before_them = [(slice(0, top), whole), (whole, slice(0, left))] if top else []
    for edge in (*after, *before_them):
        error, before = (_error(x[edge], grey[edge]) for x in (drawn, restored))
        assert 0 < error < 0.25 * before
        assert not np.array_equal(drawn[edge], held[edge])
    assert np.array_equal(weighed(held, held, cut)[bottom:], held[bottom:])


def test_coarse_steps_that_a_network_agrees_with_leave_its_result(grey: NDArray[np.uint8]) -> None:
    _, decoded, blocks = _decoded(_file(grey, 20))
    assert min(blocks.table) > 10
    restored = (0.5 * grey + 0.5 * decoded).astype(np.float32)
    nearest, drawn = (make(restored, decoded, blocks) for make in (consistent, weighed))
    assert np.abs(drawn - nearest)[:88, :136].max() < 1e-3


@pytest.mark.parametrize("quality", [96, 98, 99])
def test_a_good_file_gains_by_a_network_that_is_worse_than_it(
    grey: NDArray[np.uint8], quality: int
) -> None:
    _, decoded, blocks = _decoded(_file(grey, quality))
    rng = np.random.default_rng(2)
    restored = (grey + rng.normal(0, 1.5, grey.shape)).astype(np.float32)
    inner = np.s_[:88, :136]
    network, nearest, drawn, file = (
        _error(plane[inner], grey[inner])
        for plane in (
            restored,
            consistent(restored, decoded, blocks),
            weighed(restored, decoded, blocks),
            decoded,
        )
    )
    assert drawn < min(nearest, file) and file < network


def test_many_blocks_are_worked_on_in_parts(
    grey: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, decoded, blocks = _decoded(_file(grey, 30))
    restored = decoded + np.random.default_rng(1).normal(0, 9, grey.shape).astype(np.float32)
    whole = consistent(restored, decoded, blocks)
    monkeypatch.setattr("memnet_cli.imaging.consistency._AT_ONCE", 40)
    np.testing.assert_allclose(consistent(restored, decoded, blocks), whole, atol=1e-3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("colour", [False, True])
def test_blocks_are_found_in_pictures_that_were_turned(
    photograph: NDArray[np.uint8], orientation: int, colour: bool
) -> None:
    stored = photograph[40:131, 60:203]
    stored = np.ascontiguousarray(stored if colour else stored[:, :, 1])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = _file(stored, 25, exif=exif, subsampling="4:4:4")
    _, decoded, blocks = _decoded(content)
    clean = read_image(io.BytesIO(_png(stored, orientation))).pixels * 255.0
    luma = (clean @ _JFIF if colour else clean[:, :, 0]).astype(np.float32)
    assert luma.shape == decoded.shape
    moved = np.abs(consistent(luma, decoded, blocks) - luma)
    # channels that are cut off at black or white move the luma of a few blocks
    assert np.quantile(moved, 0.99) < 1.0
    elsewhere = JpegBlocks(blocks.table, (blocks.top + 3) % 8, blocks.left)
    assert np.abs(consistent(luma, decoded, elsewhere) - luma).mean() > 10 * moved.mean()
    table = np.array(blocks.table).reshape(8, 8)
    upright = np.array(_decoded(_file(stored, 25))[2].table).reshape(8, 8)
    assert np.array_equal(table, upright.T if orientation >= 5 else upright)


def _png(stored: NDArray[np.uint8], orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = io.BytesIO()
    Image.fromarray(stored).save(content, "PNG", exif=exif)
    return content.getvalue()


@pytest.mark.parametrize("quality", [10, 40, 90])
def test_what_decoding_cuts_off_is_told(quality: int) -> None:
    # black letters on white: their ringing is cut off, and with it coefficients are moved
    image = Image.new("L", (128, 64), 255)
    ImageDraw.Draw(image).text((3, 3), "The quick brown\nfox jumps over\nthe lazy dog", fill=0)
    clean = np.asarray(image)
    _, decoded, blocks = _decoded(_file(clean, quality))
    restored = (0.7 * clean + 0.3 * decoded).astype(np.float32)
    assert _error(consistent(restored, decoded, blocks), clean) < _error(restored, clean)


def test_files_that_hold_no_luma_for_every_pixel_have_no_such_blocks(
    photograph: NDArray[np.uint8],
) -> None:
    image = Image.fromarray(photograph[:40, :56])
    for saved, options in (
        (image, {"keep_rgb": True}),
        (image.convert("CMYK"), {}),
    ):
        content = io.BytesIO()
        saved.save(content, "JPEG", **options)
        picture = read_image(io.BytesIO(content.getvalue()))
        assert picture.source.jpeg_tables is not None
        assert picture.source.luma_blocks is None
    content = io.BytesIO()
    image.save(content, "PNG")
    assert read_image(io.BytesIO(content.getvalue())).source.luma_blocks is None
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        blocks = _decoded(_file(np.asarray(image), 50, subsampling=subsampling))[2]
        assert (blocks.top, blocks.left, blocks.table[:3]) == (0, 0, (16, 11, 10))


def test_steps_of_zero_are_no_steps(grey: NDArray[np.uint8]) -> None:
    content = bytearray(_file(grey, 50))
    table = content.index(b"\xff\xdb") + 5
    content[table + 9] = 0
    picture = read_image(io.BytesIO(bytes(content)))
    assert picture.source.jpeg_tables is not None and 0 in picture.source.jpeg_tables[0]
    assert picture.source.luma_blocks is None

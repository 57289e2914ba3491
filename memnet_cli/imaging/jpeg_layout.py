"""How a JPEG file holds a picture: tables, sampling of chroma, and where its blocks lie."""

from __future__ import annotations

import numpy as np
from PIL import Image

from memnet_cli.imaging.metadata import FLIPPED_HORIZONTALLY, FLIPPED_VERTICALLY
from memnet_cli.imaging.picture import JpegBlocks

#: What the components of a JPEG are called that are R, G and B.
_RGB = (ord("R"), ord("G"), ord("B"))


def jpeg_tables_of(image: Image.Image) -> tuple[tuple[int, ...], ...] | None:
    """Return a JPEG's quantisation tables, that of the first component (luma) first.

    Each has 64 entries in natural order: Pillow has undone the zigzag of the file.
    """
    tables: dict[int, list[int]] | None = getattr(image, "quantization", None)
    if not tables:
        return None
    # a component is (id, horizontal sampling, vertical sampling, table)
    used = [component[3] for component in getattr(image, "layer", [])]
    order = dict.fromkeys([*used, *sorted(tables)])
    return tuple(tuple(tables[number]) for number in order if number in tables) or None


def chroma_step_of(
    image: Image.Image, orientation: int, upright: tuple[int, int]
) -> tuple[int, int]:
    """Return the rows and columns from one chroma sample to the next in the upright picture.

    (1, 1) for anything but a JPEG of YCbCr whose luma has once or twice the samples of both chroma
    components. A side that is flipped and does not hold whole steps counts as not subsampled, since
    its steps begin with a part of one.

    Args:
        image: of Pillow; the layout is that of the file.
        orientation: EXIF orientation, 1 to 8, by which it is turned.
        upright: (height, width) after that.
    """
    rows, columns = _file_step(image, orientation) or (1, 1)
    height, width = upright
    if orientation in FLIPPED_VERTICALLY and height % rows:
        rows = 1
    if orientation in FLIPPED_HORIZONTALLY and width % columns:
        columns = 1
    return rows, columns


def _file_step(image: Image.Image, orientation: int) -> tuple[int, int] | None:
    """Return the rows and columns from one chroma sample to the next, but for flipped edges.

    None for what :func:`chroma_step_of` tells nothing of.
    """
    components = getattr(image, "layer", [])
    if len(components) != 3 or any(component[1:3] != (1, 1) for component in components[1:]):
        return None
    columns, rows = components[0][1:3]
    if rows not in (1, 2) or columns not in (1, 2):
        return None
    return (columns, rows) if orientation >= 5 else (rows, columns)


def is_ycbcr(image: Image.Image) -> bool:
    """Say whether an image of Pillow is of a JPEG file that holds Y, Cb and Cr."""
    components = getattr(image, "layer", [])
    names = tuple(component[0] for component in components)
    return len(names) == 3 and names != _RGB and image.info.get("adobe_transform") != 0


def luma_blocks_of(
    image: Image.Image, orientation: int, upright: tuple[int, int]
) -> JpegBlocks | None:
    """Return how a JPEG holds luma, or None where it holds none for every pixel.

    None, too, for a table with steps of zero, which no encoder writes.

    Args:
        image: of Pillow; the layout is that of the file.
        orientation: EXIF orientation, 1 to 8, by which it is turned.
        upright: (height, width) after that.
    """
    components = getattr(image, "layer", [])
    if len(components) != 1 and not is_ycbcr(image):
        return None
    densest = tuple(max(component[axis] for component in components) for axis in (1, 2))
    if components[0][1:3] != densest:
        return None
    return _blocks(_table_of(image, components[0]), orientation, upright)


def chroma_blocks_of(
    image: Image.Image, orientation: int, upright: tuple[int, int]
) -> tuple[JpegBlocks, JpegBlocks] | None:
    """Return how a JPEG of YCbCr holds Cb and Cr, in samples of these, else None.

    None, too, where :func:`chroma_step_of` does not tell these samples.

    Args:
        image, orientation, upright: as for that.
    """
    step = chroma_step_of(image, orientation, upright)
    if luma_blocks_of(image, orientation, upright) is None or step != _file_step(
        image, orientation
    ):
        return None
    height, width = (-(-side // every) for side, every in zip(upright, step, strict=True))
    cb, cr = (
        _blocks(_table_of(image, component), orientation, (height, width))
        for component in image.layer[1:]  # type: ignore[attr-defined]
    )
    return None if cb is None or cr is None else (cb, cr)


def _table_of(image: Image.Image, component: tuple[int, ...]) -> list[int]:
    """Return the 64 steps of a component of a JPEG, none where the file lacks the table."""
    tables: dict[int, list[int]] = getattr(image, "quantization", {})
    return tables.get(component[3], [])


def _blocks(table: list[int], orientation: int, upright: tuple[int, int]) -> JpegBlocks | None:
    if len(table) != 64 or 0 in table:
        return None
    natural = np.array(table).reshape(8, 8)
    height, width = upright
    return JpegBlocks(
        table=tuple(int(step) for step in (natural.T if orientation >= 5 else natural).ravel()),
        top=height % 8 if orientation in FLIPPED_VERTICALLY else 0,
        left=width % 8 if orientation in FLIPPED_HORIZONTALLY else 0,
        lying=orientation >= 5,
    )

"""Drawn pictures to train on beside photographs: text, shapes, mosaics and hatching.

Photographs hardly have edges from black to white, let alone one pixel wide, and networks that
were trained on nothing else blur those of scans and screenshots. Drawings can be made in any
number.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

#: Side of a drawing, and what it is a multiple of: scale factors, and the blocks of JPEG.
_SIDE, _MULTIPLE = 240, 24
_OVERSAMPLED = 4
_LETTERS = np.array(list(string.ascii_letters + string.digits + ".,;:!?()-+=/&%"))
#: More letters than fit into a square as high as the font: what is past the edge is not drawn.
_LETTERS_PER_HEIGHT = 4
#: Black and white of grey pictures, and of luma (ITU-R BT.601).
_FULL = ((0, 255), (16, 235))

Plane = NDArray[np.uint8]
Draw = Callable[[np.random.Generator, int, int, int], Image.Image]


def drawings(count: int, patch: int, seed: int, first: int = 0) -> list[Plane]:
    """Return ``count`` drawings, (240, 240) uint8 or larger, the same for the same seed.

    Half of them are black on white or white on black, the others have any two greys; half of
    the shapes and hatchings are smooth at the edges, and a third of all is blurred as by a scanner.

    Args:
        count: how many.
        patch: side of the patches that must fit into them.
        seed: of everything.
        first: number of the first; another number is another drawing.
    """
    side = max(_SIDE, -(-patch // _MULTIPLE) * _MULTIPLE)
    numbers = range(first, first + count)
    return [_drawing(np.random.default_rng([seed, number]), side, number) for number in numbers]


def _drawing(rng: np.random.Generator, side: int, number: int) -> Plane:
    kinds: tuple[Draw, ...] = (_text, _shapes, _mosaic, _text, _shapes, _hatching)
    full = _FULL[rng.integers(len(_FULL))]
    ink, paper = rng.permutation(full) if rng.random() < 0.5 else rng.integers(0, 256, 2)
    picture = kinds[number % len(kinds)](rng, side, int(ink), int(paper))
    if rng.random() < 1 / 3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
    plane: Plane = np.asarray(picture, np.uint8)
    return plane


def _letters(rng: np.random.Generator, count: int) -> NDArray[np.str_]:
    """Return some at random: those of `rng.choice`, sooner."""
    return _LETTERS[rng.integers(0, len(_LETTERS), count)]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, which it decodes anew at each call."""
    return ImageFont.load_default(size)


def _text(rng: np.random.Generator, side: int, ink: int, paper: int) -> Image.Image:
    """Lines of made-up words, the size of the letters changing from paragraph to paragraph."""
    picture = Image.new("L", (side, side), paper)
    draw = ImageDraw.Draw(picture)
    top = int(rng.integers(-8, 8))
    while top < side:
        size = int(rng.choice((8, 9, 10, 10, 11, 12, 12, 14, 16, 20, 24, 32)))
        font = _font(size)
        for _ in range(int(rng.integers(1, 5))):
            words = ("".join(_letters(rng, int(rng.integers(1, 10)))) for _ in range(30))
            left, letters = int(rng.integers(-8, 8)), " ".join(words)
            shown = letters[: _LETTERS_PER_HEIGHT * (side + 8) // size]
            draw.text((left, top), shown, fill=ink, font=font)
            top += round(size * rng.uniform(1.0, 1.4))
    return picture


def _shapes(rng: np.random.Generator, side: int, ink: int, paper: int) -> Image.Image:
    """Boxes, ellipses, triangles and lines over each other, a third of them in the ink."""
    scale = int(rng.choice((1, _OVERSAMPLED)))
    picture = Image.new("L", (side * scale, side * scale), paper)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(15, 50))):
        grey = int(rng.choice((ink, paper, int(rng.integers(0, 256)))))
        corner = rng.integers(-20, side, 2)
        points = [tuple(int(v) * scale for v in corner + rng.integers(2, 70, 2)) for _ in range(3)]
        box = (*(int(v) * scale for v in corner), *points[0])
        width = int(rng.integers(1, 5)) * scale
        kind = rng.integers(5)
        if kind == 0:
            draw.rectangle(box, fill=grey)
        elif kind == 1:
            draw.rectangle(box, outline=grey, width=width)
        elif kind == 2:
            draw.ellipse(box, fill=grey)
        elif kind == 3:
            draw.polygon(points, fill=grey)
        else:
            draw.line(points, fill=grey, width=width)
    return picture.reduce(scale)


def _mosaic(rng: np.random.Generator, side: int, ink: int, paper: int) -> Image.Image:
    """Squares of one size, of the two greys or of any, some of them beginning off the grid."""
    cell = int(rng.choice((2, 3, 4, 6, 8, 8, 8, 12, 16, 24, 32)))
    cells = -(-side // cell) + 1
    if rng.random() < 0.7:
        greys = np.where(rng.random((cells, cells)) < 0.5, ink, paper)
    else:
        greys = rng.integers(0, 256, (cells, cells))
    top, left = rng.integers(0, cell, 2) if rng.random() < 0.5 else (0, 0)
    whole = greys.repeat(cell, 0).repeat(cell, 1)
    return Image.fromarray(whole[top : top + side, left : left + side].astype(np.uint8))


def _hatching(rng: np.random.Generator, side: int, ink: int, paper: int) -> Image.Image:
    """Parallel lines, one or two sets of them, upright, level or at any angle."""
    scale = int(rng.choice((1, _OVERSAMPLED)))
    picture = Image.new("L", (side * scale, side * scale), paper)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 3))):
        width, gap = int(rng.integers(1, 6)), int(rng.integers(2, 24))
        angle = rng.choice((0.0, np.pi / 2, rng.uniform(0.0, np.pi)))
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        for distance in range(-side, side, width + gap):
            middle = side / 2 + distance * across
            ends = np.round((middle - 2 * side * along, middle + 2 * side * along))
            points = [tuple(int(v) * scale for v in end) for end in ends]
            draw.line(points, fill=ink, width=width * scale)
    return picture.reduce(scale)

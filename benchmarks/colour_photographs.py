"""Ways to restore colour, compared on photographs of scikit-image: what the colour_* scripts share.

The photographs are crops of those that scikit-image ships; no bundled weights were trained on them.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut, chelsea, coffee, rocket

from memnet_cli.cli._console import out, table
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.restorer import Restorer

#: (restorer, clean, level) -> PSNR damaged, restored in one way, and in the other.
Score = Callable[[Restorer, NDArray[np.uint8], int], list[float]]


def compare(
    about: str | None,
    title: str,
    task: str,
    level: str,
    levels: tuple[int, ...],
    ways: tuple[str, str, str],
    score: Score,
) -> None:
    """Read the command line, and print the scores of each level and photograph, and the means.

    Args:
        about: the script's docstring.
        title: of the table.
        task: whose default weights restore.
        level: what a level is called, also its option.
        levels: where none is given.
        ways: what the three scores are of; the gain is of the third against the second.
        score: see ``Score``.
    """
    parser = command_line(about, level)
    parser.add_argument("--side", type=int, default=192, help="of the crops, in pixels")
    given = parser.parse_args()
    restorer = Restorer.load(task=task, weights=given.weights, device=given.device)
    rows = scored(restorer, _photographs(given.side), given.levels or levels, score)
    out.print(table(title, (level, "photograph", *ways, "gain"), rows))


def command_line(about: str | None, level: str) -> argparse.ArgumentParser:
    """Return the options of all such scripts; ``given.levels`` is None without any."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(f"--{level}", type=int, action="append", dest="levels", help="repeatable")
    parser.add_argument("--weights", help="a name or a file; else the default weights")
    parser.add_argument("--device", default="auto")
    return parser


def scored(
    restorer: Restorer,
    pictures: Mapping[str, NDArray[np.uint8]],
    levels: Iterable[int],
    score: Score,
) -> list[tuple[str, ...]]:
    """Return the rows of a table: each level and picture by name, and the means."""
    reuse_freed_memory()
    rows = []
    for number in levels:
        scores = {name: score(restorer, clean, number) for name, clean in pictures.items()}
        scores["mean"] = [statistics.mean(way) for way in zip(*scores.values(), strict=True)]
        rows += [_row(number, name, values) for name, values in scores.items()]
    return rows


def _photographs(side: int) -> dict[str, NDArray[np.uint8]]:
    """Return the middle ``side`` x ``side`` pixels of four colour photographs by name."""
    pictures = {
        "astronaut": astronaut(),
        "coffee": coffee(),
        "chelsea": chelsea(),
        "rocket": rocket(),
    }
    return {name: _middle(picture, side) for name, picture in pictures.items()}


def _middle(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def _row(level: int, name: str, scores: list[float]) -> tuple[str, ...]:
    return (str(level), name, *(f"{s:.2f}" for s in scores), f"{scores[2] - scores[1]:+.2f}")

"""Keep the pictures of a run, and cut and encode them for the report."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.evaluation.results import Row
from memnet_cli.evaluation.run import Picture

Grey = NDArray[np.uint8]
#: Dataset and task.
Place = tuple[str, str]
#: level -> method -> plane
Levels = dict[int, dict[str, Grey]]

INPUT = "degraded"
CLEAN = "clean"
#: Side of the zoomed crop.
CROP = 48
#: Bytes that all pictures of a page may take as text, so that it stays under 15 MB.
BUDGET = 13_500_000
#: Side of what the slider shows (None: the whole picture) and WebP quality, best first.
_ATTEMPTS: tuple[tuple[int | None, int], ...] = (
    (None, 92),
    (None, 82),
    (512, 82),
    (384, 82),
    (320, 80),
    (256, 80),
    (192, 75),
    (128, 70),
    (96, 60),
    (64, 50),
)


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Return what cuts the rectangle out of an array."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


@dataclass(frozen=True)
class ShownImage:
    """One image of a dataset as the page shows it; pictures are data URLs.

    Attributes:
        shown: what the slider shows of the image.
        crop: the zoomed part, relative to ``shown``.
        clean, clean_crop: the same at every level.
        views: level -> method -> slider picture; the input is called "degraded".
        crops: level -> method -> zoomed part, lossless.
    """

    name: str
    shown: Window
    crop: Window
    clean: str
    clean_crop: str
    views: Mapping[int, Mapping[str, str]]
    crops: Mapping[int, Mapping[str, str]]


class PictureStore:
    """Restored pictures of a running benchmark, on disk as 8-bit arrays.

    A run can restore more than memory holds; used as a context manager, the files go with it.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="memnet-report-")
        self._files: dict[tuple[str, str, str, int, str], Path] = {}

    def __enter__(self) -> PictureStore:
        """Return the store itself."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Remove the files."""
        self._folder.cleanup()

    def add(self, picture: Picture) -> None:
        """Keep the planes of one picture, rounded to 8 bits."""
        self._keep(picture, CLEAN, picture.pair.clean)
        self._keep(picture, INPUT, _to_uint8(picture.pair.degraded))
        self._keep(picture, picture.method, _to_uint8(picture.restored))

    def _keep(self, picture: Picture, method: str, plane: Grey) -> None:
        key = picture.dataset, picture.task, picture.score.name, picture.level, method
        if key not in self._files:
            path = Path(self._folder.name) / f"{len(self._files)}.npy"
            np.save(path, plane)
            self._files[key] = path

    def planes(
        self, place: Place, name: str, level: int, methods: Collection[str]
    ) -> dict[str, Grey]:
        """Return method -> (H, W) uint8 of one image, of "clean", "degraded" and ``methods``.

        The input is left out where bicubic, which is the same, is among the methods.
        """
        wanted = {CLEAN, INPUT, *methods}
        if "bicubic" in methods:
            wanted.discard(INPUT)
        return {
            key[4]: np.load(path)
            for key, path in self._files.items()
            if key[:4] == (*place, name, level) and key[4] in wanted
        }


def _to_uint8(plane: NDArray[np.floating]) -> Grey:
    rounded: Grey = np.rint(np.clip(plane, 0.0, 1.0) * 255.0).astype(np.uint8)
    return rounded


def _box_sums(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the sum over every side x side square that lies in the plane."""
    total = np.pad(plane, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    below = total[side:] - total[:-side]
    return np.asarray(below[:, side:] - below[:, :-side])


def spread(planes: Mapping[str, Grey], task: str) -> NDArray[np.float64]:
    """Return (H, W): how far the methods are apart at every pixel.

    The input counts as a method but for noise, which would be all that is seen; a single method
    is set against the clean picture.
    """
    left_out = {CLEAN, INPUT} if task == "denoise" else {CLEAN}
    methods = [plane for name, plane in planes.items() if name not in left_out]
    if len(methods) < 2:
        methods = [*methods, planes[CLEAN]]
    stack = np.stack(methods).astype(np.float64)
    return np.asarray(stack.max(axis=0) - stack.min(axis=0))


def most_different(levels: Sequence[Mapping[str, Grey]], task: str, border: int) -> Window:
    """Return the square of 48 pixels where the methods differ most over all ``levels``."""
    height, width = (min(p[CLEAN].shape[axis] for p in levels) for axis in (0, 1))
    total = sum(
        (spread(planes, task)[:height, :width] for planes in levels), np.zeros((height, width))
    )
    side = min(CROP, height, width)
    inner = border if min(height, width) >= side + 2 * border else 0
    sums = _box_sums(total[inner : height - inner, inner : width - inner], side)
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    return Window(top + inner, left + inner, side, side)


def around(crop: Window, height: int, width: int, side: int | None) -> Window:
    """Return the part of a (height, width) picture, ``side`` large, whose middle is the crop's."""
    if side is None:
        return Window(0, 0, height, width)
    shown_height, shown_width = (
        min(height, max(side, crop.height)),
        min(width, max(side, crop.width)),
    )
    top = crop.top + crop.height // 2 - shown_height // 2
    left = crop.left + crop.width // 2 - shown_width // 2
    return Window(
        min(max(top, 0), height - shown_height),
        min(max(left, 0), width - shown_width),
        shown_height,
        shown_width,
    )


def data_url(plane: Grey, kind: str, quality: int = 0) -> str:
    """Encode (H, W) uint8 as a data URL: "png" without loss, "webp" at ``quality``."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(plane))
    if kind == "png":
        image.save(buffer, format="PNG", optimize=True)
    else:
        image.save(buffer, format="WEBP", quality=quality, method=4)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _show(
    name: str,
    levels: Mapping[int, Mapping[str, Grey]],
    task: str,
    side: int | None,
    quality: int,
) -> ShownImage:
    crop = most_different(tuple(levels.values()), task, border=max(levels) if task == "sr" else 0)
    height, width = (min(p[CLEAN].shape[axis] for p in levels.values()) for axis in (0, 1))
    shown = around(crop, height, width, side)
    first = next(iter(levels.values()))
    methods = {level: [n for n in planes if n != CLEAN] for level, planes in levels.items()}
    return ShownImage(
        name=name,
        shown=shown,
        crop=Window(crop.top - shown.top, crop.left - shown.left, crop.height, crop.width),
        clean=data_url(first[CLEAN][shown.slices], "webp", quality),
        clean_crop=data_url(first[CLEAN][crop.slices], "png"),
        views={
            level: {n: data_url(planes[n][shown.slices], "webp", quality) for n in methods[level]}
            for level, planes in levels.items()
        },
        crops={
            level: {n: data_url(planes[n][crop.slices], "png") for n in methods[level]}
            for level, planes in levels.items()
        },
    )


def _size(image: ShownImage) -> int:
    urls = [image.clean, image.clean_crop]
    for by_level in (image.views, image.crops):
        urls += [url for by_method in by_level.values() for url in by_method.values()]
    return sum(map(len, urls))


def _images(rows: Sequence[Row], store: PictureStore) -> Iterator[tuple[Place, str, Levels]]:
    """Yield (dataset, task), image name and level -> method -> plane, image by image."""
    # by image and level the methods, since of a row that was not finished some pictures are there
    places: dict[Place, dict[str, dict[int, list[str]]]] = {}
    for row in rows:
        names = places.setdefault((row.scores.dataset, row.scores.task), {})
        for image in row.scores.images:
            levels = names.setdefault(image.name, {})
            levels.setdefault(row.scores.level, []).append(row.method)
    for place, names in places.items():
        for name, levels in names.items():
            yield (
                place,
                name,
                {level: store.planes(place, name, level, done) for level, done in levels.items()},
            )


def shown_images(
    rows: Sequence[Row], store: PictureStore, budget: int = BUDGET
) -> dict[tuple[str, str], tuple[ShownImage, ...]]:
    """Return (dataset, task) -> its images, encoded as large and as well as the budget allows.

    Of more than fit even at the smallest, those that come first.
    """
    for side, quality in _ATTEMPTS:
        shown: dict[tuple[str, str], tuple[ShownImage, ...]] = {}
        size = 0
        for place, name, levels in _images(rows, store):
            image = _show(name, levels, place[1], side, quality)
            size += _size(image)
            if size > budget:
                break
            shown[place] = (*shown.get(place, ()), image)
        else:
            return shown
    return shown

"""What a benchmark found out, as values and as a JSON document."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from memnet_cli.errors import UsageError
from memnet_cli.evaluation.benchmark import ImageScore, LevelScores
from memnet_cli.evaluation.protocols import describe
from memnet_cli.tasks import get_task

FORMAT_VERSION = 1


@dataclass(frozen=True)
class MethodCard:
    """What is known about a method, and what it costs, for one task.

    Attributes:
        name: as the tables call it.
        task: what it restores here.
        kind: "baseline" (nothing trained) or "weights".
        published_as: how the papers call this method, or None.
        levels: that it was measured at under this name, others with other weights; empty for all.
        model: a key of ``models.MODELS``, or None.
        weights: name of the weights file, or None.
        weights_hash: first 12 hex digits of its sha256, or None.
        training_sets: what the weights were trained on; empty if they do not say.
        recorded: dataset -> level -> {"psnr", "ssim"} that the weights file carries.
        parameters: number of trained values, or None.
        multiply_adds_per_pixel: or None where that means nothing.
        device: where it ran, in words.
        precision: "fp32", "bf16", "fp16", "int8", or "fp64" for BM3D.
        tta: averaged over 8 flips and rotations.
        exit_block: stopped after this memory block, or None.
        nlrn_stride: distance of NLRN's patches where it was not left to the network, or None.
    """

    name: str
    task: str
    kind: str
    published_as: str | None = None
    levels: tuple[int, ...] = ()
    model: str | None = None
    weights: str | None = None
    weights_hash: str | None = None
    training_sets: tuple[str, ...] = ()
    recorded: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    parameters: int | None = None
    multiply_adds_per_pixel: float | None = None
    device: str = "cpu"
    precision: str = "fp32"
    tta: bool = False
    exit_block: int | None = None
    nlrn_stride: int | None = None

    @property
    def as_it_is(self) -> bool:
        """Say whether these are the weights restoring as they do by themselves."""
        return not self.tta and self.exit_block is None and self.nlrn_stride is None


@dataclass(frozen=True)
class Row:
    """One method on one dataset at one level.

    Attributes:
        method: name of a :class:`MethodCard` of the same task.
        scores: image by image.
        seen: names of the images that the method's weights were trained on.
        peak_memory: largest number of bytes in use while the method ran: on a GPU what the
            method allocated there, on a CPU the resident memory of the whole process.
    """

    method: str
    scores: LevelScores
    seen: tuple[str, ...]
    peak_memory: int


@dataclass(frozen=True)
class Results:
    """Everything that one run measured, and with what.

    Attributes:
        methods: one card per method and task.
        rows: in the order of the run.
        seed: of the noise.
        limit: how many images of each dataset were measured; None for all.
        environment: versions of what computed, name -> version.
        complete: False if the run was stopped before its end.
    """

    methods: tuple[MethodCard, ...]
    rows: tuple[Row, ...]
    seed: int
    limit: int | None
    environment: Mapping[str, str]
    complete: bool = True

    def card(self, row: Row) -> MethodCard:
        """Return the card of the row's method, see :meth:`card_of`."""
        return self.card_of(row.method, row.scores.task, row.scores.level)

    def card_of(self, method: str, task: str, level: int) -> MethodCard:
        """Return the card of a method at a level.

        Raises:
            ValueError: if there is none.
        """
        for card in self.methods:
            named = (card.name, card.task) == (method, task)
            if named and (not card.levels or level in card.levels):
                return card
        raise ValueError(f"no method {method} for {task} at {level}")


def finite(value: float) -> float | None:
    """Return a number as JSON can have it, None where it is infinite."""
    return value if math.isfinite(value) else None  # JSON knows no infinity: a perfect picture


def _row_document(row: Row) -> dict[str, Any]:
    scores = row.scores
    return {
        "dataset": scores.dataset,
        "task": scores.task,
        "level": scores.level,
        "method": row.method,
        "protocol": describe(scores.dataset, get_task(scores.task)),
        "psnr": finite(scores.psnr),
        "ssim": scores.ssim,
        "seconds_per_image": scores.seconds,
        "megapixels_per_second": scores.megapixels_per_second,
        "peak_memory_bytes": row.peak_memory,
        "seen": list(row.seen),
        "images": [{**asdict(image), "psnr": finite(image.psnr)} for image in scores.images],
    }


def to_document(results: Results) -> dict[str, Any]:
    """Return ``results`` as a JSON document; docs/benchmark.md describes it."""
    return {
        "format": FORMAT_VERSION,
        "seed": results.seed,
        "limit": results.limit,
        "complete": results.complete,
        "environment": dict(results.environment),
        "methods": [asdict(card) for card in results.methods],
        "rows": [_row_document(row) for row in results.rows],
    }


def to_text(results: Results) -> str:
    """Return ``results`` as the text of a JSON file."""
    return json.dumps(to_document(results), indent=2, ensure_ascii=False) + "\n"


def _image(document: Mapping[str, Any]) -> ImageScore:
    psnr = document["psnr"]
    image = ImageScore(
        name=str(document["name"]),
        psnr=math.inf if psnr is None else float(psnr),
        ssim=float(document["ssim"]),
        seconds=float(document["seconds"]),
        pixels=int(document["pixels"]),
    )
    sound = not math.isnan(image.psnr) and math.isfinite(image.ssim)
    sound = sound and _is_number(image.pixels) and image.pixels > 0
    if not (sound and 0.0 <= image.seconds < math.inf):
        raise ValueError("no score")
    return image


def _row(document: Mapping[str, Any]) -> Row:
    scores = LevelScores(
        dataset=str(document["dataset"]),
        task=get_task(str(document["task"])).name,
        level=int(document["level"]),
        images=tuple(_image(image) for image in document["images"]),
    )
    if not scores.images or len({image.name for image in scores.images}) < len(scores.images):
        raise ValueError("no images, or one twice")
    seen = tuple(str(name) for name in document["seen"])
    get_task(scores.task).check_level(scores.level)
    if not _is_number(memory := document["peak_memory_bytes"]):
        raise ValueError("no memory")
    return Row(str(document["method"]), scores, seen, int(memory))


def _card(document: Mapping[str, Any]) -> MethodCard:
    sets = tuple(str(name) for name in document["training_sets"])
    levels = tuple(int(level) for level in document.get("levels", ()))  # older ones have none
    card = MethodCard(**{**document, "training_sets": sets, "levels": levels})
    texts = (card.name, card.task, card.kind, card.device, card.precision)
    numbers = (card.parameters, card.multiply_adds_per_pixel)
    scores = [s for of_set in card.recorded.values() for s in of_set.values()]
    if not (
        all(isinstance(text, str) for text in texts)
        and all(number is None or _is_number(number) for number in numbers)
        and all(_is_number(number) for s in scores for number in s.values())
    ):
        raise ValueError("a method")
    for level in levels:
        get_task(card.task).check_level(level)
    return card


def _is_number(value: object) -> bool:
    """Say whether a value is a number that is not negative; OverflowError for absurd ones."""
    return type(value) in {int, float} and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]


def from_document(document: Mapping[str, Any]) -> Results:
    """Return the results that :func:`to_document` turned into ``document``.

    Raises:
        KeyError, TypeError, ValueError, UsageError: for any other document.
    """
    if document["format"] != FORMAT_VERSION:
        raise ValueError("format")
    rows = tuple(_row(row) for row in document["rows"])
    results = Results(
        methods=tuple(_card(card) for card in document["methods"]),
        rows=rows,
        seed=int(document["seed"]),
        limit=None if document["limit"] is None else int(document["limit"]),
        environment=dict(document["environment"]),
        complete=bool(document["complete"]),
    )
    kinds = {(row.method, row.scores.dataset, row.scores.task, row.scores.level) for row in rows}
    if len(kinds) < len(rows):
        raise ValueError("a row twice")
    for row in rows:
        results.card(row)
    return results


def read_results(path: Path) -> Results:
    """Read what ``memnet benchmark --json`` wrote.

    Raises:
        UsageError: for a file that is missing or something else.
    """
    try:
        return from_document(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from None
    except (
        *(KeyError, TypeError, ValueError, AttributeError),
        *(OverflowError, RecursionError, UsageError),
    ):
        raise UsageError(
            f"{path} is no benchmark result: expected what `memnet benchmark --json` or "
            "`--save results.json` writes."
        ) from None

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.checkpoints import WeightsInfo, save_weights
from memnet_cli.evaluation.benchmark import ImageScore, LevelScores
from memnet_cli.evaluation.results import MethodCard, Results, Row
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores.datasets import DatasetImage

Images = Callable[[str], tuple[DatasetImage, ...]]
MakeWeights = Callable[..., Path]
MakeRow = Callable[..., Row]


@pytest.fixture
def mirrored(shared: Path) -> Images:
    """Dataset name -> its images in the shared mirror."""
    datasets = json.loads((shared / "datasets" / "manifest.json").read_text())["datasets"]

    def images(name: str) -> tuple[DatasetImage, ...]:
        return tuple(
            DatasetImage(
                name=Path(file["path"]).name,
                path=shared / "datasets" / "mirror" / file["path"],
                sha256=file["sha256"],
            )
            for file in datasets[name]["files"]
        )

    return images


@pytest.fixture
def picture_folder(tmp_path: Path, photograph: NDArray[np.uint8]) -> Path:
    """Three small pictures in a folder called "own"; one has a name that HTML must escape."""
    folder = tmp_path / "own"
    folder.mkdir()
    for index, name in enumerate(("first.png", "second.png", 'x<b>&amp;".png')):
        top = 60 * index
        Image.fromarray(photograph[top : top + 72, 200:290]).save(folder / name)
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny networks lose more to waiting threads than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_weights(tmp_path: Path, one_thread: None) -> MakeWeights:
    """Return a function that saves a tiny MemNet: (task, name, training sets, hashes, scores)."""

    def make(
        task: str = "sr",
        name: str = "tiny",
        training_sets: tuple[str, ...] = (),
        training_images: tuple[str, ...] = (),
        scores: dict[str, dict[str, dict[str, float]]] | None = None,
    ) -> Path:
        torch.manual_seed(0)
        config = MemNetConfig(memory_blocks=2, recursions=1, width=4)
        info = WeightsInfo(
            model="memnet",
            config=config_to_mapping(config),
            task=task,
            training_sets=training_sets,
            training_images=training_images,
            scores=scores or {},
        )
        path = tmp_path / f"{name}.safetensors"
        save_weights(path, build_model(config), info)
        return path

    return make


@pytest.fixture
def make_row() -> MakeRow:
    """Return a function that makes a row: (method, dataset, task, level, PSNR of each image)."""

    def make(
        method: str = "memnet",
        *,
        dataset: str = "Set5",
        task: str = "sr",
        level: int = 2,
        psnr: tuple[float, ...] = (37.0, 38.0),
        ssim: float = 0.95,
        seen: tuple[str, ...] = (),
    ) -> Row:
        images = tuple(
            ImageScore(f"image{index}", value, ssim, seconds=0.5, pixels=250_000)
            for index, value in enumerate(psnr)
        )
        return Row(method, LevelScores(dataset, task, level, images), seen, 1 << 20)

    return make


def make_results(*rows: Row, limit: int | None = None, seed: int = 0) -> Results:
    """Return results with a card for every method of ``rows``."""
    cards = {
        (row.method, row.scores.task): MethodCard(
            name=row.method,
            task=row.scores.task,
            kind="baseline" if row.method in {"bicubic", "degraded"} else "weights",
            published_as={"memnet": "MemNet", "bicubic": "Bicubic"}.get(row.method),
            training_sets=("T91",),
            parameters=695_000,
            multiply_adds_per_pixel=2.89e6,
        )
        for row in rows
    }
    return Results(tuple(cards.values()), rows, seed, limit, {"memnet": "0"})

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from memnet_cli.stores.datasets import DatasetImage

Images = Callable[[str], tuple[DatasetImage, ...]]


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

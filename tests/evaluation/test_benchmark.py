"""Pictures as the protocols take them: 8 bits, whatever the file holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from memnet_cli.evaluation.benchmark import read_uint8
from memnet_cli.stores.datasets import DatasetImage


def test_alpha_is_seen_on_white(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    samples = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    Image.fromarray(samples).save(path)
    read = read_uint8(DatasetImage("alpha", path, ""))
    assert read.tolist() == [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]


def test_a_floating_point_file_is_cut_off_at_black_and_white(tmp_path: Path) -> None:
    path = tmp_path / "overshoot.tif"
    tifffile.imwrite(path, np.array([[-0.4, -0.001, 0.0, 0.502, 1.0, 1.02, 1.9]], np.float32))
    read = read_uint8(DatasetImage("overshoot", path, ""))
    assert read.dtype == np.uint8
    assert read[:, :, 0].tolist() == [[0, 0, 0, 128, 255, 255, 255]]

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.imaging.resize import imresize
from tests.cli.conftest import Memnet


@pytest.fixture
def clean(
    tmp_path: Path, photograph: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> NDArray[np.uint8]:
    monkeypatch.chdir(tmp_path)
    Path("clean").mkdir()
    part = photograph[100:161, 100:170]
    Image.fromarray(part).save("clean/a.png")
    return part


def test_sr_shrinks_a_cropped_picture(memnet: Memnet, clean: NDArray[np.uint8]) -> None:
    assert memnet("degrade", "--task", "sr", "--scale", "3", "clean", "small/").code == 0
    small = np.asarray(Image.open("small/a.png"))
    expected = np.clip(np.rint(imresize(clean[:60, :69], scale=1 / 3)), 0, 255)
    np.testing.assert_array_equal(small, expected)


def test_noise_is_seeded(memnet: Memnet, clean: NDArray[np.uint8]) -> None:
    for seed, folder in ((0, "n0"), (0, "n1"), (1, "n2")):
        memnet(
            "degrade", "--task", "denoise", "--sigma", "25", "--seed", seed, "clean", f"{folder}/"
        )
    first, again, other = (np.asarray(Image.open(f"n{i}/a.png")).astype(float) for i in range(3))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 10
    inner = (clean > 100) & (clean < 155)  # where nothing is clipped
    assert (first - clean)[inner].std() == pytest.approx(25, rel=0.1)


def test_jpeg_is_written_at_the_quality(memnet: Memnet, clean: NDArray[np.uint8]) -> None:
    memnet("degrade", "--task", "jpeg", "--quality", "10", "clean", "jpg/")
    Image.fromarray(clean).save("expected.jpg", quality=10)
    with Image.open("jpg/a.jpg") as ours, Image.open("expected.jpg") as theirs:
        assert ours.quantization == theirs.quantization  # type: ignore[attr-defined]


def test_names_that_are_no_utf8(memnet: Memnet, clean: NDArray[np.uint8]) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    Path("clean/a.png").rename(Path("clean") / name)
    assert memnet("degrade", "--task", "denoise", "--sigma", "25", "clean", "noisy/").code == 0
    assert np.asarray(Image.open(Path("noisy") / name)).shape == clean.shape


def test_a_suffix_tells_inputs_of_one_name_apart(memnet: Memnet, clean: NDArray[np.uint8]) -> None:
    Image.fromarray(clean).save("clean/a.bmp")
    ran = memnet("degrade", "--task", "jpeg", "--quality", "10", "clean", "jpg/")
    assert (ran.code, "--suffix '_{ext}'" in ran.err) == (2, True)
    named = "--suffix", "_{ext}_{task}"
    assert memnet("degrade", "--task", "jpeg", "--quality", "10", *named, "clean", "jpg/").code == 0
    assert {path.name for path in Path("jpg").iterdir()} == {"a_png_jpeg.jpg", "a_bmp_jpeg.jpg"}


def test_jpeg_under_another_name_is_refused(memnet: Memnet, clean: NDArray[np.uint8]) -> None:
    ran = memnet("degrade", "--task", "jpeg", "--quality", "20", "clean/a.png", "a.png")
    assert (ran.code, Path("a.png").exists()) == (2, False)
    assert "named as PNG and would be written as JPEG" in ran.err


def test_existing_and_bad_files(memnet: Memnet, clean: NDArray[np.uint8]) -> None:
    Path("clean/bad.png").write_bytes(b"no")
    ran = memnet("degrade", "--task", "sr", "--scale", "2", "clean", "small/")
    assert ran.code == 1
    assert "1 degraded by scale factor 2, 0 skipped, 1 failed" in ran.out
    ran = memnet("degrade", "--task", "sr", "--scale", "2", "clean/a.png", "small/")
    assert "0 degraded by scale factor 2, 1 skipped" in ran.out
    assert "--overwrite makes it again" in ran.err

"""What a run is said to take, against what it does, counted by hand."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from memnet_cli.restoration import forecast as forecasts
from memnet_cli.restoration.folder import Settings, restore_folder
from memnet_cli.restoration.forecast import forecast
from memnet_cli.restoration.jobs import Naming, plan_jobs
from memnet_cli.restoration.restorer import Restorer

_PIXEL = {"sr": 3e-6, "jpeg": 1e-5, "denoise": 2e-5}
_PIXELS = 48 * 60


@pytest.fixture
def restorers(
    tiny_weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Restorer]:
    """Return restorers whose speed is known."""
    monkeypatch.setattr(forecasts, "_seconds_per_pixel", lambda one: _PIXEL[one.task.name])
    return {
        task: Restorer.load(task=task, weights=file, device="cpu", precision="fp32")
        for task, file in tiny_weights.items()
    }


@pytest.fixture
def folder(tmp_path: Path, photograph: NDArray[np.uint8]) -> Path:
    """Make a PNG, and JPEGs of several layouts."""
    folder = tmp_path / "in"
    folder.mkdir()
    image = Image.fromarray(photograph[100:148, 100:160])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(folder / "a.png")
    image.save(folder / "b-420.jpg", quality=40, subsampling="4:2:0")
    image.save(folder / "c-422-lying.jpg", quality=40, subsampling="4:2:2", exif=exif)
    image.save(folder / "d-444.jpg", quality=90, subsampling="4:4:4")
    image.save(folder / "e-good.jpg", quality=98)
    image.convert("L").save(folder / "f-grey.jpg", quality=40)
    return folder


def _seconds(
    folder: Path, settings: Settings, restorers: dict[str, Restorer], *tasks: str
) -> list[float]:
    naming = Naming(suffix="_{ext}")
    jobs = plan_jobs([str(folder)], str(folder.parent / "out"), recursive=False, naming=naming)
    plan = forecast(jobs, settings, {task: restorers[task] for task in tasks})
    assert [file.action for file in plan.files] == ["restore"] * len(jobs)
    return [file.seconds / _PIXELS for file in plan.files]


def test_jpegs_are_deblocked_before_they_are_enlarged(
    folder: Path, restorers: dict[str, Restorer]
) -> None:
    settings = Settings("sr", scale=2)
    enlarging = 4 * _PIXEL["sr"]
    alone = _seconds(folder, settings, restorers, "sr")
    np.testing.assert_allclose(alone, [enlarging] * 6)
    planes = np.array([0, 1.5, 2, 3, 0, 1])  # luma and chroma as the file has it
    both = _seconds(folder, settings, restorers, "sr", "jpeg")
    np.testing.assert_allclose(both, enlarging + planes * _PIXEL["jpeg"])


def test_chroma_counts_as_the_file_has_it(folder: Path, restorers: dict[str, Restorer]) -> None:
    luma = _seconds(folder, Settings("jpeg"), restorers, "jpeg")
    np.testing.assert_allclose(luma, [_PIXEL["jpeg"]] * 6)
    chroma = _seconds(folder, Settings("jpeg", chroma=True), restorers, "jpeg")
    np.testing.assert_allclose(chroma, np.array([3, 1.5, 2, 3, 1.5, 1]) * _PIXEL["jpeg"])
    colours = _seconds(folder, Settings("denoise"), restorers, "denoise")
    np.testing.assert_allclose(colours, np.array([3, 3, 3, 3, 3, 1]) * _PIXEL["denoise"])


def test_tiles_that_overlap_and_ensembles_take_longer(
    folder: Path, restorers: dict[str, Restorer]
) -> None:
    one = restorers["denoise"]
    tiled = replace(one, engine=replace(one.engine, tile=40, overlap=8, tta=True))
    (seconds, *_) = _seconds(folder, Settings("denoise"), {"denoise": tiled}, "denoise")
    assert seconds == pytest.approx(3 * 8 * (40 / 24) ** 2 * _PIXEL["denoise"])


@dataclass
class _Slow:
    """Takes so long for a plane, and so long more for each of its pixels, in seconds."""

    plane: float
    pixel: float
    now: float = 0.0

    def restore_plane(self, degraded: NDArray[np.float32]) -> NDArray[np.float32]:
        self.now += self.plane + self.pixel * degraded.size
        return degraded


@pytest.mark.parametrize(("plane", "side"), [(0.03, 320), (0.06, 96)])
def test_the_speed_is_that_of_a_larger_plane_where_it_is_quick(
    plane: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = _Slow(plane, 1e-7)
    monkeypatch.setattr(time, "perf_counter", lambda: slow.now)
    pace = forecasts._seconds_per_pixel(slow)  # type: ignore[arg-type]
    assert pace == pytest.approx(plane / side**2 + 1e-7)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "bmp"])
def test_the_disk_suffices_for_whatever_comes_along(
    tmp_path: Path, restorers: dict[str, Restorer], format: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = bytes(range(256)) * 230
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (61, 61), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in" / "grey.png", exif=exif)
    Image.fromarray(noise > 127).save(tmp_path / "in" / "letters.tif")
    jobs = plan_jobs(
        [str(tmp_path / "in")], str(tmp_path / "out"), recursive=False, naming=Naming(format)
    )
    one, settings = {"denoise": restorers["denoise"]}, Settings("denoise", quality=95)
    plan = forecast(jobs, settings, one)
    for planned, outcome in zip(plan.files, restore_folder(jobs, settings, one), strict=True):
        assert 0 < outcome.bytes <= planned.disk < outcome.bytes + (1 << 17)


def test_what_cannot_be_written_is_told(folder: Path, restorers: dict[str, Restorer]) -> None:
    one = {"denoise": restorers["denoise"]}
    (job, *_) = plan_jobs(
        [str(folder)], str(folder.parent / "out"), recursive=False, naming=Naming(suffix="_{ext}")
    )
    long = replace(job, target=folder / f"{'x' * 300}.png")
    (failed,) = forecast([long], Settings("denoise"), one).files
    assert failed.error is not None
    assert failed.error.endswith("cannot be written: File name too long.")
    (tmp := folder / "taken.png").mkdir()
    (failed,) = forecast([replace(job, target=tmp)], Settings("denoise"), one).files
    assert failed.error == f"{tmp} cannot be written: it is a folder."
    within = replace(job, target=folder / "a.png" / "b.png")
    (failed,) = forecast([within], Settings("denoise"), one).files
    assert failed.action == "fail"


def test_a_drive_that_is_not_there_is_told(
    folder: Path, restorers: dict[str, Restorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"denoise": restorers["denoise"]}
    jobs = plan_jobs(
        [str(folder)], str(folder.parent / "out"), recursive=False, naming=Naming(suffix="_{ext}")
    )
    monkeypatch.setattr(Path, "exists", lambda _: False)
    (failed, *_) = forecast(jobs, Settings("denoise"), one).files
    assert failed.error is not None
    assert failed.error.endswith(f"cannot be written: {folder.anchor} is not there.")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_may_not_be_written_to_is_told(
    folder: Path, restorers: dict[str, Restorer]
) -> None:
    folder.chmod(0o500)
    (job, *_) = plan_jobs([str(folder)], str(folder / "out"), recursive=False, naming=Naming())
    (failed,) = forecast([job], Settings("denoise"), {"denoise": restorers["denoise"]}).files
    folder.chmod(0o700)
    assert failed.error is not None and "may not be written to" in failed.error

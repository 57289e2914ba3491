"""A folder restored with threads is what it is without them, and nothing that fails hangs."""

from __future__ import annotations

import errno
import io
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from memnet_cli.errors import ImageError
from memnet_cli.files import write_atomically
from memnet_cli.imaging import images
from memnet_cli.imaging.images import Picture, encode_image, picture_from_array, read_image
from memnet_cli.restoration import picture_files
from memnet_cli.restoration.detect import Diagnosis, before_enlarging, diagnose
from memnet_cli.restoration.engine import Engine, Plane, Restored
from memnet_cli.restoration.folder import (
    FileThreads,
    Outcome,
    Settings,
    file_threads,
    restore_folder,
)
from memnet_cli.restoration.jobs import Job, Naming, plan_jobs
from memnet_cli.restoration.planes import RestoredParts, Split
from memnet_cli.restoration.restorer import WRITTEN_ANEW, Restorer

PATIENCE = 20.0

pytestmark = pytest.mark.usefixtures("no_thread_is_left")
Restorers = dict[str, Restorer]


@pytest.fixture(scope="module")
def restorers(tiny_weights: dict[str, Path]) -> Restorers:
    return {
        task: Restorer.load(task=task, weights=file, device="cpu", precision="fp32")
        for task, file in tiny_weights.items()
    }


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every picture of 1000 pixels or more a group of its own."""
    monkeypatch.setattr(Engine, "batch_pixels", 1000)


@pytest.fixture
def mixed(tmp_path: Path, photograph: NDArray[np.uint8]) -> Path:
    """Make 14 pictures of all kinds, two of them damaged."""
    folder = tmp_path / "in"
    folder.mkdir()
    part = photograph[100:148, 100:160]
    rng = np.random.default_rng(5)
    noisy = np.clip(part + rng.normal(0, 40, part.shape), 0, 255).astype(np.uint8)
    for index in range(4):
        Image.fromarray(noisy[index:, : 60 - index]).save(folder / f"{index}-noisy.png")
        Image.fromarray(part).save(folder / f"{index}-blocky.jpg", quality=10 + 5 * index)
    Image.fromarray(noisy[:, :, 1]).save(folder / "grey.png")
    Image.fromarray(part).save(folder / "fine.png")
    Image.fromarray(np.dstack([noisy, noisy[:, :, :1]])).save(folder / "alpha.webp", lossless=True)
    deep = picture_from_array(noisy.astype(np.uint16) * 257)
    (folder / "deep.tif").write_bytes(encode_image(deep, "tiff"))
    (folder / "2-damaged.png").write_bytes((folder / "2-noisy.png").read_bytes()[:700])
    (folder / "no-picture.bmp").write_text("text")
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Make 12 pictures of 40x30 pixels."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(12):
        Image.new("RGB", (40, 30), (index * 20, 90, 120)).save(folder / f"{index:02}.png")
    return folder


def plan(folder: Path) -> tuple[Job, ...]:
    output = str(folder.parent / "out")
    return plan_jobs([str(folder)], output, recursive=False, naming=Naming(suffix="_{ext}"))


def one_by_one(job: Job, settings: Settings, restorers: Mapping[str, Restorer]) -> bytes | str:
    """Do what ``restore_folder`` does with one picture, without groups and threads."""
    assert job.source is not None
    try:
        picture = read_image(job.source)
    except ImageError as error:
        return str(error)
    trained = {name: restorer.trained_range for name, restorer in restorers.items()}
    task = diagnose(picture, trained).task if settings.task == "auto" else settings.task
    if task is None:
        same = picture.source.format == job.format.upper()
        if same:
            return job.source.read_bytes()
        return encode_image(picture, job.format, provenance=WRITTEN_ANEW)
    before = None
    diagnosis = before_enlarging(picture)
    if settings.task == "sr" and "jpeg" in restorers and diagnosis.deblock:
        before = restorers["jpeg"]
        picture = before.restore([picture], chroma=True)[0].picture
    scale, chroma = settings.scale, settings.chroma
    result = restorers[task].restore([picture], scale=scale, chroma=chroma)[0].picture
    provenance = restorers[task].provenance(scale=scale, chroma=chroma, before=before)
    return encode_image(result, job.format, provenance=provenance)


def assert_same(found: bytes, expected: bytes, name: str) -> None:
    """Compare two files, but for a value or two that lie on a half and round to either side.

    What else is in a batch moves sums by the last digits of float32.
    """
    if found == expected:
        return
    one, other = (Image.open(io.BytesIO(content)) for content in (found, expected))
    steps = np.abs(np.asarray(one, np.int64) - np.asarray(other, np.int64))
    assert one.info == other.info, name
    assert steps.max() == 1 and np.count_nonzero(steps) <= 2, name


@pytest.mark.parametrize("threads", [None, FileThreads(3, 3)], ids=["few", "many"])
@pytest.mark.parametrize(
    ("settings", "tasks"),
    [
        (Settings("auto"), ("jpeg", "denoise")),
        (Settings("sr", scale=2.5), ("sr",)),
        (Settings("sr", scale=2.5), ("sr", "jpeg")),
        (Settings("jpeg", chroma=True), ("jpeg",)),
    ],
    ids=["auto", "sr", "deblocked", "jpeg"],
)
def test_same_pictures_as_one_by_one(
    mixed: Path,
    restorers: Restorers,
    settings: Settings,
    tasks: tuple[str, ...],
    threads: FileThreads | None,
) -> None:
    jobs = plan(mixed)
    needed = {task: restorers[task] for task in tasks}
    outcomes = list(restore_folder(jobs, settings, needed, threads=threads))
    assert sorted(outcome.job.name for outcome in outcomes) == sorted(job.name for job in jobs)
    for outcome in outcomes:
        expected = one_by_one(outcome.job, settings, needed)
        assert outcome.job.target is not None
        if isinstance(expected, str):
            assert (outcome.status, outcome.error) == ("failed", expected)
            assert not outcome.job.target.exists()
        else:
            found = outcome.job.target.read_bytes()
            assert_same(found, expected, outcome.job.name)
            assert outcome.bytes == len(found)
    assert sum(outcome.status == "failed" for outcome in outcomes) == 2
    deblocked = {outcome.job.relative.name for outcome in outcomes if outcome.deblocked}
    blocky = {f"{index}-blocky.jpg" for index in range(4)}
    assert deblocked == (blocky if tasks == ("sr", "jpeg") else set())


def test_what_deblocking_has_to_tell_is_told(
    mixed: Path, restorers: Restorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = Restorer.restore_parts

    def telling(self: Restorer, parts: Sequence[Split]) -> list[RestoredParts]:
        done = restore(self, parts)
        if self.task.name == "jpeg":
            done = [replace(one, notes=("made once more",)) for one in done]
        return done

    monkeypatch.setattr(Restorer, "restore_parts", telling)
    needed = {task: restorers[task] for task in ("sr", "jpeg")}
    outcomes = restore_folder(plan(mixed), Settings("sr", scale=2.0), needed)
    notes = {outcome.job.relative.name: outcome.notes for outcome in outcomes}
    assert notes["0-blocky.jpg"] == (
        "deblocked first: JPEG of quality about 10",
        "made once more",
    )
    assert notes["fine.png"] == ()


@pytest.mark.usefixtures("small_groups")
def test_model_overlaps_with_reading_and_writing(
    many: Path, restorers: Restorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = plan(many)
    begun: list[int] = []
    was_read = {job.source: threading.Event() for job in jobs}
    read, restore = images.read_image, Engine.restore

    def reading(source: BinaryIO, *, name: str) -> Picture:
        picture = read(source, name=name)
        was_read[Path(name)].set()
        return picture

    def restoring(self: Engine, planes: Sequence[Plane]) -> list[Restored]:
        index = len(begun)
        begun.append(index)
        if index + 1 < len(jobs):
            assert was_read[jobs[index + 1].source].wait(PATIENCE), "the next was not read"
        if index > 0:
            target = jobs[index - 1].target
            deadline = time.monotonic() + PATIENCE
            while target is not None and not target.exists():
                assert time.monotonic() < deadline, "the last was not written"
                time.sleep(0.002)
        return restore(self, planes)

    monkeypatch.setattr(picture_files, "read_image", reading)
    monkeypatch.setattr(Engine, "restore", restoring)
    # no waiting for writers between the groups
    monkeypatch.setattr("memnet_cli.restoration.pipeline._WAITED_SHARE", 0.0)
    outcomes = list(restore_folder(jobs, Settings("denoise"), {"denoise": restorers["denoise"]}))
    assert [outcome.job for outcome in outcomes] == list(jobs)
    assert len(begun) == len(jobs)


@pytest.mark.usefixtures("small_groups")
def test_every_picture_damaged(many: Path, restorers: Restorers) -> None:
    for path in many.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    jobs = plan(many)
    outcomes = list(restore_folder(jobs, Settings("denoise"), {"denoise": restorers["denoise"]}))
    assert [outcome.job for outcome in outcomes] == list(jobs)
    for outcome in outcomes:
        assert outcome.error is not None
        assert "is damaged or cut short" in outcome.error


@pytest.mark.usefixtures("small_groups")
def test_folder_that_cannot_be_written(many: Path, restorers: Restorers) -> None:
    (many.parent / "out").write_text("a file where the folder should be")
    jobs = [replace(job, target=many.parent / "out" / job.relative) for job in plan_in(many)]
    outcomes = list(restore_folder(jobs, Settings("denoise"), {"denoise": restorers["denoise"]}))
    assert len(outcomes) == 12
    for outcome in outcomes:
        assert outcome.status == "failed"
        assert str(outcome.error).startswith(f"{outcome.job.target} cannot be written: ")


def plan_in(folder: Path) -> list[Job]:
    return [
        Job(path, Path(path.name), folder.parent / "out" / path.name, "png")
        for path in sorted(folder.iterdir())
    ]


@pytest.mark.usefixtures("small_groups")
def test_full_disk_fails_those_that_it_meets(
    many: Path, restorers: Restorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = write_atomically

    def writing(path: Path, data: bytes) -> None:
        if path.name >= "07":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(picture_files, "write_atomically", writing)
    jobs = plan_in(many)
    outcomes = list(restore_folder(jobs, Settings("denoise"), {"denoise": restorers["denoise"]}))
    assert [outcome.status for outcome in outcomes] == ["restored"] * 7 + ["failed"] * 5
    assert outcomes[7].error == f"{jobs[7].target} cannot be written: No space left on device."


def whole_outputs(folder: Path) -> int:
    """Return how many outputs there are, each checked to be whole, with nothing beside them."""
    out = folder.parent / "out"
    for path in out.iterdir():
        assert path.suffix == ".png"
        assert not path.name.startswith(".")
        assert np.asarray(Image.open(path)).shape == (30, 40, 3)
    return len(list(out.iterdir()))


@pytest.mark.usefixtures("small_groups")
def test_stop_after_the_first(many: Path, restorers: Restorers) -> None:
    needed = {"denoise": restorers["denoise"]}
    with closing(restore_folder(plan_in(many), Settings("denoise"), needed)) as outcomes:
        first = next(outcomes)
    assert first.job.target is not None
    assert first.job.target.exists()
    assert 1 <= whole_outputs(many) < 12
    rest = list(restore_folder(plan_in(many), Settings("denoise"), needed))
    assert {outcome.status for outcome in rest} == {"skipped", "restored"}
    assert whole_outputs(many) == 12


@pytest.mark.usefixtures("small_groups")
def test_consumer_that_fails(many: Path, restorers: Restorers) -> None:
    def consume() -> None:
        for outcome in restore_folder(
            plan_in(many), Settings("denoise"), {"denoise": restorers["denoise"]}
        ):
            raise RuntimeError(outcome.status)

    with pytest.raises(RuntimeError, match="restored"):
        consume()
    assert 1 <= whole_outputs(many) < 12


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("moment", ["in the model", "while a picture is read"])
def test_ctrl_c(
    many: Path, restorers: Restorers, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    read, restore = images.read_image, Engine.restore
    released = threading.Event()

    def reading(source: BinaryIO, *, name: str) -> Picture:
        if Path(name).name == "04.png":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            released.wait(0.2)
        return read(source, name=name)

    def restoring(self: Engine, planes: Sequence[Plane]) -> list[Restored]:
        if len(told) == 4:
            signal.raise_signal(signal.SIGINT)
        return restore(self, planes)

    if moment == "in the model":
        monkeypatch.setattr(Engine, "restore", restoring)
        monkeypatch.setattr("memnet_cli.restoration.pipeline._WAITED_SHARE", 1000.0)
    else:
        monkeypatch.setattr(picture_files, "read_image", reading)
    told: list[Outcome] = []
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        for outcome in restore_folder(
            plan_in(many), Settings("denoise"), {"denoise": restorers["denoise"]}
        ):
            told.append(outcome)
    assert time.perf_counter() - start < PATIENCE / 2
    out = many.parent / "out"
    assert not out.exists() or len(told) <= whole_outputs(many) < 12


@pytest.mark.usefixtures("small_groups")
def test_failure_of_the_program_is_raised(
    many: Path, restorers: Restorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restoring(self: Engine, planes: Sequence[Plane]) -> list[Restored]:
        raise RuntimeError("a mistake in the model")

    monkeypatch.setattr(Engine, "restore", restoring)
    with pytest.raises(RuntimeError, match="a mistake in the model"):
        list(restore_folder(plan_in(many), Settings("denoise"), restorers))


def test_a_picture_that_spoils_its_group_fails_alone(
    many: Path, restorers: Restorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (37, 30), "white").save(many / "05.png")
    restore = Engine.restore

    def restoring(self: Engine, planes: Sequence[Plane]) -> list[Restored]:
        if any(plane.shape == (30, 37) for plane in planes):
            raise ImageError("The restored picture is not finite.")
        return restore(self, planes)

    monkeypatch.setattr(Engine, "restore", restoring)
    needed = {"denoise": restorers["denoise"]}
    outcomes = list(restore_folder(plan_in(many), Settings("denoise"), needed))
    failed = [outcome for outcome in outcomes if outcome.status != "restored"]
    assert len(outcomes) == 12
    assert [(item.job.relative.name, item.error) for item in failed] == [
        ("05.png", "The restored picture is not finite.")
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_named_pipe_is_read_once(many: Path, restorers: Restorers) -> None:
    pipe = many.parent / "pipe"
    os.mkfifo(pipe)
    data = (many / "03.png").read_bytes()
    feeder = threading.Thread(target=lambda: pipe.write_bytes(data))
    feeder.start()
    job = Job(pipe, Path("pipe.png"), many.parent / "pipe.png", "png")
    needed = {"denoise": restorers["denoise"]}
    (outcome,) = restore_folder([job], Settings("denoise"), needed)
    feeder.join()
    assert (outcome.status, outcome.size) == ("restored", (40, 30))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_an_unchanged_jpeg_from_a_pipe_is_written_as_it_came(
    many: Path, restorers: Restorers
) -> None:
    content = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(content, "JPEG", quality=98)
    pipe = many.parent / "pipe"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=lambda: pipe.write_bytes(content.getvalue()))
    feeder.start()
    job = Job(pipe, Path("pipe.jpg"), many.parent / "out.jpg", "jpeg")
    (outcome,) = restore_folder([job], Settings("auto"), restorers)
    feeder.join()
    assert outcome.status == "unchanged"
    assert (many.parent / "out.jpg").read_bytes() == content.getvalue()


def test_what_is_left_as_it_is_is_what_was_read(
    many: Path, restorers: Restorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file in the place of an input, while its group is restored, is not written."""
    content = io.BytesIO()
    chunks = PngInfo()
    chunks.add_text("Author", "A. Nonymous")
    Image.new("RGB", (40, 30), "teal").save(content, "PNG", pnginfo=chunks, dpi=(300, 300))
    for number in range(12):
        (many / f"{number:02}.png").unlink()
    source = many / "clean.png"
    source.write_bytes(content.getvalue())

    def replaced(picture: Picture, trained: Mapping[str, tuple[int, int]]) -> Diagnosis:
        source.write_bytes(b"other")
        return diagnose(picture, trained)

    monkeypatch.setattr(picture_files, "diagnose", replaced)
    job = Job(source, Path("clean.png"), many.parent / "out.png", "png")
    (outcome,) = restore_folder([job], Settings("auto"), restorers)
    assert outcome.status == "unchanged"
    assert (many.parent / "out.png").read_bytes() == content.getvalue()


def test_a_file_that_is_named_as_another_format_is_copied_too(
    many: Path, restorers: Restorers
) -> None:
    source = many.parent / "really a jpeg.png"
    Image.new("RGB", (40, 30), "teal").save(source, "JPEG", quality=98)
    job = Job(source, Path(source.name), many.parent / "out.jpg", "jpeg")
    (outcome,) = restore_folder([job], Settings("auto"), restorers)
    assert outcome.status == "unchanged"
    assert (many.parent / "out.jpg").read_bytes() == source.read_bytes()


def test_threads_for_files() -> None:
    assert file_threads("cpu", 2) == FileThreads(1, 1)
    assert file_threads("cpu", 64) == FileThreads(2, 2)
    assert file_threads("cuda", 16) == FileThreads(4, 8)
    assert file_threads("mps", 8) == FileThreads(2, 4)
    assert file_threads("cuda", None) == FileThreads(1, 1)

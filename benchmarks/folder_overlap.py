"""Measure a folder's time against the model's alone, and against doing one thing after another.

python benchmarks/folder_overlap.py --size 256 --count 8

A model on the CPU and the threads that read and write share its cores. With `--stand-in` nothing
is restored: the time of a device that leaves the cores alone goes by instead.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from PIL import Image

from memnet_cli.cli._console import out, table
from memnet_cli.imaging.resize import imresize
from memnet_cli.restoration.engine import Engine, Plane, Restored
from memnet_cli.restoration.folder import Settings, restore_folder
from memnet_cli.restoration.host_memory import reuse_freed_memory
from memnet_cli.restoration.jobs import Job, Naming, plan_jobs
from memnet_cli.restoration.picture_files import (
    Outcome,
    Read,
    read_job,
    write_result,
)
from memnet_cli.restoration.picture_files import Restored as ToWrite
from memnet_cli.restoration.restorer import Restorer, scaled_shape

_PHOTOGRAPH_SIDE = 512


@dataclass
class Clock:
    """Seconds that went by inside of what it times."""

    seconds: float = 0.0


@dataclass(frozen=True)
class TimedEngine(Engine):
    """An engine that adds the time of every call to a clock.

    With ``stand_in`` it waits so many seconds a megapixel and returns the planes as they came.
    """

    clock: Clock = field(default_factory=Clock)
    stand_in: float | None = None

    def restore(self, planes: Sequence[Plane]) -> list[Restored]:
        """Restore planes as ``Engine`` does."""
        start = time.perf_counter()
        if self.stand_in is None:
            restored = super().restore(planes)
        else:
            time.sleep(self.stand_in * sum(plane.size for plane in planes) / 1e6)
            restored = [Restored(plane) for plane in planes]
        self.clock.seconds += time.perf_counter() - start
        return restored


@dataclass(frozen=True)
class Sequential:
    """Seconds of each step, done one after the other."""

    read: float
    """Decoding, and taking apart into planes."""
    model: float
    write: float
    """Putting together, encoding, and writing."""

    @property
    def total(self) -> float:
        """The sum."""
        return self.read + self.model + self.write


@dataclass(frozen=True)
class Overlapped:
    """Seconds of ``restore_folder``, and those of them that the model took."""

    wall: float
    model: float


def main() -> None:
    """Make pictures of a photograph, restore them both ways in turn, and print the ratios."""
    arguments = _arguments()
    reuse_freed_memory()
    restorer, clock = _timed(
        Restorer.load(
            task=arguments.task,
            weights=arguments.weights,
            device=arguments.device,
            precision=arguments.precision,
        ),
        arguments.stand_in,
    )
    settings = Settings(arguments.task, scale=arguments.scale, overwrite=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make_pictures(folder / "in", arguments.count, arguments.size)
        jobs = plan_jobs(
            [str(folder / "in")], str(folder / "out"), recursive=False, naming=Naming()
        )
        list(restore_folder(jobs[:1], settings, {arguments.task: restorer}))  # warms up
        one_by_one, folders = [], []
        for _ in range(arguments.repeats):
            one_by_one.append(_one_by_one(jobs, settings, restorer, clock))
            folders.append(_folder(jobs, settings, restorer, clock))
    megapixels = arguments.count * arguments.size**2 * (arguments.scale or 1) ** 2 / 1e6
    runtime = str(restorer.engine.runtime) if arguments.stand_in is None else "a stand-in"
    _show(one_by_one, folders, megapixels, runtime)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in pixels")
    parser.add_argument("--count", type=int, default=8, help="number of pictures")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--task", default="jpeg", help="sr, denoise or jpeg")
    parser.add_argument("--scale", type=float, help="for sr")
    parser.add_argument(
        "--stand-in", type=float, metavar="SECONDS", help="a megapixel, instead of the model"
    )
    parser.add_argument("--weights", help="a name or a file; else the task's default weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    return parser.parse_args()


def _timed(restorer: Restorer, stand_in: float | None) -> tuple[Restorer, Clock]:
    clock = Clock()
    parts = {part.name: getattr(restorer.engine, part.name) for part in fields(restorer.engine)}
    return replace(restorer, engine=TimedEngine(**parts, clock=clock, stand_in=stand_in)), clock


def _make_pictures(folder: Path, count: int, size: int) -> None:
    """Write PNGs of a photograph that scikit-image ships, each a little different."""
    from skimage.data import astronaut

    folder.mkdir()
    photograph = astronaut() / 255.0
    if size > _PHOTOGRAPH_SIDE:
        photograph = imresize(photograph, shape=(size, size))
    pixels = (np.clip(photograph[:size, :size], 0, 1) * 255).round().astype(np.uint8)
    for index in range(count):
        Image.fromarray(np.roll(pixels, 7 * index, axis=1)).save(folder / f"{index:05}.png")


def _one_by_one(
    jobs: Sequence[Job], settings: Settings, restorer: Restorer, clock: Clock
) -> Sequential:
    """Restore in the groups of one picture that a CPU takes, each step after the other."""
    clock.seconds = 0.0
    read_seconds = write_seconds = 0.0
    provenance = restorer.provenance(scale=settings.scale)
    for job in jobs:
        start = time.perf_counter()
        read = read_job(job, settings, {settings.task: restorer})
        read_seconds += time.perf_counter() - start
        if not isinstance(read, Read):
            raise SystemExit(read.error)
        assert read.parts is not None
        done = restorer.restore_parts([read.parts])[0]
        start = time.perf_counter()
        height, width = scaled_shape(read.picture.height, read.picture.width, settings.scale)
        outcome = Outcome(job, "restored", size=(width, height))
        write_result(ToWrite(done, None, provenance, outcome), settings)
        write_seconds += time.perf_counter() - start
    return Sequential(read_seconds, clock.seconds, write_seconds)


def _folder(
    jobs: Sequence[Job], settings: Settings, restorer: Restorer, clock: Clock
) -> Overlapped:
    clock.seconds = 0.0
    start = time.perf_counter()
    for outcome in restore_folder(jobs, settings, {settings.task: restorer}):
        if outcome.error is not None:
            raise SystemExit(outcome.error)
    return Overlapped(time.perf_counter() - start, clock.seconds)


def _show(
    one_by_one: Sequence[Sequential],
    folders: Sequence[Overlapped],
    megapixels: float,
    runtime: str,
) -> None:
    def row(name: str, values: Sequence[float], unit: str) -> tuple[str, str, str]:
        middle = statistics.median(values)
        return name, f"{middle:.3f}{unit}", f"{min(values):.3f} to {max(values):.3f}{unit}"

    rows = [
        row("read, into planes", [item.read for item in one_by_one], " s"),
        row("model", [item.model for item in one_by_one], " s"),
        row("out of planes, write", [item.write for item in one_by_one], " s"),
        row("one after the other", [item.total for item in one_by_one], " s"),
        row("folder", [item.wall for item in folders], " s"),
        row("inside the model, of the folder's time", [f.model / f.wall for f in folders], ""),
        row(
            "folder / model alone",
            [f.wall / item.model for f, item in zip(folders, one_by_one, strict=True)],
            "",
        ),
        row(
            "one after the other / folder",
            [item.total / f.wall for f, item in zip(folders, one_by_one, strict=True)],
            "",
        ),
    ]
    out.print(table(f"{megapixels:.2f} megapixels on {runtime}", ("", "median", "range"), rows))


if __name__ == "__main__":
    main()

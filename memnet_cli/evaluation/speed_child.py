"""What `memnet speed` measures in a process of its own: memory, and the time to a first picture.

Memory that a process once had stays with it, and a process starts only once: neither can be
measured beside other work. This file is also the program of the process that measures memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from memnet_cli.errors import DeviceError
from memnet_cli.evaluation.speed_report import Spread
from memnet_cli.evaluation.speed_subjects import sample_picture, sample_plane
from memnet_cli.imaging.images import write_image

_FIRST_PICTURE = (96, 96)


@dataclass(frozen=True)
class Run:
    """One restoration, as a process of its own is told of it.

    Attributes:
        weights: path of the file.
        exit_block: or None for the whole network.
    """

    weights: str
    task: str
    device: str
    precision: str
    height: int
    width: int
    exit_block: int | None = None


def memory_growth(run: Run) -> int:
    """Return the bytes by which memory in use grows while a plane is restored untiled.

    On CUDA what torch allocates on the device, elsewhere the resident memory of the process,
    looked at every 20 ms. Weights, libraries and the plane itself are there before.

    Raises:
        DeviceError: if the process fails, for instance for want of memory.
    """
    command = [sys.executable, "-m", __name__, json.dumps(asdict(run))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DeviceError(
            f"Memory for {run.height}x{run.width} could not be measured: the process ended with "
            f"'{last}'."
        )
    return int(json.loads(done.stdout)["bytes"])


def first_output(run: Run, scale: int | None, repeats: int) -> Spread:
    """Return the seconds that ``memnet restore`` takes for one picture of 96x96, all included.

    Raises:
        DeviceError: if the command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "degraded.png"
        write_image(sample_picture(*_FIRST_PICTURE), source)
        command = [sys.executable, "-m", "memnet_cli", "restore", "--quiet", "--overwrite"]
        command += ["--task", run.task, "--weights", run.weights, "--device", run.device]
        command += ["--precision", run.precision]
        command += [] if scale is None else ["--scale", str(scale)]
        command += [] if run.exit_block is None else ["--exit-block", str(run.exit_block)]
        command += [str(source), str(Path(folder) / "restored.png")]
        return Spread(tuple(_seconds(command) for _ in range(repeats)))


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise DeviceError(f"`memnet restore` failed while it was timed: {done.stderr.strip()}")
    return seconds


def _measure_memory(run: Run) -> int:
    import psutil
    import torch

    from memnet_cli.config import RuntimeOptions
    from memnet_cli.evaluation.run import PeakMemory
    from memnet_cli.restoration.host_memory import reuse_freed_memory
    from memnet_cli.restoration.restorer import Restorer
    from memnet_cli.tasks import get_task

    reuse_freed_memory()  # as `memnet restore` does
    options = RuntimeOptions(run.device, run.precision, tile="off", exit_block=run.exit_block)
    restorer = Restorer.from_file(Path(run.weights), get_task(run.task), options)
    engine = restorer.engine
    device = engine.runtime.device
    engine.restore([sample_plane(32, 32)])
    plane = sample_plane(run.height, run.width)
    with PeakMemory(str(device)) as memory:
        before = (
            torch.cuda.memory_allocated(device)
            if device.type == "cuda"
            else psutil.Process().memory_info().rss
        )
        engine.restore([plane])
    return memory.bytes - before


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"bytes": _measure_memory(Run(**json.loads(sys.argv[1])))}))

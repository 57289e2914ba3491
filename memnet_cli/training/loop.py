"""Training, from the first step to the last score, in one direction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from memnet_cli.errors import DeviceError, TrainingError, UsageError
from memnet_cli.evaluation.benchmark import LevelScores
from memnet_cli.evaluation.peaks import wait_for_device
from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.restoration.engine import out_of_memory
from memnet_cli.training.clock import Clock
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.data import TrainingData
from memnet_cli.training.distributed import (
    agree,
    device_of,
    joined,
    wait_for_all,
    world_from_environment,
)
from memnet_cli.training.events import Note, Say
from memnet_cli.training.growth import recursions_of
from memnet_cli.training.keeping import (
    finish,
    forecast_measuring,
    measure_and_keep,
    report,
    save,
)
from memnet_cli.training.records import (
    RunFolder,
    alone,
    claim_folder,
    keeps_anything,
    release_folder,
    stored_identity,
)
from memnet_cli.training.session import Session, prepare_session
from memnet_cli.training.starting import start_or_resume
from memnet_cli.training.state import load_newest
from memnet_cli.training.step import train_step
from memnet_cli.training.stopping import stop_requests
from memnet_cli.training.tensorboard import with_board
from memnet_cli.training.throughput import Meter
from memnet_cli.training.trainee import Trainee, grow_if_due

_REPORT_SECONDS = 10.0
#: What to do where memory is too small.
_TO_BEGIN = (
    " for the training pictures and the networks: end what else uses it, give less --data, fewer "
    "--teacher or a smaller network, or another --device"
)
_TO_TRAIN = ": divide the batch with --set accumulate=2 or more, or give --gradient-checkpointing"


@dataclass(frozen=True)
class TrainingResult:
    """How a session ended.

    Attributes:
        finished: whether the budget is used up; else the run waits to be resumed.
        reason: why the session ended.
        step: optimizer steps in all.
        seconds: wall time in all.
        pixels: training pixels seen in all.
        scores: of the result at every level; empty if it was not measured.
        weights: last.safetensors.
    """

    finished: bool
    reason: str
    step: int
    seconds: float
    pixels: int
    scores: dict[int, LevelScores]
    weights: Path


def train(
    config: TrainingConfig, data: TrainingData, say: Say, started: float | None = None
) -> TrainingResult:
    """Train, or go on with a run, until its budget is used up or somebody asks to stop.

    Args:
        config: the run.
        data: its pictures.
        say: is told what happens; called in the leading process only.
        started: ``time.monotonic()`` when the command began, from which a time budget counts.

    Raises:
        TrainingError: for a loss that is not a number, a full disk, or damaged checkpoints; the
            last good checkpoint is intact.
        UsageError: for a folder that holds another run or cannot be written.
        DatasetError: if no picture is as large as a patch.
        DeviceError: for a device that is not there, more processes than GPUs, or too little
            memory.
    """
    clock = Clock(started or time.monotonic(), config.budget.seconds)
    world = world_from_environment()
    if config.recipe.batch % (world.size * config.recipe.accumulate):
        raise UsageError(
            f"A batch of {config.recipe.batch} cannot be divided among {world.size} processes "
            f"times {config.recipe.accumulate} parts: give another --set batch=..."
        )
    machine = config.machine
    runtime = resolve_runtime(device_of(world, machine.device), machine.precision)
    with (
        stop_requests() as stop,
        joined(world, runtime.device),
        alone(config.out, world.leads),
    ):
        new = stored_identity(config.out) is None
        folder = RunFolder(config.out)
        if world.leads:
            folder = claim_folder(config, data.first, data.first_hash)
        wait_for_all(world)
        found = load_newest(folder.checkpoints) if config.resume else None
        if machine.tensorboard and world.leads:
            say = with_board(say, folder.path / "tensorboard", found[0].step if found else 0)
        try:
            with _enough_memory(runtime.device, _TO_BEGIN):
                session = prepare_session(config, data, world, runtime, folder, clock, stop, say)
                trainee = start_or_resume(session, found)
        except BaseException:
            if new and world.leads:
                release_folder(folder)
            raise
        try:
            with _enough_memory(runtime.device, _TO_TRAIN), _compiler():
                result = _run(session, trainee)
        except DeviceError:
            if new and world.leads and not keeps_anything(folder):
                release_folder(folder)
            raise
        del session, trainee  # before the processes part
        return result


@contextmanager
def _enough_memory(device: torch.device, advice: str) -> Iterator[None]:
    """Say in one sentence, with the advice, that an allocation inside failed.

    Raises:
        DeviceError: in place of what torch or numpy raise then.
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise DeviceError(f"Not enough memory on {device}{advice}.") from None


@contextmanager
def _compiler() -> Iterator[None]:
    """Say in one sentence that what --compile needs is not there or fails.

    Raises:
        DeviceError: in place of what torch raises then.
    """
    try:
        yield
    except RuntimeError as error:
        # its classes are where importing takes seconds, and are all RuntimeErrors
        if not type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
            raise
        first = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        raise DeviceError(
            f"The network cannot be compiled here ({first.rstrip('.:')}): install a C++ compiler "
            "that torch finds, such as g++, or leave --compile out."
        ) from None


@dataclass
class _Agenda:
    """When things were last done, in seconds of the run, and the steps since the last report."""

    first_step: int
    reported: float
    measured: float
    saved: float
    meter: Meter


def _run(session: Session, trainee: Trainee) -> TrainingResult:
    """Step until the budget is used up or somebody asks to stop; then measure and keep."""
    forecast_measuring(session, trainee)
    now = session.clock.elapsed()
    agenda = _Agenda(trainee.step, now, now, now, Meter())
    session.clock.begin(trainee.progress)
    while not _over(session, trainee):
        if grow_if_due(trainee, session.config, session.runtime, session.world):
            session.tell(Note(f"Grown to {recursions_of(trainee.model)} recursions."))
        train_step(session, trainee, agenda.meter)
        _keep_up(session, trainee, agenda)
    _refuse_no_step(session, trainee)
    _report(session, trainee, agenda)
    save(session, trainee)
    scores = {}
    if trainee.progress >= 1.0:
        # of a run that had ended, all is measured once more, however late it is
        late = trainee.step == agenda.first_step
        scores = finish(session, trainee, None if late else session.clock.deadline())
    wait_for_all(session.world)
    return _result(session, trainee, scores)


def _refuse_no_step(session: Session, trainee: Trainee) -> None:
    seconds = session.config.budget.seconds
    if trainee.step == 0 and seconds is not None and trainee.progress >= 1.0:
        raise TrainingError(
            f"The {seconds:g} s were over before the first step: go on with --resume and a longer "
            "--time."
        )


def _over(session: Session, trainee: Trainee) -> bool:
    """Say whether the session ends here, the same in all processes; sets the progress."""
    asked = _why_leave(session) != ""
    used = session.progress(trainee.step, trainee.progress)
    leave, progress = agree(session.world, asked, used)
    trainee.progress = min(progress, 1.0)
    return bool(leave) or progress >= 1.0


def _keep_up(session: Session, trainee: Trainee, agenda: _Agenda) -> None:
    """Report, measure and save, whichever is due after a step."""
    config, clock = session.config, session.clock
    now = clock.elapsed()
    done = trainee.step - agenda.first_step
    # the first step also sets up the convolutions: it is reported alone, so as not to count
    if done in {1, 5} or now - agenda.reported > _REPORT_SECONDS:
        _report(session, trainee, agenda)
    if config.validation_share and clock.measuring:
        pause = clock.measuring / config.validation_share
        if now - agenda.measured > pause:
            _report(session, trainee, agenda)
            measure_and_keep(session, trainee)
            agenda.measured = clock.elapsed()
    if now - agenda.saved > config.machine.save_seconds:
        _report(session, trainee, agenda)
        save(session, trainee)
        agenda.saved = clock.elapsed()


def _report(session: Session, trainee: Trainee, agenda: _Agenda) -> None:
    """Tell of the steps since the last report; a loss out of all bounds ends the run here."""
    meter = agenda.meter
    if meter.steps == 0:
        return
    start = time.perf_counter()
    wait_for_device(session.runtime.device)  # steps are over when their work is
    meter.seconds += time.perf_counter() - start
    report(session, trainee, meter)
    if trainee.step > agenda.first_step + 1:
        session.clock.note_steps(meter.steps, meter.seconds, trainee.multiply_adds)
    agenda.meter, agenda.reported = Meter(), session.clock.elapsed()


def _why_leave(session: Session) -> str:
    """Return why this session must end before the budget does, or nothing."""
    if session.stop.asked():
        return f"{session.stop.signal_name} asked it to stop"
    limit = session.config.machine.stop_after
    if limit is not None and session.clock.left_of(limit) <= 0.0:
        return f"--stop-after {limit:g} s"
    return ""


def _result(session: Session, trainee: Trainee, scores: dict[int, LevelScores]) -> TrainingResult:
    asked = _why_leave(session)
    measurable = bool(session.data.validation.images) and session.world.leads
    finished = trainee.progress >= 1.0 and not (asked and measurable and not scores)
    reason = "the budget is used up" if finished else asked or "another process was stopped"
    return TrainingResult(
        finished=finished,
        reason=reason,
        step=trainee.step,
        seconds=session.clock.elapsed(),
        pixels=trainee.pixels,
        scores=scores,
        weights=session.folder.weights("last"),
    )

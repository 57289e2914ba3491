"""Where a run starts: from nothing, from other weights, or from its newest sound checkpoint."""

from __future__ import annotations

import contextlib
from pathlib import Path

from memnet_cli.checkpoints import read_config, read_info
from memnet_cli.errors import TrainingError, UsageError
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.memnet import MemNet
from memnet_cli.training.data import first_digest
from memnet_cli.training.distributed import World, agree
from memnet_cli.training.events import Note
from memnet_cli.training.metrics import best_told, keep_until
from memnet_cli.training.session import Session
from memnet_cli.training.state import Checkpoint
from memnet_cli.training.trainee import Trainee, new_trainee, resumed_trainee


def start_or_resume(session: Session, found: tuple[Checkpoint, tuple[Path, ...]] | None) -> Trainee:
    """Return the state that the newest sound checkpoint holds, or that of a new run.

    Args:
        session: is told where the run starts; its clock is set to the time that the run has had.
        found: the newest sound checkpoint and the damaged ones after it; None without any.

    Raises:
        UsageError: for other training pictures, teachers or first weights than the run began
            with, or first weights of another network than the recipe asks for.
        WeightsError: for first weights that are no sound weights file.
        TrainingError: if the processes found different checkpoints.
    """
    config, world, runtime = session.config, session.world, session.runtime
    _refuse_different_steps(world, 0 if found is None else found[0].step)
    if found is None:
        if config.resume:
            _refuse_other_first_weights(session)
            _refuse_lost_checkpoints(session)
            session.tell(Note("There is no checkpoint yet: starting from the beginning."))
        trainee = new_trainee(config, runtime, world)
        if config.resume:
            _take_up_records(session, trainee)
        _tell_what_changed(session, trainee)
        return trainee
    checkpoint, broken = found
    for path in broken:
        session.tell(Note(f"{path.name} is cut off or changed: going back to the one before."))
        if world.leads:
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".damaged"))
    if checkpoint.data != session.data.fingerprint:
        raise UsageError(
            f"The training pictures or the teachers are not those that the run in {config.out} "
            "began with: put them back, or start a new run with --init "
            f"{config.out}/last.safetensors."
        )
    if checkpoint.measured not in {"", session.data.measured}:
        raise UsageError(
            f"The pictures that the run in {config.out} is measured on are not those that it began "
            "with, whose scores would be compared with theirs: put them back, or start a new run "
            f"with --init {config.out}/last.safetensors."
        )
    trainee = resumed_trainee(config, runtime, world, checkpoint)
    _take_up_records(session, trainee)
    session.clock.earlier = trainee.seconds
    _take_up_budget(session, trainee, checkpoint.budget)
    session.tell(
        Note(f"Going on after step {trainee.step} ({trainee.progress:.1%} of the budget).")
    )
    return trainee


def _take_up_records(session: Session, trainee: Trainee) -> None:
    """Forget what was recorded after the trainee's step, but for what best.safetensors is."""
    if session.world.leads:
        # the checkpoint may be older than best.safetensors
        before = [best for best in (trainee.best, best_told(session.folder)) if best is not None]
        trainee.best = max(before, default=None)
        keep_until(session.folder, trainee.step)


def _refuse_lost_checkpoints(session: Session) -> None:
    last = session.folder.weights("last")
    if last.exists():
        raise UsageError(
            f"{session.folder.checkpoints} has no checkpoint any more, and {last.name} is of the "
            f"run: put them back, or start a new run in another --out with --init {last}."
        )


def _refuse_other_first_weights(session: Session) -> None:
    config, data = session.config, session.data
    names = " and ".join(map(str, config.init))
    try:
        if first_digest(config) == data.first_hash:
            return
        what = f"{names} is not what the run in {config.out} began with"
    except OSError as error:
        what = (
            f"{names} cannot be read ({error.strerror}), and the run in {config.out} began with it"
        )
    raise UsageError(f"{what}: put that back, or start a new run in another --out.")


def _take_up_budget(session: Session, trainee: Trainee, before: str) -> None:
    """Set the progress to the share of the budget of now, which may be another than ``before``."""
    now = str(session.config.budget)
    changed = before not in {"", now}
    used = session.progress(trainee.step, 0.0 if changed else trainee.progress)
    trainee.progress = min(1.0, used)
    if changed:
        session.tell(Note(f"The budget is {now} now, {before} before."))


def _refuse_different_steps(world: World, step: int) -> None:
    """Make sure that all processes go on from the same checkpoint."""
    most, least = agree(world, step, -step)
    if most != -least:
        raise TrainingError(
            f"Some processes found a checkpoint of step {most:.0f}, others of step {-least:.0f}: "
            "put the run folder on storage that all machines share."
        )


def _tell_what_changed(session: Session, trainee: Trainee) -> None:
    """Say what more the first weights had, as the network no longer does the same."""
    files, model = session.config.init, trainee.model
    if len(files) > 1:
        session.tell(Note(f"Starts from the mean of {', '.join(path.name for path in files)}."))
    if not files or not isinstance(model, MemNet):
        return
    init = files[0]  # the others are the same network
    before = read_config(init, read_info(init))
    assert isinstance(before, MemNetConfig)  # or they would have been refused
    for what, had, has in (
        ("memory blocks", before.memory_blocks, model.settings.memory_blocks),
        ("recursions", before.recursions, model.settings.recursions),
    ):
        if has < had:
            session.tell(Note(f"Cut down to {has} of the {had} {what} of {init.name}."))
    had, has = before.unshuffle, model.settings.unshuffle
    if has != had:
        squares = f"Works on squares of {has}x{has} pixels, {init.name} on {had}x{had}"
        session.tell(Note(f"{squares}: it is a start, not the same."))

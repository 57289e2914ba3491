"""Runs that are killed, stopped or damaged, and go on as if nothing had happened."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from memnet_cli.checkpoints import load_weights, read_info, save_weights
from memnet_cli.errors import DeviceError, TrainingError, UsageError
from memnet_cli.files import write_atomically
from memnet_cli.training.config import Budget, Machine, TrainingConfig, config_from_identity
from memnet_cli.training.events import Event, Measured, Note, Progress, Saved
from memnet_cli.training.metrics import best_told, keep_until, read_metrics
from memnet_cli.training.recipe_files import load_recipe
from memnet_cli.training.records import RunFolder, stored_identity
from memnet_cli.training.state import checkpoints
from tests.training.conftest import TINY, StartTraining, checkpoint_of, run, tiny_run, wait_until

#: All that a run has to keep: Muon and what it knows of inputs, a growth stage, a running mean, and
#: a batch in two parts.
_GROWTH = ("grow_to=2", "grow_at=0.6", "restart_at=0.6")
_SETTINGS = (*TINY, "whitened=true", *_GROWTH, "accumulate=2")
_STEPS = 40
_GROWS_AT = 24
_EVERY_STEP = 0.001


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """Return a run of 40 steps that grows after 24, and that nobody disturbs."""
    config = replace(
        tiny_run(pictures, tmp_path_factory.mktemp("runs") / "whole"),
        recipe=load_recipe("growth", "memnet", _SETTINGS),
        budget=Budget(steps=_STEPS),
    )
    assert run(config).finished
    return config


def _resumed(config: TrainingConfig) -> TrainingConfig:
    return replace(config, resume=True)


def _assert_same(first: TrainingConfig, second: TrainingConfig) -> None:
    """Compare weights, running mean and optimizers of two runs bit for bit."""
    one, other = checkpoint_of(first), checkpoint_of(second)
    assert (one.step, one.pixels) == (other.step, other.pixels) == (_STEPS, _STEPS * 4 * 16 * 16)
    for left, right in ((one.model, other.model), (one.mean, other.mean)):
        assert left is not None and right is not None
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
    for before, after in zip(one.optimizers, other.optimizers, strict=True):
        assert before["state"]
        for index, values in before["state"].items():
            for name, value in values.items():
                assert torch.equal(value, after["state"][index][name])
    weights = [load_file(config.out / "last.safetensors") for config in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def _newest_step(out: Path) -> int:
    found = checkpoints(out / "checkpoints")
    return int(found[0].name.split("-")[1]) if found else 0


@pytest.mark.timeout(120)
def test_a_run_killed_mid_epoch_ends_with_the_same_weights_bit_for_bit(
    whole: TrainingConfig, start_training: StartTraining, pictures: Path, tmp_path: Path
) -> None:
    cut = replace(whole, out=tmp_path / "cut")
    settings = [part for setting in _SETTINGS for part in ("--set", setting)]
    process = start_training(
        *("--task", "sr", "--recipe", "growth", *settings, "--data", pictures, "--out", cut.out),
        *("--steps", _STEPS, "--val-share", 0, "--device", "cpu", "--precision", "fp32"),
        *("--save-every", f"{_EVERY_STEP}s"),
    )
    wait_until(lambda: _newest_step(cut.out) >= 7, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert 7 <= _newest_step(cut.out) < _GROWS_AT
    assert run(_resumed(cut)).finished
    _assert_same(whole, cut)


@pytest.mark.parametrize("stopped_at", [11, 30])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_bit_for_bit(
    whole: TrainingConfig, stopped_at: int, tmp_path: Path
) -> None:
    cut = replace(whole, out=tmp_path / "cut")
    machine = replace(cut.machine, save_seconds=_EVERY_STEP)

    def stop(event: Event) -> None:
        if isinstance(event, Saved) and event.step == stopped_at:
            os.kill(os.getpid(), signal.SIGTERM)  # and once more when it has saved on its way out

    result = run(replace(cut, machine=machine), stop)
    assert (result.finished, result.step) == (False, stopped_at)
    assert "SIGTERM" in result.reason
    assert run(_resumed(cut)).finished
    _assert_same(whole, cut)
    entries = [json.loads(line) for line in (cut.out / "metrics.jsonl").read_text().splitlines()]
    steps = [entry["step"] for entry in entries if entry["kind"] == "train"]
    assert steps == sorted(set(steps))
    assert steps[-1] == _STEPS


def test_a_session_ends_in_time_and_the_next_one_goes_on(tiny: TrainingConfig) -> None:
    config = replace(
        tiny, budget=Budget(steps=10**6), machine=replace(tiny.machine, stop_after=4.0)
    )
    result = run(config)
    assert not result.finished
    assert result.reason == "--stop-after 4 s"
    assert result.seconds < 6.0  # a step may stall on a busy machine
    assert checkpoint_of(config).step == result.step > 0


def test_time_is_counted_over_all_sessions(tiny: TrainingConfig) -> None:
    config = replace(tiny, budget=Budget(seconds=7.0))
    first = run(replace(config, machine=replace(tiny.machine, stop_after=3.0)))
    assert (first.finished, first.seconds < 3.0) == (False, True)
    second = run(_resumed(config))
    assert second.finished and second.scores
    assert first.seconds < second.seconds < 7.0
    assert second.step > first.step


@pytest.mark.parametrize(
    ("before", "now"),
    [(Budget(steps=4), Budget(steps=16)), (Budget(epochs=0.01), Budget(epochs=0.1))],
)
def test_a_run_with_a_longer_budget_goes_on_at_the_rate_of_that(
    tiny: TrainingConfig, before: Budget, now: Budget
) -> None:
    assert run(replace(tiny, budget=before)).finished
    done = checkpoint_of(tiny).step
    said: list[str] = []
    longer = replace(_resumed(tiny), budget=now)
    result = run(longer, lambda event: said.extend([event.text] if isinstance(event, Note) else []))
    whole = run(replace(tiny, budget=now, out=tiny.out.with_name("whole")))
    assert result.finished and result.step == whole.step > done
    rates = [
        [entry["lr"] for entry in read_metrics(RunFolder(out)) if entry["kind"] == "train"]
        for out in (tiny.out, whole.weights.parent)
    ]
    assert rates[0][-1] == rates[1][-1]
    assert f"The budget is {now} now, {before} before." in said
    # the run is what it has become: it is taken up by its folder alone
    stored = stored_identity(tiny.out)
    assert stored is not None
    assert config_from_identity(stored, tiny.out, tiny.machine).budget == now


def test_a_run_in_time_is_given_more_of_it(tiny: TrainingConfig) -> None:
    first = run(replace(tiny, budget=Budget(seconds=3.0)))
    assert first.finished
    second = run(replace(_resumed(tiny), budget=Budget(seconds=first.seconds + 3.0)))
    assert second.finished and second.step > first.step


def test_the_best_stays_the_best_when_a_run_is_given_more(tiny: TrainingConfig) -> None:
    run(tiny)
    best = tiny.out / "best.safetensors"
    before = best.read_bytes()
    # as if the first measurement had been better than any that comes
    folder = RunFolder(tiny.out)
    entries = read_metrics(folder)
    for score in entries[-1]["scores"].values():
        score["psnr"] += 20.0
    folder.metrics.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    said: list[Event] = []
    run(replace(_resumed(tiny), budget=Budget(steps=9)), said.append)
    assert [event.best for event in said if isinstance(event, Measured)] == [False]
    assert best.read_bytes() == before


def test_a_run_that_has_ended_is_measured_whole_once_more(
    tiny: TrainingConfig, tmp_path: Path
) -> None:
    measured = tmp_path / "measured"
    measured.mkdir()
    for path in sorted(Path(tiny.data[0]).iterdir()):
        Image.open(path).transpose(Image.Transpose.ROTATE_90).save(measured / path.name)
    config = replace(tiny, budget=Budget(seconds=3.0), validation=str(measured))
    first = run(config)  # whose time may have been too short to measure all
    weights = load_file(first.weights)
    second = run(_resumed(config))
    assert (second.finished, second.step) == (True, first.step)
    assert all(len(score.images) == 6 for score in second.scores.values())
    assert list(read_info(second.weights).scores) == [str(measured)]
    assert all(torch.equal(weights[n], t) for n, t in load_file(second.weights).items())
    for level, score in first.scores.items():
        assert score.images[0].psnr == second.scores[level].images[0].psnr


def test_first_weights_are_needed_no_more_once_there_is_a_checkpoint(tiny: TrainingConfig) -> None:
    run(tiny)
    first = tiny.out.with_name("first.safetensors")
    shutil.copy(tiny.out / "last.safetensors", first)
    config = replace(tiny, init=(first,), out=tiny.out.with_name("next"))
    whole = replace(config, out=tiny.out.with_name("whole"), budget=Budget(steps=12))
    run(config)
    run(whole)
    first.unlink()
    # given more steps, it draws the patches that come after those of the first weights
    run(replace(_resumed(config), budget=Budget(steps=12)))
    assert read_info(config.out / "last.safetensors").steps == 18
    assert read_info(whole.out / "last.safetensors").steps == 18


@pytest.mark.parametrize("several", [False, True])
def test_other_first_weights_cannot_take_over_a_run(tiny: TrainingConfig, several: bool) -> None:
    run(tiny)
    first = tiny.out.with_name("first.safetensors")
    shutil.copy(tiny.out / "last.safetensors", first)
    second = tiny.out / "last.safetensors"
    init = (first, second) if several else (first,)
    config = replace(tiny, init=init, out=tiny.out.with_name("next"))
    run(config)
    shutil.rmtree(config.out / "checkpoints")
    shutil.copy(config.out / "last.safetensors", first)
    names = r"first\.safetensors" + (r" and .*last\.safetensors" if several else "")
    with pytest.raises(UsageError, match=names + " is not what the run in .* began with"):
        run(_resumed(config))


def test_two_commands_cannot_train_one_run(tiny: TrainingConfig) -> None:
    said: list[str] = []

    def again(event: Event) -> None:
        if isinstance(event, Saved):
            with pytest.raises(UsageError, match="is being trained by another process"):
                run(replace(_resumed(tiny), budget=Budget(steps=99)))
            said.append(event.name)

    run(tiny, again)
    assert said
    assert stored_identity(tiny.out)["budget"] == {"steps": 6}  # type: ignore[index]
    assert run(_resumed(tiny)).finished


def test_other_pictures_cannot_take_over_a_run(tiny: TrainingConfig, tmp_path: Path) -> None:
    folder = tmp_path / "changing"
    shutil.copytree(tiny.data[0], folder)
    config = replace(tiny, data=(str(folder),))
    run(config)
    shutil.copy(folder / "0.png", folder / "9.png")
    with pytest.raises(UsageError, match=r"or the teachers are not those that the run in .* began"):
        run(_resumed(config))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tiny: TrainingConfig) -> None:
    machine = replace(tiny.machine, save_seconds=_EVERY_STEP, keep=2)
    run(replace(tiny, machine=machine))
    newest, before = checkpoints(tiny.out / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:-100])
    said: list[Event] = []
    assert run(_resumed(tiny), said.append).finished
    notes = [event.text for event in said if isinstance(event, Note)]
    assert any(newest.name in note and "cut off" in note for note in notes)
    step = int(before.name.split("-")[1])
    assert any(f"after step {step}" in note for note in notes)
    assert checkpoint_of(tiny).step == 6
    assert not newest.exists() and newest.with_suffix(".damaged").exists()
    for path in checkpoints(tiny.out / "checkpoints"):
        path.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"None of the .* checkpoints .* is whole"):
        run(_resumed(tiny))


def test_resuming_before_the_first_checkpoint_starts_from_the_beginning(
    tiny: TrainingConfig,
) -> None:
    said: list[Event] = []
    assert run(_resumed(tiny), said.append).finished
    assert Note("There is no checkpoint yet: starting from the beginning.") in said


def test_what_was_recorded_before_the_first_checkpoint_is_begun_anew(tiny: TrainingConfig) -> None:
    stopped = replace(tiny, budget=Budget(steps=4))
    assert run(stopped).finished
    for path in checkpoints(tiny.out / "checkpoints"):
        path.unlink()
    with pytest.raises(
        UsageError, match=r"no checkpoint any more, and last\.safetensors is of the"
    ):
        run(_resumed(stopped))
    (tiny.out / "last.safetensors").unlink()
    with RunFolder(tiny.out).metrics.open("a") as file:
        file.write('{"kind": "tr')  # by a crash
    assert run(_resumed(stopped)).finished
    entries = read_metrics(RunFolder(tiny.out))
    assert all(json.loads(line) for line in RunFolder(tiny.out).metrics.read_text().splitlines())
    steps = [entry["step"] for entry in entries if entry["kind"] == "train"]
    assert steps == sorted(set(steps))


def test_the_best_is_not_forgotten_however_often_a_run_goes_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    told = [
        {"kind": "validation", "step": step, "seconds": 1.0, "dataset": "Set5", "best": True,
         "scores": {"2": {"psnr": psnr}}}
        for step, psnr in ((60, 30.0), (100, 40.0))
    ]  # fmt: skip
    folder.metrics.write_text("".join(json.dumps(entry) + "\n" for entry in told))
    for _ in range(2):
        assert best_told(folder) == 40.0
        keep_until(folder, 80)


@pytest.mark.parametrize("line", [
    b"\xff", b'{"kind": "validation", "step": 2, "best": true}', b"[" * 100_000,
    b'{"kind": "validation", "step": 2, "seconds": 1, "dataset": "x", "scores": {"2": {}}}',
    b'{"kind": "validation", "step": 2, "seconds": 1, "dataset": "", "scores": {"x": {"psnr": 9}}}',
    b'{"kind": "train", "step": 2}',
])  # fmt: skip
def test_lines_of_the_metrics_that_make_no_sense_are_left_out(
    tiny: TrainingConfig, line: bytes
) -> None:
    assert run(replace(tiny, budget=Budget(steps=4))).finished
    metrics = RunFolder(tiny.out).metrics
    before = read_metrics(RunFolder(tiny.out))
    metrics.write_bytes(metrics.read_bytes() + line + b"\n")
    assert read_metrics(RunFolder(tiny.out)) == before
    assert run(replace(_resumed(tiny), budget=Budget(steps=5))).finished
    assert (tiny.out / "curves.png").is_file()


@pytest.mark.parametrize("name", ["recipe.toml", "last.safetensors", "checkpoints/mine.pt"])
def test_what_lies_in_the_folder_is_not_written_over(tiny: TrainingConfig, name: str) -> None:
    path = tiny.out / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    for config in (tiny, _resumed(tiny)):
        with pytest.raises(UsageError, match=f"{path.name} is there already, and no run.json"):
            run(config)
    assert path.read_text() == "mine"


def test_another_recipe_cannot_take_over_a_run(tiny: TrainingConfig) -> None:
    run(tiny)
    with pytest.raises(UsageError, match="holds a run already: go on with --resume"):
        run(tiny)
    other = replace(tiny, recipe=replace(tiny.recipe, lr=0.5), budget=Budget(steps=9))
    with pytest.raises(UsageError, match=r"other settings \(recipe.lr 0.001 -> 0.5\)"):
        run(_resumed(other))
    assert checkpoint_of(tiny).step == 6
    stored = stored_identity(tiny.out)
    assert stored is not None and stored["budget"] == {"steps": 6}
    elsewhere = replace(tiny, machine=Machine("cpu", "fp32", keep=1, save_seconds=1.0))
    assert run(_resumed(elsewhere)).finished


def test_a_full_disk_leaves_the_last_good_checkpoint(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = replace(tiny.machine, save_seconds=_EVERY_STEP)
    written: list[Path] = []

    def full(path: Path, data: bytes) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_atomically(path, data)
        written.append(path)

    monkeypatch.setattr("memnet_cli.training.state.write_atomically", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*last good.*000000003"):
        run(replace(tiny, machine=machine))
    assert checkpoint_of(tiny).step == 3
    monkeypatch.undo()
    assert run(_resumed(tiny)).finished


def test_a_full_disk_when_a_run_goes_on_is_told_as_one(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny)

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("memnet_cli.training.metrics.write_atomically", full)
    with pytest.raises(TrainingError, match=r"metrics.jsonl \(No space left.*the last checkpoint"):
        run(replace(_resumed(tiny), budget=Budget(steps=9)))


@pytest.mark.parametrize("fits", [0, 1])
def test_a_full_disk_at_the_start_leaves_a_folder_that_can_be_used(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    written: list[Path] = []

    def full(path: Path, data: bytes) -> None:
        if len(written) == fits:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_atomically(path, data)
        written.append(path)

    monkeypatch.setattr("memnet_cli.training.records.write_atomically", full)
    with pytest.raises(UsageError, match="Cannot write to the run folder"):
        run(tiny)
    monkeypatch.undo()
    assert run(tiny).finished


def test_a_run_killed_before_its_recipe_was_written_goes_on(tiny: TrainingConfig) -> None:
    run(tiny)
    folder = RunFolder(tiny.out)
    for path in (folder.recipe, folder.metrics, *folder.checkpoints.iterdir()):
        path.unlink()
    for which in ("last", "best"):
        folder.weights(which).unlink()
    assert run(_resumed(tiny)).finished
    assert folder.recipe.exists()


def test_what_killed_processes_left_half_written_is_removed(tiny: TrainingConfig) -> None:
    run(tiny)
    left = [path / ".memnet-0123456789abcdef.part" for path in (tiny.out, tiny.out / "checkpoints")]
    for path in left:
        path.write_bytes(b"half a checkpoint")
    mine = tiny.out / ".memnet-mine.part"
    mine.write_bytes(b"of another name")
    assert run(_resumed(tiny)).finished
    # beside the run another command may be writing just now
    assert [path.exists() for path in (*left, mine)] == [True, False, True]
    os.utime(left[0], (0, 0))
    assert run(_resumed(tiny)).finished
    assert not left[0].exists()
    fresh = replace(tiny, out=tiny.out.with_name("fresh"))
    (fresh.out / "checkpoints").mkdir(parents=True)
    (fresh.out / "checkpoints" / left[0].name).write_bytes(b"of a run that never began")
    assert run(fresh).finished


def test_other_pictures_to_measure_on_are_not_compared_with(
    tiny: TrainingConfig, tmp_path: Path, photograph: NDArray[np.uint8]
) -> None:
    (tmp_path / "val").mkdir()
    picture = tmp_path / "val" / "a.png"
    Image.fromarray(photograph[300:360, 300:372]).save(picture)
    config = replace(tiny, validation=str(picture.parent))
    run(config)
    assert run(_resumed(config)).finished
    Image.fromarray(photograph[300:360, 372:300:-1]).save(picture)
    with pytest.raises(UsageError, match="is measured on are not those that it began"):
        run(_resumed(config))


def test_first_weights_that_are_gone_are_told_in_one_sentence(tiny: TrainingConfig) -> None:
    run(tiny)
    first = tiny.out.with_name("first.safetensors")
    shutil.copy(tiny.out / "last.safetensors", first)
    config = replace(tiny, init=(first,), out=tiny.out.with_name("next"))
    run(config)
    shutil.rmtree(config.out / "checkpoints")
    first.unlink()
    with pytest.raises(UsageError, match=r"first.safetensors cannot be read \(No such file"):
        run(_resumed(config))


def test_a_network_that_cannot_be_compiled_leaves_no_run(
    tiny: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a C++ compiler, of which torch finds none in an empty PATH."""
    from torch._inductor.exc import InvalidCxxCompiler

    def compile_it(*_: object) -> None:
        raise InvalidCxxCompiler

    monkeypatch.setattr("memnet_cli.training.loop.train_step", compile_it)
    with pytest.raises(DeviceError, match=r"cannot be compiled here \(.*leave --compile out"):
        run(tiny)
    assert not tiny.out.exists()
    monkeypatch.undo()
    assert run(tiny).finished


def test_a_loss_that_is_no_number_ends_the_run_and_spares_the_checkpoint(
    tiny: TrainingConfig,
) -> None:
    machine = replace(tiny.machine, save_seconds=_EVERY_STEP)
    recipe = replace(tiny.recipe, lr=1e30, optimizer="sgd", clip=0.0, warmup=0.5)
    config = replace(tiny, recipe=recipe, machine=machine)
    said: list[Event] = []
    with pytest.raises(TrainingError, match="checkpoints written before it are intact; try a"):
        run(config, said.append)
    told = [event.loss for event in said if isinstance(event, Progress)]
    good = checkpoint_of(config)
    assert good.step == len(told) < 6
    assert all(bool(torch.isfinite(tensor).all()) for tensor in good.model.values())


def test_a_loss_that_no_picture_has_ends_the_run_instead_of_its_budget(
    tiny: TrainingConfig, tmp_path: Path
) -> None:
    # weights that are numbers and too large, which steps as small as these do not bring back
    model, info = load_weights(run(replace(tiny, budget=Budget(steps=1))).weights)
    for convolution in (m for m in model.modules() if isinstance(m, torch.nn.Conv2d)):
        convolution.weight.data *= 1e3
    wild = tmp_path / "wild.safetensors"
    save_weights(wild, model, info)
    recipe = replace(
        tiny.recipe, lr=1e-9, optimizer="adamw", clip=0.0, loss="l1", freeze_statistics=True
    )
    config = replace(tiny, recipe=recipe, budget=Budget(steps=210), out=tiny.out.with_name("wild"))
    with pytest.raises(
        TrainingError, match=r"by step 210: its loss is \d.*would be 1; start again"
    ):
        run(replace(config, init=(wild,)))
    calm = replace(config, recipe=replace(recipe, lr=1e-3))
    assert run(replace(calm, out=config.out.with_name("calm"))).finished

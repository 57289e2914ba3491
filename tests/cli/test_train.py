"""`memnet train` and `memnet export` as a user meets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.checkpoints import read_info
from tests.cli.conftest import Memnet, Ran

_TINY = [
    *("--set", "model.memory_blocks=2", "--set", "model.recursions=1", "--set", "model.width=4"),
    *("--set", "batch=4", "--set", "patch=16", "--device", "cpu", "--precision", "fp32"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, photograph: NDArray[np.uint8]) -> Path:
    """Return a folder of three small photographs."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(3):
        left = 80 * number + 100
        Image.fromarray(photograph[20:80, left : left + 72]).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread: these networks are too small for more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_run(memnet: Memnet, pictures: Path, tmp_path: Path) -> Path:
    """Return the folder of a finished run of three steps."""
    folder = tmp_path / "run"
    ran = memnet("train", "--task", "sr", "-d", pictures, "-o", folder, "--steps", 3, *_TINY)
    assert ran.code == 0, ran.err
    return folder


def test_a_run_shows_its_recipe_its_steps_and_its_scores(
    memnet: Memnet, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    ran = memnet("train", "--task", "sr", "-d", pictures, "-o", folder, "--steps", 3, *_TINY)
    assert ran.code == 0
    assert "Training memnet for sr" in ran.err
    assert 'optimizer = "adamw"' in ran.err and "width = 4" in ran.err
    assert "measured after step 3 on held-back" in ran.err
    assert "of peak" in ran.err and "data " in ran.err
    assert "3 steps" in ran.out and "PSNR" in ran.out
    assert "\x1b" not in ran.err, "no terminal, so plain lines"
    names = {path.name for path in folder.iterdir()}
    assert {"last.safetensors", "best.safetensors", "metrics.jsonl", "curves.png"} <= names
    quiet = memnet(
        *("train", "--task", "sr", "-d", pictures, "-o", tmp_path / "q", "--steps", 1, "-q"), *_TINY
    )
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_run_can_be_stopped_and_resumed_by_its_folder_alone(
    memnet: Memnet, pictures: Path, tmp_path: Path, stopped_at_once: None
) -> None:
    folder = tmp_path / "run"
    ran = memnet("train", "--task", "sr", "-d", pictures, "-o", folder, "--steps", 30, *_TINY)
    assert ran.code == 130
    assert "SIGINT asked it to stop): everything is saved; go on with" in ran.err
    again = memnet("train", "--resume", "--out", folder, "--device", "cpu", "--precision", "fp32")
    assert again.code == 0, again.err
    assert "30 steps" in again.out


def test_a_finished_run_is_given_more_steps_by_its_folder_alone(
    memnet: Memnet, one_run: Path
) -> None:
    again = ("train", "--resume", "--out", one_run, "--device", "cpu", "--precision", "fp32")
    ran = memnet(*again, "--steps", 5)
    assert (ran.code, "The budget is 5 steps now, 3 steps before." in ran.err) == (0, True)
    assert read_info(one_run / "last.safetensors").steps == 5
    both = memnet(*again, "--steps", 9, "--time", "9m")
    assert (both.code, "exactly one of --steps" in both.err) == (2, True)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        (["--set", "lr=0.5"], "leave --set out"),
        (["-m", "rednet", "--seed", "0"], "leave --model and --seed out"),
    ],
)
def test_a_run_resumed_by_its_folder_alone_heeds_no_settings_and_says_so(
    memnet: Memnet, one_run: Path, setting: list[str], named: str
) -> None:
    ran = memnet("train", "--resume", "--out", one_run, *setting)
    assert (ran.code, named in ran.err) == (2, True)


def test_weights_are_exported(memnet: Memnet, one_run: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.safetensors"
    ran = memnet("export", one_run, target)
    assert ran.code == 0
    assert "3 steps" in ran.out
    assert read_info(target).task == "sr"
    assert memnet("export", one_run, target).code == 2
    last = memnet("export", one_run, target, "--overwrite", "--which", "last")
    assert last.code == 0
    assert target.read_bytes() == (one_run / "last.safetensors").read_bytes()
    best = one_run / "best.safetensors"
    before = best.read_bytes()
    ran = memnet("export", one_run, best, "--overwrite", "--which", "last")
    assert (ran.code, "is the run's own file" in ran.err) == (2, True)
    assert best.read_bytes() == before


_REFUSED = [
    ("train --task sr --data x", "There is no run folder: give --out"),
    ("train --out r --data x --steps 1", "There is no task: give --task"),
    ("train --task upscale --data x --out r --steps 1", "There is no task 'upscale'"),
    ("train --task sr --out r --steps 1", "nothing to train on: give --data"),
    ("train --task sr --data T91 --out r", "exactly one of --steps, --epochs and --time"),
    ("train --task sr --data T91 --out r --time soon", "'soon' is no duration"),
    ("train --task sr --data T91 --out r --steps 1 --set lrr=1", "Did you mean 'lr'"),
    ("train --task sr --data T91 --out r --steps 1 --set betas=2,3", "betas is [2.0, 3.0]"),
    ("train --task sr --data T91 --out r --steps 1 --set model=3", "model.width=3"),
    ("train --task sr --data T91 --out r --steps 1 --set drop_factor=-1", "drop_factor is -1"),
    ("train --task sr --data T91 --out r --epochs nan", "budget is nan"),
    ("train --task sr --data T91 --out r --steps 1 --recipe slow", "no recipe 'slow'"),
    ("train --task sr --data T91 --out r --steps 1 --model vgg", "no model 'vgg'"),
    ("train --out r --resume", "r holds no run to resume"),
    ("export r w.pth", "give a .safetensors file"),
    ("export r w.safetensors --which first", "--which first is unknown"),
]
#: The latest that can be said without torch.
_REFUSED_LAST = [
    ("train --task sr --data T19 --out r --steps 1", "no dataset or folder 'T19'"),
    ("train --task sr --data T91 --out r --steps 1 --init x.safetensors", "no weights file"),
    ("train --task sr --data T91 --out r --steps 1 --teacher x.safetensors", "no weights file"),
    ("export r w.safetensors", "r holds no weights"),
]


@pytest.mark.parametrize(("arguments", "message"), _REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(
    memnet: Memnet, arguments: str, message: str, tmp_path: Path
) -> None:
    _assert_refused(memnet(*_in(tmp_path, arguments)), message, tmp_path)


@pytest.mark.parametrize(("arguments", "message"), _REFUSED_LAST)
def test_what_cannot_be_done_is_said_before_torch_is_loaded(
    memnet_process: Memnet, arguments: str, message: str, tmp_path: Path
) -> None:
    _assert_refused(memnet_process(*_in(tmp_path, arguments)), message, tmp_path)


def _in(folder: Path, arguments: str) -> list[str]:
    return [str(folder / "r") if word == "r" else word for word in arguments.split()]


def _assert_refused(ran: Ran, message: str, tmp_path: Path) -> None:
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_a_folder_without_pictures_and_one_that_cannot_be_written(
    memnet: Memnet, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    common = ("train", "--task", "sr", "--steps", 1, *_TINY)
    ran = memnet(*common, "-d", tmp_path / "empty", "-o", tmp_path / "r")
    assert (ran.code, "There is no picture in the folder" in ran.err) == (2, True)
    (tmp_path / "file").write_text("")
    ran = memnet(*common, "-d", pictures, "-o", tmp_path / "file" / "run")
    assert ran.code == 2
    assert "Cannot write to the run folder" in ran.err
    assert len([line for line in ran.err.splitlines() if line.startswith("Error")]) == 1


def test_a_run_is_not_overwritten(memnet: Memnet, one_run: Path, pictures: Path) -> None:
    common = ("train", "--task", "sr", "-d", pictures, "-o", one_run, *_TINY)
    ran = memnet(*common, "--steps", 3)
    assert (ran.code, "holds a run already: go on with --resume" in ran.err) == (2, True)
    ran = memnet(*common, "--steps", 3, "--resume", "--set", "lr=0.5")
    assert (ran.code, "recipe.lr 0.001 -> 0.5" in ran.err) == (2, True)


def test_weights_without_a_step_keep_what_they_were_trained_on(
    memnet: Memnet, one_run: Path, pictures: Path, tmp_path: Path
) -> None:
    ran = memnet(
        *("train", "--task", "sr", "-d", pictures, "-o", tmp_path / "same", "--steps", 0, *_TINY),
        *("--init", one_run / "last.safetensors", "--set", "patch=24"),
    )
    assert ran.code == 0, ran.err
    assert read_info(tmp_path / "same" / "last.safetensors").patch == 16


def test_a_refused_run_leaves_its_folder_free(
    memnet: Memnet, one_run: Path, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "next"
    asked = ("train", "--task", "sr", "-d", pictures, "-o", folder, "--steps", 1, *_TINY)
    first = ("--init", one_run / "last.safetensors")
    refused = memnet(*asked, *first, "--set", "model.width=3")
    assert (refused.code, "width" in refused.err) == (2, True)
    assert not folder.exists()
    ran = memnet(*asked, *first)
    assert ran.code == 0, ran.err
    again = memnet(*asked, *first, "--resume", "--set", "model.width=8")
    assert again.code == 2
    assert (folder / "last.safetensors").is_file() and (folder / "run.json").is_file()

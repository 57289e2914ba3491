"""`memnet ablate` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.cli.conftest import Memnet

_TINY = (
    *("--set", "model.memory_blocks=2", "--set", "model.recursions=2", "--set", "model.width=4"),
    *("--set", "batch=2", "--set", "patch=16", "--device", "cpu", "--precision", "fp32"),
    *("--steps", "3"),
)


@pytest.fixture(scope="module")
def folders(
    tmp_path_factory: pytest.TempPathFactory, photograph: NDArray[np.uint8]
) -> tuple[Path, Path]:
    """Return a folder to train on and one to measure on."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, part in enumerate(("train", "train", "measured")):
        (folder / part).mkdir(exist_ok=True)
        left = 80 * number + 100
        picture = Image.fromarray(photograph[20:80, left : left + 72])
        picture.save(folder / part / f"{number}.png")
    return folder / "train", folder / "measured"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread: these networks are too small for more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


#: Two of the three variants of MemNet's Table 1.
_TWO = """
title = "Long-term memories"
paper = "Tai et al., ICCV 2017"
table = "Table 1"
task = "sr"
level = 3
dataset = "Set5"
model = "memnet"
[[variants]]
name = "MemNet"
published = 34.09
[[variants]]
name = "MemNet_NL"
published = 33.96
[variants.model]
long_term = false
"""


def _command(
    name: object, folders: tuple[Path, Path], out: Path, *more: object
) -> tuple[object, ...]:
    return ("ablate", name, "-d", folders[0], "--val", folders[1], "-o", out, *_TINY, *more)


def test_a_table_with_the_papers_numbers_and_what_it_shows(
    memnet: Memnet, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out, copies = tmp_path / "out", (tmp_path / "a.json", tmp_path / "a.md")
    (tmp_path / "two.toml").write_text(_TWO)
    more = ("--seeds", 2, "--json", copies[0], "--markdown", copies[1])
    command = _command(tmp_path / "two.toml", folders, out, *more)
    ran = memnet(*command)
    assert ran.code == 0, ran.err
    for word in ("MemNet_NL", "33.96", "34.09", "reference", "Order here:", "±", "Table 1"):
        assert word in ran.out
    assert "Absolute PSNR is not comparable with the paper's" in ran.out
    assert "Run 2 of 4: MemNet_NL, seed 0" in ran.err
    document = json.loads((out / "ablation.json").read_text())
    assert document["complete"] is True and len(document["runs"]) == 4
    assert copies[0].read_bytes() == (out / "ablation.json").read_bytes()
    assert copies[1].read_bytes() == (out / "ablation.md").read_bytes()
    assert "| MemNet_NL | 2 |" in copies[1].read_text()
    again = memnet(*command)
    assert again.out == ran.out
    assert again.err.count("done before") == 4 and "step" not in again.err
    quiet = memnet(*command, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_interrupted_it_says_how_to_go_on(
    memnet: Memnet,
    folders: tuple[Path, Path],
    tmp_path: Path,
    stopped_at_once: None,
) -> None:
    command = _command("memnet-table1", folders, tmp_path / "out", "--seeds", 1)
    ran = memnet(*command)
    assert ran.code == 130
    assert "Stopped with 3 runs to do" in ran.err
    again = memnet(*command)
    assert again.code == 0, again.err
    assert "With 1 seed there is no interval" in again.out
    assert "Going on after step 1" in again.err


_REFUSED = [
    ("ablate memnet-table1 --steps 3", "There is no folder for the runs: give --out"),
    ("ablate memnet-tabel1 --steps 3 --out r", "Did you mean 'memnet-table1'"),
    ("ablate no.toml --steps 3 --out r", "Cannot read the ablation no.toml"),
    ("ablate bad.toml --steps 3 --out r", "is no TOML"),
    ("ablate typo.toml --steps 3 --out r", "Did you mean 'variants'"),
    ("ablate memnet-table1 --out r", "exactly one of --steps and --time"),
    ("ablate memnet-table1 --steps 3 --time 2m --out r", "exactly one of --steps and --time"),
    ("ablate memnet-table1 --time soon --out r", "'soon' is no duration"),
    ("ablate memnet-table1 --steps 0 --out r", "The budget is 0"),
    ("ablate memnet-table1 --steps 3 --seeds a,b --out r", "--seeds is 'a,b'"),
    ("ablate memnet-table1 --steps 3 --out r --task denoize", "Did you mean 'denoise'"),
    ("ablate memnet-table1 --steps 3 --out r --level 99", "scale factor 99 is out of range"),
    ("ablate memnet-table1 --steps 3 --out r --set model.widht=4", "Did you mean 'width'"),
    ("ablate memnet-table1 --steps 3 --out r --set model.long_term=true", "would override"),
    ("ablate memnet-table1 --steps 3 --out r --device tpu", "is no device"),
    ("ablate memnet-table1 --steps 3 --out r -d T19", "no dataset or folder 'T19'"),
    ("ablate memnet-table1 --steps 3 --out r -d empty", "There is no picture in"),
    ("ablate memnet-table1 --steps 3 --out r -d pictures --val pictures", "are trained on"),
    ("ablate memnet-table1 --steps 3 --out file/r -d pictures --val other", "Cannot write"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, folders: tuple[Path, Path]) -> Path:
    """Return a folder with what the refused commands name."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "bad.toml").write_text("[[[")
    (folder / "typo.toml").write_text("[[variant]]\n")
    (folder / "empty").mkdir()
    (folder / "file").write_text("")
    (folder / "pictures").symlink_to(folders[0])
    (folder / "other").symlink_to(folders[1])
    return folder


@pytest.mark.parametrize(("arguments", "message"), _REFUSED, ids=lambda text: text)
def test_what_cannot_be_done_is_said_in_one_line(
    memnet: Memnet,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    message: str,
) -> None:
    monkeypatch.chdir(place)
    ran = memnet(*arguments.split())
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert not (place / "r").exists()


# one early and the latest: every process of its own costs a second
@pytest.mark.parametrize(("arguments", "message"), [_REFUSED[1], _REFUSED[-1]])
def test_that_is_said_without_torch(
    memnet_process: Memnet,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    message: str,
) -> None:
    monkeypatch.chdir(place)
    ran = memnet_process(*arguments.split())
    assert (ran.code, message in ran.err) == (2, True)
    assert "Traceback" not in ran.err


def test_torchrun_is_refused(
    memnet: Memnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    ran = memnet("ablate", "memnet-table1", "--steps", 3, "--out", tmp_path / "r")
    assert (ran.code, "in one process" in ran.err) == (2, True)

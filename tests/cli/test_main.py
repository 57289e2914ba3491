from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from memnet_cli import Restorer, __version__, available_models
from memnet_cli.cli import app
from tests.cli.conftest import Memnet

_LONG = "x" * 300
COMMANDS = sorted(command.name or "" for command in app.registered_commands)


def test_the_four_commands_are_there() -> None:
    assert {"restore", "benchmark", "download-weights"} <= set(COMMANDS)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_without_torch(memnet_process: Memnet, command: str) -> None:
    ran = memnet_process(*command.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Usage" in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["restore", "--task", "sr", "--scale", "2", "nowhere.png", "out/"], "nowhere.png"),
        (["restore", "--task", "sr", ".", "out/"], "needs a scale factor"),
        (["restore", "--task", "upscale", ".", "out/"], "There is no task 'upscale'"),
        (["restore", "."], "INPUT... and last an OUTPUT"),
        (["restore", "--scale", "2", ".", "out/"], "--task sr"),
        (["restore", "--device", "tpu", ".", "out/"], "is no device"),
        (["restore", "--precision", "fp8", ".", "out/"], "is no precision"),
        (["restore", "--fp32", "--precision", "bf16", ".", "out/"], "contradict"),
        (["restore", "--tile", "big", ".", "out/"], "is no tile size"),
        (["restore", "--tile", "3", ".", "out/"], "too small"),
        (["restore", "--json", "-", "-"], "both want standard output"),
        (["restore", "--format", "gif", "{picture}", "out/"], "cannot be written as 'gif'"),
        (
            ["restore", "--task", "jpeg", "-m", "memnetz", "{picture}", "o/"],
            "Did you mean 'memnet'",
        ),
        (["restore", "--weights", "no.safetensors", "{picture}", "o/"], "no weights file"),
        (
            ["restore", "--task", "jpeg", "--weights", "memnet-m6r6-sr", "{picture}", "o/"],
            "trained for sr, not for jpeg",
        ),
        (["restore", "--task", "jpeg", "--exit-block", "99", "{picture}", "o/"], "past the last"),
        (["degrade", "--task", "sr", "{picture}", "o/"], "give --scale"),
        (["degrade", "--task", "jpeg", "--quality", "0", "{picture}", "o/"], "out of range"),
        (["degrade", "--task", "jpeg", "--sigma", "5", "--quality", "9", "a", "b"], "--sigma goes"),
        (["download-weights"], "No weights were named"),
        (["download-weights", "--list", "--all"], "--list fetches nothing"),
        (["download-weights", "memnet-m6r6-srr"], "Did you mean 'memnet-m6r6-sr'"),
        (["benchmark", "--dataset", "Set15"], "Did you mean 'Set5'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_error_is_one_sentence_without_torch(
    memnet_process: Memnet, tmp_path: Path, arguments: list[str], message: str
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"not read before the options are checked")
    ran = memnet_process(*(argument.format(picture=picture) for argument in arguments))
    assert ran.code == 2
    assert ran.out == ""
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["import-torch", "no.pth", "--task", "sr", "--out", "o.safetensors"], 2, "no file no.pth"),
        (["import-torch", _LONG, "--task", "sr", "--out", "o.safetensors"], 2, "There is no file"),
        (["import-torch", ".", "--task", "sr", "--out", f"{_LONG}.safetensors"], 2, "no file ."),
        (["import-caffe", ".", "--task", "sr", "--out", f"{_LONG}.safetensors"], 2, "Cannot read"),
        (["export", ".", f"{_LONG}.safetensors"], 2, "holds no weights"),
        (["export", _LONG, "o.safetensors"], 2, "holds no weights"),
        (["download-weights", "memnet-m6r6-sr", "--from", _LONG], 2, "is no file"),
        (["download-weights", "memnet-m6r6-sr", "--dest", _LONG], 1, "Cannot write"),
        (["ablate", "memnet-table1", "--out", _LONG, "--steps", "1"], 2, ""),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_names_that_no_file_can_have(
    memnet_process: Memnet, arguments: list[str], code: int, message: str
) -> None:
    ran = memnet_process(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert "Traceback" not in ran.err


_STOPPED_WHILE_IMPORTING = """
import sys
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == "memnet_cli.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stop())
from memnet_cli.__main__ import main
main()
"""


def test_ctrl_c_while_the_command_starts_leaves_no_traceback() -> None:
    command = [sys.executable, "-c", _STOPPED_WHILE_IMPORTING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "Stopped.\n")


@pytest.mark.parametrize(("arguments", "said"), [
    (("restore", "--quality", "0", "a.png", "b"), "--quality"),
    (("restore",), "Missing argument"),
    (("restore", "--nonsense", "a", "b"), "No such option"),
    (("foo",), "No such command 'foo'"),
    (("degrade", "--sigma", "2.5", "a.png", "b"), "--sigma"),
])  # fmt: skip
def test_misuse_is_one_sentence(
    memnet_process: Memnet, arguments: tuple[str, ...], said: str
) -> None:
    ran = memnet_process(*arguments)
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert line.startswith("Error: ") and said in line and line.endswith("--help.")


def test_version(memnet_process: Memnet) -> None:
    assert memnet_process("--version").out.strip() == f"memnet {__version__}"


def test_public_names() -> None:
    assert "memnet" in available_models()
    assert callable(Restorer.load)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize(
    "arguments",
    [("models",), ("--version",), ("restore", "--help"), ("download-weights", "--list", "--json")],
)
def test_a_full_standard_output_is_one_sentence(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "memnet_cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.stderr == "Error: Standard output cannot be written: No space left on device.\n"
    assert ended.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="shells of Unix close streams")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_failure(closed: str) -> None:
    command = f'"{sys.executable}" -m memnet_cli models {closed}'
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="shells of Unix close streams")
@pytest.mark.parametrize("arguments", ["x.png -", "x.png - --task jpeg"])
def test_a_picture_for_a_closed_standard_output_is_refused(arguments: str) -> None:
    command = f'"{sys.executable}" -m memnet_cli restore {arguments} >&-'
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: The output '-' is standard output, which is closed")

"""``memnet benchmark`` and ``memnet compare`` from the command line."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from memnet_cli.checkpoints import WeightsInfo, save_weights
from memnet_cli.cli import main
from memnet_cli.errors import DeviceError
from memnet_cli.evaluation.benchmark import LevelScores, evaluate
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Memnet = Callable[..., Ended]


@pytest.fixture
def memnet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Memnet:
    """Run the command line in this process."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["memnet", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        text = capsys.readouterr()
        return Ended(int(ended.value.code or 0), text.out, text.err)

    return run


@pytest.fixture
def folder(tmp_path: Path, photograph: NDArray[np.uint8]) -> Path:
    """Seven small pictures."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(7):
        crop = photograph[40 * index : 40 * index + 48, 180:244]
        Image.fromarray(crop).save(pictures / f"{index}.png")
    return pictures


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny networks lose more to waiting threads than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def weights(tmp_path: Path, one_thread: None) -> Path:
    """A tiny super-resolution MemNet that says it was trained on T91."""
    torch.manual_seed(0)
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4)
    info = WeightsInfo("memnet", config_to_mapping(config), "sr", training_sets=("T91",))
    path = tmp_path / "tiny.safetensors"
    save_weights(path, build_model(config), info)
    return path


EndsAt20 = Callable[[Callable[[], object]], None]


@pytest.fixture
def ends_at_20(monkeypatch: pytest.MonkeyPatch) -> EndsAt20:
    """Let something happen before the pictures of quality 20 are measured."""

    def arrange(happens: Callable[[], object]) -> None:
        def measure(*arguments: Any, **named: Any) -> LevelScores:
            if arguments[3] == 20:
                happens()
            return evaluate(*arguments, **named)

        monkeypatch.setattr("memnet_cli.evaluation.run.evaluate", measure)

    return arrange


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


_FULL = raising(OSError(errno.ENOSPC, "No space left on device"))


def test_table_shows_methods_protocol_and_cost(memnet: Memnet, folder: Path, weights: Path) -> None:
    ended = memnet(
        *("benchmark", "-d", folder, "--task", "sr", "--level", 2),
        *("-m", "bicubic", "-m", weights, "--device", "cpu"),
    )
    assert ended.code == 0, ended.err
    assert "● bicubic" in ended.out
    assert "● tiny" in ended.out
    assert "Protocol: luma (MATLAB rgb2ycbcr, 8 bits)" in ended.out
    assert "MAC/pixel" in ended.out


def test_names_of_folders_and_files_are_shown_as_they_are(
    memnet: Memnet, folder: Path, weights: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "x[" / "b] :cat:"
    odd.parent.mkdir()
    folder.rename(odd)
    named = weights.rename(tmp_path / "net[bold].safetensors")
    options = ("--task", "sr", "-l", 2, "-m", "bicubic", "-m", named, "--limit", 2)
    ended = memnet("benchmark", "-d", odd, *options)
    assert ended.code == 0
    assert "x[/b] :cat:" in ended.out
    assert "net[bold]" in ended.out


def test_json_holds_everything_and_nothing_else_is_printed(
    memnet: Memnet, folder: Path, weights: Path
) -> None:
    arguments = ("benchmark", "-d", folder, "--task", "sr", "-m", weights, "--tta", "--json")
    ended = memnet(*arguments, "--limit", 2, "-l", 3, "--device", "cpu", "--fp32")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert [row["method"] for row in document["rows"]] == ["tiny", "tiny+"]
    assert len(document["rows"][0]["images"]) == 2
    assert {card["tta"] for card in document["methods"]} == {False, True}
    assert document["environment"]["torch"] == torch.__version__
    assert document["seed"] == 0
    assert "shaved" in document["rows"][0]["protocol"]
    again = json.loads(memnet(*arguments, "--limit", 2, "-l", 3, "--device", "cpu", "--fp32").out)
    for first, second in zip(document["rows"], again["rows"], strict=True):
        assert (first["psnr"], first["ssim"]) == (second["psnr"], second["ssim"])


def test_saved_results_are_shown_again_in_every_form(
    memnet: Memnet, folder: Path, tmp_path: Path
) -> None:
    saved = [tmp_path / f"r{suffix}" for suffix in (".json", ".csv", ".tex", ".md")]
    options = [item for path in saved for item in ("--save", path)]
    ended = memnet("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "--csv", *options)
    assert ended.code == 0, ended.err
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [row["level"] for row in rows] == ["10", "20"]
    assert all(path.stat().st_size for path in saved)
    for option, path in zip(("--json", "--csv", "--latex", "--markdown"), saved, strict=True):
        shown = memnet("benchmark", "--results", saved[0], option)
        assert shown.code == 0
        assert shown.out == path.read_text("utf-8")


def test_ctrl_c_before_the_first_row_leaves_an_older_result(
    memnet: Memnet, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "r.json"
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "--save", saved)
    assert memnet(*run).code == 0
    before = saved.read_bytes()

    monkeypatch.setattr("memnet_cli.evaluation.run.evaluate", raising(KeyboardInterrupt()))
    ended = memnet(*run)
    assert (ended.code, ended.out) == (130, "")
    assert "only 0 rows were finished" in ended.err
    assert saved.read_bytes() == before


def test_a_failure_saves_and_shows_what_was_measured(
    memnet: Memnet, folder: Path, tmp_path: Path, ends_at_20: EndsAt20
) -> None:
    ends_at_20(raising(DeviceError("There is too little memory.")))
    saved = tmp_path / "r.json"
    ended = memnet(
        *("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "--save", saved, "-q")
    )
    assert (ended.code, ended.err) == (
        DeviceError.exit_code,
        "Error: There is too little memory.\n",
    )
    assert "JPEG" in ended.out
    assert "degraded" in ended.out
    document = json.loads(saved.read_text("utf-8"))
    assert ([row["level"] for row in document["rows"]], document["complete"]) == ([10], False)
    again = memnet("benchmark", "--results", saved)
    assert again.code == 0
    assert "was stopped before its end" in again.err


def test_what_was_measured_is_shown_where_it_cannot_be_saved(
    memnet: Memnet, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memnet_cli.files.write_atomically", _FULL)
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "-q")
    ended = memnet(*run, "--save", tmp_path / "r.json")
    assert ended.code == 2
    assert "degraded" in ended.out
    assert ended.err.endswith("r.json cannot be written (No space left on device).\n")


def test_without_room_for_its_pictures_there_is_no_report(
    memnet: Memnet, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numpy.save", raising(OSError("4096 requested and 896 written")))
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "-q")
    ended = memnet(*run, "--report", tmp_path / "report")
    assert ended.code == 2
    assert ended.err.count("no report") == 1
    assert "has no pictures: not written" in ended.err
    assert "degraded" in ended.out
    assert not (tmp_path / "report" / "index.html").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_report_is_written_though_nobody_reads_the_tables(folder: Path, tmp_path: Path) -> None:
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-l", 10, "-m", "degraded", "-q")
    command = [sys.executable, "-m", "memnet_cli", *map(str, run), "--report", str(tmp_path / "r")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode != 0
    assert (tmp_path / "r" / "index.html").exists()


def test_all_that_failed_is_told_and_the_stop_decides(
    memnet: Memnet,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends_at_20: EndsAt20,
) -> None:
    ends_at_20(raising(KeyboardInterrupt()))
    monkeypatch.setattr("memnet_cli.files.write_atomically", _FULL)
    monkeypatch.setattr("memnet_cli.evaluation.report.page.write_atomically", _FULL)
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "-q")
    ended = memnet(*run, "--save", tmp_path / "r.json", "--report", tmp_path / "report")
    assert ended.code == 130
    for said in ("r.json cannot be written", "index.html cannot be written", "only 1 rows"):
        assert said in ended.err


def test_too_little_memory_keeps_the_rows_too(
    memnet: Memnet, folder: Path, tmp_path: Path, ends_at_20: EndsAt20
) -> None:
    ends_at_20(raising(MemoryError()))
    saved = tmp_path / "r.json"
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "-q", "--save", saved)
    ended = memnet(*run)
    assert ended.code == DeviceError.exit_code
    assert "There is not enough memory" in ended.err
    assert len(json.loads(saved.read_text("utf-8"))["rows"]) == 1
    assert memnet("benchmark", "--results", saved, "--check").code == 1


def test_what_nobody_foresaw_keeps_the_rows_too(
    memnet: Memnet, folder: Path, tmp_path: Path, ends_at_20: EndsAt20
) -> None:
    ends_at_20(raising(RuntimeError("of a library")))
    saved = tmp_path / "r.json"
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "-q", "--save", saved)
    with pytest.raises(RuntimeError, match="of a library"):
        memnet(*run)
    assert len(json.loads(saved.read_text("utf-8"))["rows"]) == 1


def test_names_do_not_steer_the_terminal(memnet: Memnet, folder: Path, tmp_path: Path) -> None:
    named = folder.rename(tmp_path / "a\x1b[31mb")
    ended = memnet("benchmark", "-d", named, "--task", "jpeg", "-m", "degraded", "-q")
    assert ended.code == 0
    assert "\x1b[31m" not in ended.out
    document = json.loads(
        memnet("benchmark", "-d", named, "--task", "jpeg", "-m", "degraded", "-q", "--json").out
    )
    for entry, key in ((document["methods"][0], "name"), (document["rows"][0], "method")):
        entry[key] = "m\x1b[31mx"
    document["rows"] = document["rows"][:1]
    document["methods"][0]["kind"] = "weights"
    (tmp_path / "r.json").write_text(json.dumps(document))
    shown = memnet("benchmark", "--results", tmp_path / "r.json")
    assert (shown.code, "\x1b[31m" in shown.out) == (0, False)
    compared = memnet("compare", tmp_path / "r.json", tmp_path / "r.json")
    assert (compared.code, "\x1b[31m" in compared.out) == (0, False)


def test_sigterm_keeps_the_rows_that_are_finished(
    memnet: Memnet, folder: Path, tmp_path: Path, ends_at_20: EndsAt20
) -> None:
    ends_at_20(lambda: os.kill(os.getpid(), signal.SIGTERM))
    saved = tmp_path / "r.json"
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "-q", "--save", saved)
    ended = memnet(*run)
    assert ended.code == 143
    assert ended.err == "Error: Stopped by SIGTERM: only 1 rows were finished.\n"
    assert len(json.loads(saved.read_text("utf-8"))["rows"]) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("recorded", None), ("recorded", {"Set5": {"2": {"psnr": "45"}}}), ("parameters", "1e6"),
     ("device", None), ("name", 3), ("parameters", 10**400), ("parameters", -1),
     ("recorded", {"Set5": {"2": {"psnr": float("nan")}}}), ("levels", [3000])],
)  # fmt: skip
def test_methods_that_make_no_sense_are_no_result(
    memnet: Memnet, folder: Path, tmp_path: Path, key: str, value: object
) -> None:
    ended = memnet("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "--json", "-q")
    document = json.loads(ended.out)
    document["methods"][0][key] = value
    (tmp_path / "r.json").write_text(json.dumps(document))
    shown = memnet("benchmark", "--results", tmp_path / "r.json", "--check")
    assert shown.code == 2
    assert "is no benchmark result" in shown.err


def test_report_is_written(memnet: Memnet, folder: Path, tmp_path: Path) -> None:
    ended = memnet(
        *("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded", "--limit", 1),
        *("--report", tmp_path / "new" / "report"),
    )
    assert ended.code == 0, ended.err
    assert (tmp_path / "new" / "report" / "index.html").stat().st_size > 10_000
    assert "index.html" in ended.err


def test_a_perfect_picture_is_in_report_and_comparison(
    memnet: Memnet, tmp_path: Path, photograph: NDArray[np.uint8]
) -> None:
    for name, crop in (("blank", np.full((40, 40), 100, np.uint8)), ("crop", photograph[:48, :48])):
        (tmp_path / name).mkdir()
        Image.fromarray(crop).save(tmp_path / name / os.fsdecode(b"caf\xe9.png"))
    saved, report = tmp_path / "saved.json", tmp_path / "report"
    ended = memnet(
        *("benchmark", "-d", tmp_path / "blank", "-d", tmp_path / "crop", "--task", "sr"),
        *("-l", 2, "-m", "bicubic", "--offline", "--report", report, "--save", saved),
    )
    assert ended.code == 0, ended.err
    assert "∞" in (report / "index.html").read_text("utf-8")
    document = memnet("compare", saved, saved, "--json").out
    blank, _ = json.loads(document, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (blank["psnr_before"], blank["psnr_difference"]) == (None, 0.0)


def test_check_passes_on_the_papers_numbers_and_fails_on_a_miss(
    memnet: Memnet, shared: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "classic5.json"
    ended = memnet(
        *("benchmark", "--dataset", "Classic5", "-m", "degraded", "--check"),
        *("--tolerance", 0.01, "--ssim-tolerance", 0.0002, "--save", saved),
        *("--data-dir", shared / "datasets" / "mirror"),
    )
    assert ended.code == 0, ended.err
    assert "2 of 2 rows pass" in ended.err
    assert "27.82" in ended.err
    document = json.loads(saved.read_text())
    document["rows"][0]["images"][0]["psnr"] += 0.1  # 0.02 dB on the mean of five
    saved.write_text(json.dumps(document))
    missed = memnet("benchmark", "--results", saved, "--check", "--tolerance", 0.01, "--markdown")
    assert missed.code == 1
    assert "1 of 2 rows pass" in missed.err
    assert "FAIL" in missed.err


@pytest.mark.parametrize("option", ["--tolerance", "--ssim-tolerance"])
def test_a_tolerance_without_check_is_refused(memnet: Memnet, option: str) -> None:
    ended = memnet("benchmark", "-d", "Set5", option, 0.1)
    assert ended.code == 2
    assert f"{option} without --check" in ended.err


def test_check_without_anything_to_compare_with_fails(memnet: Memnet, folder: Path) -> None:
    ended = memnet("benchmark", "-d", folder, "--task", "sr", "-l", 2, "-m", "bicubic", "--check")
    assert ended.code == 1
    assert "Nothing is published or recorded" in ended.err


def test_seen_images_are_refused_or_marked(
    memnet: Memnet, shared: Path, weights: Path, tmp_path: Path
) -> None:
    manifest = json.loads((shared / "datasets" / "manifest.json").read_text())
    file = manifest["datasets"]["T91"]["files"][0]["path"]
    copies = tmp_path / "copies"
    copies.mkdir()
    (copies / "renamed.bmp").write_bytes((shared / "datasets" / "mirror" / file).read_bytes())
    arguments = ("benchmark", "-d", copies, "--task", "sr", "-l", 2, "-m", weights)
    refused = memnet(*arguments)
    assert refused.code == 2
    assert "trained on 1 of the 1 images" in refused.err
    allowed = memnet(*arguments, "--allow-seen", "--device", "cpu")
    assert allowed.code == 0
    assert "● tiny†" in allowed.out
    assert "† tiny was trained on 1 of these 1 images" in allowed.out


def test_compare_tells_what_got_worse(memnet: Memnet, folder: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    run = ("benchmark", "-d", folder, "--task", "jpeg", "-m", "degraded")
    assert memnet(*run, "-l", 20, "--save", before).code == 0
    document = json.loads(before.read_text())
    for image in document["rows"][0]["images"]:
        image["psnr"] -= 0.25
    after.write_text(json.dumps(document))
    shown = memnet("compare", before, after)
    assert shown.code == 0
    assert "Of 1 row: 1 worse." in shown.out
    failed = memnet("compare", before, after, "--fail-on-worse", "--json")
    assert failed.code == 1
    (row,) = json.loads(failed.out)
    assert (row["verdict"], row["images_worse"]) == ("worse", 7)
    assert row["psnr_difference"] == pytest.approx(-0.25)
    assert row["p_value"] == pytest.approx(2 / 2**7)
    assert memnet("compare", before, before, "--fail-on-worse").code == 0
    assert memnet("compare", before, tmp_path / "none.json").code == 2


BAD_INPUT = r"""
import contextlib, io, json, sys
from memnet_cli.cli import main

results = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["memnet", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code
    results.append([code, out.getvalue(), err.getvalue(), "torch" in sys.modules])
print(json.dumps(results))
"""


def test_bad_input_is_one_sentence_and_never_waits_for_torch(
    folder: Path, weights: Path, tmp_path: Path
) -> None:
    empty, small = tmp_path / "empty", tmp_path / "small"
    empty.mkdir()
    small.mkdir()
    Image.new("L", (12, 12)).save(small / "dot.png")
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    run = ("benchmark", "-d", str(folder), "-m", "degraded")
    cases: list[tuple[tuple[str, ...], str]] = [
        (("benchmark", "-d", "set13"), "Did you mean 'Set"),
        (("benchmark",), "one of"),
        (("benchmark", "-d", str(empty), "-m", "degraded"), str(empty)),
        (("benchmark", "-d", str(small), "-m", "bicubic", "--task", "sr"), "dot.png is 12x12"),
        (("benchmark", "-d", str(folder), "-m", str(weights), "--task", "jpeg"), "for sr, not"),
        ((*run, "--report", str(blocked)), "report folder"),
        ((*run, "--save", str(tmp_path / "x.txt")), ".json, .csv, .tex, .md"),
        ((*run, "--save", str(tmp_path / "no" / "x.csv")), "cannot be written"),
        ((*run, "--json", "--csv"), "Give one of"),
        ((*run, "--published", "some"), "best, all or none"),
        ((*run, "--level", "99", "--task", "sr"), "out of range"),
        ((*run, "--task", "blur"), "no task 'blur'"),
        ((*run, "--device", "gpu"), "'gpu' is no device"),
        ((*run, "--level", "-3", "--task", "sr"), "out of range"),
        ((*run, "--check", "--limit", "2"), "whole sets"),
        (("benchmark", "-d", str(folder), "-m", "memnot"), "Did you mean 'memnet'?"),
        (("benchmark", "--results", str(blocked)), "is no benchmark result"),
        (("compare", str(blocked), str(blocked)), "is no benchmark result"),
    ]
    command = [sys.executable, "-c", BAD_INPUT, json.dumps([arguments for arguments, _ in cases])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for (arguments, expected), (code, out, err, torch_loaded) in zip(
        cases, json.loads(done.stdout), strict=True
    ):
        assert code == 2, (arguments, err)
        assert out == "", arguments
        assert err.startswith("Error: "), (arguments, err)
        assert err.count("\n") == 1, (arguments, err)
        assert expected in err, (arguments, err)
        assert not torch_loaded, arguments


def test_help_names_every_option(memnet: Memnet) -> None:
    assert memnet("compare", "--help").code == 0
    text = memnet("benchmark", "--help").out
    for option in ("--dataset", "--model", "--tta", "--check", "--report", "--allow-seen"):
        assert option in text

"""The manifest is what the weights files say about themselves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from memnet_cli.stores.downloads import file_sha256
from memnet_cli.stores.manifest import write_manifest


def test_more_weights_of_a_task_do_not_change_its_default(
    tmp_path: Path, tiny_weights: dict[str, Path]
) -> None:
    shutil.copy(tiny_weights["sr"], tmp_path / "m6.safetensors")
    write_manifest(tmp_path)
    for name in ("m10", "m7"):  # one sorts before the default, one after it
        shutil.copy(tiny_weights["sr"], tmp_path / f"{name}.safetensors")
    entries = json.loads(write_manifest(tmp_path).read_text())["weights"]
    assert {name: entry["default"] for name, entry in entries.items()} == {
        "m10": False,
        "m6": True,
        "m7": False,
    }
    (tmp_path / "m6.safetensors").unlink()
    (tmp_path / "m7.safetensors").unlink()
    assert list(json.loads(write_manifest(tmp_path).read_text())["weights"]) == ["m10"]


def test_manifest_from_the_command_line(tmp_path: Path, tiny_weights: dict[str, Path]) -> None:
    shutil.copy(tiny_weights["denoise"], tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "import runpy, sys; sys.modules['torch'] = None; sys.argv[0:1] = ['manifest']\n"
        code += "runpy.run_module('memnet_cli.stores.manifest', run_name='__main__')"
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert run(str(tmp_path)).stdout.strip() == str(tmp_path / "weights.json")
    entry = json.loads((tmp_path / "weights.json").read_text())["weights"]["tiny-denoise"]
    file = tiny_weights["denoise"]
    assert (entry["task"], entry["levels"]) == ("denoise", [30, 50, 70])
    assert (entry["sha256"], entry["bytes"]) == (file_sha256(file), file.stat().st_size)
    for arguments, said in (((), "Give the folder"), ((str(tmp_path / "no"),), "no folder")):
        ran = run(*arguments)
        assert ran.returncode == 1
        assert re.fullmatch(rf".*{said}.*\n", ran.stderr)

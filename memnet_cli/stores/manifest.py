"""The manifest of a folder of weights, written anew from what the files say about themselves.

``python -m memnet_cli.stores.manifest FOLDER`` writes FOLDER/weights.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memnet_cli.checkpoints import read_info
from memnet_cli.errors import WeightsError
from memnet_cli.files import write_atomically
from memnet_cli.stores.downloads import file_sha256
from memnet_cli.stores.zoo import MANIFEST


def describe_file(path: Path) -> dict[str, Any]:
    """Return the manifest's entry for a weights file; ``default`` if it is the only one."""
    info = read_info(path)
    return {
        "file": path.name,
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
        "model": info.model,
        "task": info.task,
        "levels": list(info.levels),
        "training_sets": list(info.training_sets),
        "scores": info.scores,
        "licence": info.licence,
        "default": True,
        "bundled": True,
    }


def write_manifest(folder: Path) -> Path:
    """Write ``weights.json`` of a folder; entries of files that are elsewhere are kept.

    Of several files of one model and task the first by name is the default, unless the manifest
    says otherwise already; files for one level alone are for others than those for many.

    Raises:
        WeightsError: if there is no such folder, or a file in it is not weights.
    """
    if not folder.is_dir():
        raise WeightsError(f"There is no folder {folder}: give the one with the weights files.")
    path = folder / MANIFEST
    old: dict[str, Any] = json.loads(path.read_text("utf-8"))["weights"] if path.is_file() else {}
    files = sorted(folder.glob("*.safetensors"))
    entries = {name: entry for name, entry in old.items() if not entry["bundled"]}
    kept = [*entries.values(), *(old[file.stem] for file in files if file.stem in old)]
    chosen = {_purpose(entry) for entry in kept if entry["default"]}
    for file in files:
        entry = describe_file(file)
        key = _purpose(entry)
        before = old.get(file.stem)
        entry["default"] = before["default"] if before else key not in chosen
        chosen.add(key)
        entries[file.stem] = entry
    text = json.dumps({"weights": entries}, indent=1, sort_keys=True) + "\n"
    write_atomically(path, text.encode())
    return path


def _purpose(entry: Mapping[str, Any]) -> tuple[str, str, int | None]:
    """Return model, task, and the level if there is only one."""
    levels = entry["levels"]
    return entry["model"], entry["task"], levels[0] if len(levels) == 1 else None


def _main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("Give the folder with the weights files, such as weights/.")
    try:
        sys.stdout.write(f"{write_manifest(Path(arguments[0]))}\n")
    except WeightsError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main(sys.argv[1:])

"""Files of torch.save: tensors come over, and nothing else ever runs or comes over."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from memnet_cli.errors import WeightsError
from memnet_cli.models import build_model
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.stores.pickles import import_state

CONFIG = MemNetConfig(memory_blocks=2, recursions=1, width=4)
State = dict[str, Tensor]


@pytest.fixture
def state() -> State:
    torch.manual_seed(0)
    return dict(build_model(CONFIG).state_dict())


class Harmful:
    """A pickle that makes a folder when it is opened without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("wrap", [
    lambda state: state,
    OrderedDict,
    lambda state: {"state_dict": state, "epoch": 3},
    lambda state: {"params": state},
    lambda state: {"params": {}, "params_ema": state},
    lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    lambda state: state | {"reconstruction.norms.0.num_batches_tracked": torch.tensor(7)},
    lambda state: {name: tensor.double() for name, tensor in state.items()},
])  # fmt: skip
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_come_over(
    tmp_path: Path, state: State, wrap: Callable[[State], object], zipped: bool
) -> None:
    path = tmp_path / "net.pth"
    torch.save(wrap(state), path, _use_new_zipfile_serialization=zipped)
    imported = import_state(path, CONFIG)
    assert imported.keys() == state.keys()
    for name, array in imported.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, state[name].numpy())


@pytest.mark.parametrize("trusting", [None, "1"])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_does_not_run(
    tmp_path: Path,
    state: State,
    monkeypatch: pytest.MonkeyPatch,
    zipped: bool,
    trusting: str | None,
) -> None:
    if trusting is not None:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", trusting)
    path, marker = tmp_path / "harmful.pth", tmp_path / "ran"
    torch.save({**state, "extra": Harmful(marker)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"harmful\.pth holds something else than tensors"):
        import_state(path, CONFIG)
    assert not marker.exists()
    # the file is what it claims to be: opened without care it does run
    torch.load(path, weights_only=False)
    assert marker.is_dir()


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_bare_pickle_does_not_run_either(tmp_path: Path, protocol: int) -> None:
    path, marker = tmp_path / "harmful.pth", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Harmful(marker), protocol))
    with pytest.raises(WeightsError, match=r"harmful\.pth"):
        import_state(path, CONFIG)
    assert not marker.exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "module.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(WeightsError, match=r"save the network's state_dict\(\) alone"):
        import_state(path, CONFIG)


def test_damaged_files_are_refused(tmp_path: Path, state: State) -> None:
    path = tmp_path / "net.pth"
    torch.save(state, path)
    data = path.read_bytes()
    for content in (b"", b"hello world", b"\x89PNG" + bytes(100), data[:50], data[:-200]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"net\.pth (is not a file|holds something else)"):
            import_state(path, CONFIG)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no file .*absent\.pth"):
        import_state(tmp_path / "absent.pth", CONFIG)


@pytest.mark.parametrize(("document", "said"), [
    ([1, 2], "holds no state_dict"),
    ({}, "holds no state_dict"),
    (torch.zeros(3), "holds no state_dict"),
    ({"epoch": 3}, "'epoch', which is no named tensor"),
    ({3: torch.zeros(3)}, "'3', which is no named tensor"),
    ({"weight": torch.zeros(3)}, "does not fit MemNet: it lacks"),
])  # fmt: skip
def test_something_else_is_refused(tmp_path: Path, document: object, said: str) -> None:
    path = tmp_path / "other.pth"
    torch.save(document, path)
    with pytest.raises(WeightsError, match=said):
        import_state(path, CONFIG)


@pytest.mark.parametrize(("tensor", "said"), [
    (torch.zeros(3), r"'ensemble' has shape \[3\], expected \[2\]"),
    (torch.zeros(1).expand(10**12), r"'ensemble' has shape \[1000000000000\]"),
    (torch.zeros(2, dtype=torch.int64), "'ensemble' as torch.int64"),
    (torch.zeros(2).to_sparse(), "holds 'ensemble' as"),
    (torch.tensor([1.0, float("nan")]), "'ensemble' that are not finite"),
    (torch.tensor([1.0, 1e300], dtype=torch.float64), "'ensemble' that are not finite"),
    (torch.nested.nested_tensor([torch.zeros(2)]), "'ensemble' as nested tensors"),
    (torch.zeros(2, device="meta"), "'ensemble' that are not finite"),
])  # fmt: skip
def test_a_tensor_that_does_not_fit_is_named(
    tmp_path: Path, state: State, tensor: Tensor, said: str
) -> None:
    path = tmp_path / "net.pth"
    torch.save(state | {"ensemble": tensor}, path)
    with pytest.raises(WeightsError, match=said):
        import_state(path, CONFIG)


def test_a_negative_view_is_read_as_its_values(tmp_path: Path, state: State) -> None:
    values = torch.tensor([0.25, 0.75])
    torch.save(state | {"ensemble": torch._neg_view(values)}, tmp_path / "net.pth")
    assert np.array_equal(import_state(tmp_path / "net.pth", CONFIG)["ensemble"], -values)


def test_packed_entries_are_not_unpacked(tmp_path: Path, state: State) -> None:
    path, packed = tmp_path / "net.pth", tmp_path / "packed.pth"
    torch.save(state | {"extra": torch.zeros(10_000_000)}, path)
    with (
        zipfile.ZipFile(path) as plain,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as container,
    ):
        for part in plain.infolist():
            container.writestr(part.filename, plain.read(part))
    assert packed.stat().st_size < 1_000_000
    with pytest.raises(WeightsError, match="packed entries"):
        import_state(packed, CONFIG)


def test_variances_below_0_are_refused(tmp_path: Path, state: State) -> None:
    name = next(name for name in state if name.endswith("running_var"))
    torch.save(state | {name: -torch.ones_like(state[name])}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=f"variances in '{name}' below 0"):
        import_state(tmp_path / "net.pth", CONFIG)


def test_a_name_with_and_without_its_prefix_is_refused(tmp_path: Path, state: State) -> None:
    name = next(iter(state))
    path = tmp_path / "net.pth"
    torch.save({**state, f"module.{name}": state[name] + 1}, path)
    with pytest.raises(WeightsError, match=f"holds both '{name}' and 'module.{name}'"):
        import_state(path, CONFIG)


def test_surplus_names_are_refused(tmp_path: Path, state: State) -> None:
    path = tmp_path / "net.pth"
    torch.save(state | {"extra": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="has the unknown 'extra'"):
        import_state(path, CONFIG)

from __future__ import annotations

import inspect

import pytest

from memnet_cli import errors


def test_one_base_for_every_error() -> None:
    found = inspect.getmembers(errors, inspect.isclass)
    classes = [item for _, item in found if item.__module__ == errors.__name__]
    assert len(classes) > 5
    known = [item for item in classes if issubclass(item, errors.MemnetError)]
    assert known == classes
    assert {item.exit_code for item in known} == {1, 2}


@pytest.mark.parametrize(
    ("name", "hint"),
    [("set15", " Did you mean 'Set14'?"), ("BSD10", " Did you mean 'BSD100'?"), ("qqq", "")],
)
def test_did_you_mean(name: str, hint: str) -> None:
    assert errors.did_you_mean(name, ["BSD100", "Set14", "Urban100"]) == hint

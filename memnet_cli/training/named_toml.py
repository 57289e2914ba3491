"""TOML files that come with the package under a name, or are the user's own at a path."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from memnet_cli.errors import UsageError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def packaged_toml(file: str) -> Mapping[str, object] | None:
    """Return the tables of a file of ``memnet_cli/training``, None if there is none."""
    path = resources.files("memnet_cli.training").joinpath(file)
    return tomllib.loads(path.read_text("utf-8")) if path.is_file() else None


def own_toml(name: str, noun: str, built_in: Sequence[str]) -> Mapping[str, object]:
    """Return the tables of the user's .toml file at the path ``name``.

    Args:
        name: a path.
        noun: what such a file is, for messages.
        built_in: what could have been meant instead.

    Raises:
        UsageError: for a name without .toml, or a file that cannot be read or is no TOML.
    """
    path = Path(name)
    if path.suffix != ".toml":
        raise UsageError(
            f"There is no {noun} '{name}'; expected {', '.join(built_in)} or a .toml file."
            + did_you_mean(name, built_in)
        )
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read the {noun} {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The {noun} {path} is no TOML: {error}.") from None


def typed(key: str, value: object, wanted: str) -> object:
    """Return a TOML scalar as the type called ``wanted``, with no guessing but int to float.

    Raises:
        UsageError: for another type, naming ``key``.
    """
    if wanted == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != wanted:
        words = {"str": "a word", "bool": "true or false", "int": "a whole number"}
        raise UsageError(f"{key} is {value!r}: expected {words.get(wanted, 'a number')}.")
    return value

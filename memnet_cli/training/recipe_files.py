"""Recipes as TOML files of flat fields and a ``[model]`` table, as ``key=value`` and as JSON.

No torch here.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from memnet_cli.errors import UsageError, did_you_mean
from memnet_cli.training.named_toml import own_toml, packaged_toml, typed
from memnet_cli.training.recipe import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Recipes by name; "paper" stands for one file a model.
BUILT_IN = ("fast", "growth", "continue", "paper")


def load_recipe(
    name: str, model: str, overrides: Iterable[str] = (), model_overrides: Iterable[str] = ()
) -> Recipe:
    """Return the recipe called ``name`` (or the file at that path) with ``key=value`` overrides.

    ``model.key=value`` sets a field of the model's config.

    Raises:
        UsageError: for an unknown recipe, a file that is no TOML, or a bad or unknown field.
    """
    values = dict(_read(name, model))
    settings = dict(_table(values.get("model", {})))
    for text in (*overrides, *(f"model.{text}" for text in model_overrides)):
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise UsageError(f"'{text}' sets nothing: expected NAME=VALUE, such as lr=2e-4.")
        if key == "model":
            raise UsageError(f"'{text}' sets no field: expected such as model.width={value}.")
        target, key = (settings, key[6:]) if key.startswith("model.") else (values, key)
        target[key] = _parse(value)
    return recipe_from_mapping({**values, "model": settings}, name)


def _read(name: str, model: str) -> Mapping[str, object]:
    if name not in BUILT_IN:
        return own_toml(name, "recipe", BUILT_IN)
    stem = f"paper-{model}" if name == "paper" else name
    document = packaged_toml(f"recipes/{stem}.toml")
    if document is None:
        raise UsageError(f"There is no recipe of a paper for the model '{model}': give fast.")
    return document


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise UsageError(f"model is {value!r}: expected a [model] table.")
    return value


def _parse(text: str) -> object:
    """Read one value as TOML; a bare word is a string and "2,3" a list."""
    if "," in text and not text.startswith("["):
        text = f"[{text}]"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def recipe_from_mapping(values: Mapping[str, object], name: str = "own") -> Recipe:
    """Return the recipe with these fields; the others keep their defaults.

    Raises:
        UsageError: for an unknown field, naming the nearest, or a value of the wrong type.
    """
    fields = {entry.name: entry for entry in dataclasses.fields(Recipe)}
    stem = Path(name).stem
    converted: dict[str, Any] = {"name": stem}
    for key, value in values.items():
        if key not in fields:
            raise UsageError(
                f"A recipe has no setting '{key}'.{did_you_mean(key, fields)} "
                f"Known settings: {', '.join(fields)}."
            )
        converted[key] = _convert(key, value, str(fields[key].type))
    return Recipe(**converted)


def _convert(key: str, value: object, wanted: str) -> object:
    """Bring a TOML value to the type of its field; one alone is a list of one."""
    if wanted.startswith("Mapping"):
        return dict(_table(value))
    if wanted.startswith("tuple"):
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        kind = "float" if "float" in wanted else "int"
        if "..." not in wanted and len(items) != 2:
            raise UsageError(f"{key} is {value!r}: expected two numbers.")
        return tuple(typed(key, item, kind) for item in items)
    return typed(key, value, wanted)


def recipe_to_mapping(recipe: Recipe) -> dict[str, object]:
    """Return the fields of a recipe as JSON values."""
    document: dict[str, object] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return document


def to_toml(values: Mapping[str, object]) -> str:
    """Write scalars, lists and one level of tables as TOML; JSON's scalars are TOML's."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    lines = [f"{key} = {_toml(value)}" for key, value in plain.items()]
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += ["", f"[{key}]", *(f"{name} = {_toml(v)}" for name, v in value.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """Return a value with its letters as they are: TOML has no halves of them, as JSON has."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")

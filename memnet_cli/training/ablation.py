"""Ablations: lists of variants of one network, read from TOML; no torch here.

A file names what a paper compared and how it is measured; ``[settings]`` overrides the recipe
of all variants, and every ``[[variants]]`` has a name, a ``[variants.model]`` table and the PSNR
that the paper printed for it, if it did. docs/ablation.md describes the form.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memnet_cli.errors import UsageError, did_you_mean
from memnet_cli.models import get_model
from memnet_cli.tasks import get_task
from memnet_cli.training.named_toml import own_toml, packaged_toml, typed

#: Ablations by name, in the order of the papers.
BUILT_IN = (
    "memnet-table1",
    "memnet-table2",
    "memnet-table6",
    "nlrn-table1",
    "nlrn-table2",
    "nlrn-q",
    "nlrn-T",
)


@dataclass(frozen=True)
class Variant:
    """One network of an ablation.

    Attributes:
        name: what the paper calls it, or any name.
        model: fields of the model's config that differ from the other variants'.
        published: PSNR that the paper printed, in dB; None if it printed none.
    """

    name: str
    model: Mapping[str, object] = field(default_factory=dict)
    published: float | None = None

    @property
    def folder(self) -> str:
        """Name of the folder that its runs lie in."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-")


@dataclass(frozen=True)
class Ablation:
    """What is compared, as the file says.

    Attributes:
        name: of the file.
        title: one line.
        task: "sr", "denoise" or "jpeg".
        level: scale factor, sigma or quality factor that is compared.
        dataset: that the paper measured on.
        data: that the paper trained on.
        model: a key of ``models.MODELS``.
        variants: two or more.
        paper, table: where the published numbers stand.
        paper_budget: how long the paper trained, in words.
        levels: that one network is trained for; ``level`` alone if empty.
        recipe: of all variants.
        settings: overrides of the recipe's fields, of all variants.
        reference: name of the variant that the others are compared with; empty for the first.
    """

    name: str
    title: str
    task: str
    level: int
    dataset: str
    model: str
    variants: tuple[Variant, ...]
    data: tuple[str, ...] = ()
    paper: str = ""
    table: str = ""
    paper_budget: str = ""
    levels: tuple[int, ...] = ()
    recipe: str = "fast"
    settings: Mapping[str, object] = field(default_factory=dict)
    reference: str = ""

    def __post_init__(self) -> None:
        """Check what the parts mean to each other.

        Raises:
            UsageError: for parts that do not go together.
        """
        task = get_task(self.task)
        for level in (self.level, *self.levels):
            task.check_level(level)
        if self.levels and self.level not in self.levels:
            raise UsageError(f"level is {self.level}: expected one of levels {list(self.levels)}.")
        known = {entry.name for entry in dataclasses.fields(get_model(self.model).config)}
        if len(self.variants) < 2:
            raise UsageError(
                f"There are too few variants: {len(self.variants)}, expected 2 or more."
            )
        folders: dict[str, str] = {}
        for variant in self.variants:
            if not variant.folder:
                raise UsageError(f"A variant is called '{variant.name}': expected a word.")
            other = folders.setdefault(variant.folder.casefold(), variant.name)
            if other is not variant.name:
                raise UsageError(
                    f"Two variants would share a folder: '{other}' and '{variant.name}'."
                )
            for key in variant.model:
                if key not in known:
                    raise UsageError(
                        f"Variant '{variant.name}' sets '{key}', which {self.model} does not have; "
                        f"expected one of {', '.join(sorted(known))}.{did_you_mean(key, known)}"
                    )
        names = [variant.name for variant in self.variants]
        if self.reference and self.reference not in names:
            raise UsageError(
                f"reference is '{self.reference}': expected the name of a variant."
                + did_you_mean(self.reference, names)
            )

    @property
    def reference_name(self) -> str:
        """The variant that the others are compared with."""
        return self.reference or self.variants[0].name

    @property
    def source(self) -> str:
        """Where the published numbers stand, such as "Tai et al., ICCV 2017, Table 1"."""
        return ", ".join(part for part in (self.paper, self.table) if part)

    @property
    def varied(self) -> frozenset[str]:
        """Fields of the model's config that any variant sets."""
        return frozenset(key for variant in self.variants for key in variant.model)


def load_ablation(name: str) -> Ablation:
    """Return the built-in ablation called ``name``, or that of the .toml file at that path.

    Raises:
        UsageError: for an unknown name, a file that is no TOML, an unknown or missing key (naming
            the nearest), or a value of the wrong type.
    """
    document = packaged_toml(f"ablations/{name}.toml") if name in BUILT_IN else None
    if document is None:
        document = own_toml(name, "ablation", BUILT_IN)
    try:
        return _ablation(document, Path(name).stem if name not in BUILT_IN else name)
    except UsageError as error:
        raise UsageError(f"The ablation {name}: {error}") from None


def _ablation(document: Mapping[str, object], name: str) -> Ablation:
    rest = dict(document)
    tables = rest.pop("variants", None)
    known = [one.name for one in dataclasses.fields(Ablation) if one.name != "name"]
    _refuse_unknown(rest, known, "An ablation")
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise UsageError("There are no variants: expected [[variants]] tables.")
    values = _fields(Ablation, rest, "An ablation", left_out=("name", "variants"))
    variants = tuple(_variant(table, place) for place, table in enumerate(tables, 1))
    return Ablation(name=name, variants=variants, **values)


def _variant(table: Mapping[str, object], place: int) -> Variant:
    name = table.get("name", f"number {place}")
    try:
        return Variant(**_fields(Variant, table, "A variant"))
    except UsageError as error:
        raise UsageError(f"variant {name}: {error}") from None


def _fields(
    kind: type, values: Mapping[str, object], what: str, left_out: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the values of a dataclass's fields, each of the type that is written there."""
    fields = {one.name: one for one in dataclasses.fields(kind) if one.name not in left_out}
    _refuse_unknown(values, fields, what)
    for one in fields.values():
        needed = one.default is one.default_factory is dataclasses.MISSING
        if needed and one.name not in values:
            raise UsageError(f"{what} needs the key '{one.name}'.")
    return {key: _convert(key, value, str(fields[key].type)) for key, value in values.items()}


def _refuse_unknown(values: Mapping[str, object], known: Collection[str], what: str) -> None:
    for key in values:
        if key not in known:
            raise UsageError(
                f"{what} has no key '{key}'.{did_you_mean(key, known)} "
                f"Known keys: {', '.join(known)}."
            )


def _convert(key: str, value: object, wanted: str) -> object:
    """Bring a TOML value to the type of its field."""
    if wanted.startswith("Mapping"):
        if not isinstance(value, Mapping):
            raise UsageError(f"{key} is {value!r}: expected a table.")
        return dict(value)
    if wanted.startswith("tuple"):
        if not isinstance(value, list):
            raise UsageError(f"{key} is {value!r}: expected a list.")
        return tuple(_convert(key, item, wanted[6:].partition(",")[0]) for item in value)
    return typed(key, value, wanted.partition(" | ")[0])

"""Ablations as files: the built-in ones against the papers, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from memnet_cli.errors import UsageError
from memnet_cli.models import build_model
from memnet_cli.models.configs import NLRNConfig
from memnet_cli.stores.datasets import dataset_names
from memnet_cli.training.ablation import BUILT_IN, load_ablation
from memnet_cli.training.ablation_plan import AblationRequest, parse_seeds, plan_runs
from memnet_cli.training.config import Budget
from tests.models.counting import conv_weights

_GOOD = """
title = "Widths"
task = "sr"
level = 2
dataset = "Set5"
data = ["T91"]
model = "plain"
[settings]
depth = 3
[[variants]]
name = "narrow"
published = 33
[[variants]]
name = "wide"
[variants.model]
width = 8
"""


def _request(out: Path, *settings: str) -> AblationRequest:
    return AblationRequest(out, Budget(steps=3), (0, 1), settings=settings)


def _file(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_ablations_are_complete_and_can_be_planned(name: str, tmp_path: Path) -> None:
    ablation = load_ablation(name)
    assert {ablation.dataset, *ablation.data} <= set(dataset_names())
    assert ablation.paper and ablation.table and ablation.paper_budget
    runs = plan_runs(ablation, _request(tmp_path))
    assert len(runs) == 2 * len(ablation.variants)
    assert len({run.config.out for run in runs}) == len(runs)
    # the variants differ in their network and in nothing else
    assert len({json.dumps(dict(run.config.recipe.model)) for run in runs}) == len(
        ablation.variants
    )
    shared = {repr(replace(run.config.recipe, model={})) for run in runs}
    assert len(shared) == 1
    assert all(run.config.recipe.levels == (ablation.level,) for run in runs)


@pytest.mark.parametrize(
    "name", [name for name in BUILT_IN if "table" in name and name != "memnet-table2"]
)
def test_published_numbers_are_those_of_the_papers_table(name: str, shared: Path) -> None:
    paper, table = name.split("-table")
    rows = json.loads((shared / "published.json").read_text())["rows"]
    ablation = load_ablation(name)
    printed = {
        row["method"].casefold(): row["psnr"]
        for row in rows
        if (row["paper"], row["table"], row["level"]) == (paper, table, ablation.level)
        and (row["task"], row["dataset"]) == (ablation.task, ablation.dataset)
    }
    assert sorted(v.published or 0.0 for v in ablation.variants) == sorted(printed.values())
    assert printed, "the table is there"
    for variant in ablation.variants:
        # the table's rows are called after the variant, with or without "NLRN (...)"
        matching = [
            psnr
            for method, psnr in printed.items()
            if method.replace("memnet-", "").removeprefix("nlrn (").removesuffix(")")
            == variant.name.casefold().replace("non-local module", "non-local")
        ]
        assert matching == [variant.published], variant.name


def test_the_rnn_has_as_many_weights_as_nlrn_at_any_width(tmp_path: Path) -> None:
    ablation = load_ablation("nlrn-table2")

    for width, embedding in ((128, 64), (32, 16), (16, 8)):
        settings = (f"model.width={width}", f"model.embedding_width={embedding}")
        runs = plan_runs(ablation, _request(tmp_path, *settings))
        configs = {run.variant: run.config.model_config for run in runs}
        whole, rnn = configs["NLRN"], configs["RNN with same parameter no."]
        assert isinstance(whole, NLRNConfig) and isinstance(rnn, NLRNConfig)
        assert rnn.nonlocal_every == 0 and whole.width == width
        assert conv_weights(build_model(rnn)) == conv_weights(build_model(whole))


def test_an_own_file_and_the_order_in_which_settings_win(tmp_path: Path) -> None:
    text = _GOOD.replace("depth = 3", "lr = 0.5\nbatch = 4\n[settings.model]\ndepth = 3")
    ablation = load_ablation(_file(tmp_path, text))
    assert (ablation.name, ablation.reference_name) == ("mine", "narrow")
    assert ablation.variants[0].published == 33.0
    request = _request(tmp_path / "out", "lr=0.25", "model.depth=4")
    narrow, wide = plan_runs(ablation, request)[:2]
    assert (narrow.config.recipe.lr, narrow.config.recipe.batch) == (0.25, 4)
    assert dict(narrow.config.recipe.model) == {"depth": 4}
    assert dict(wide.config.recipe.model) == {"depth": 4, "width": 8}
    assert wide.config.out == tmp_path / "out" / "wide" / "seed-0"
    with pytest.raises(UsageError, match=r"would override what the variants .* differ in"):
        plan_runs(ablation, _request(tmp_path, "model.width=2"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "titel", "has no key 'titel'. Did you mean 'title'"),
        ('title = "Widths"', "", "needs the key 'title'"),
        ("level = 2", 'level = "two"', "level is 'two': expected a whole number"),
        ("level = 2", "level = 99", "scale factor 99 is out of range"),
        ("level = 2", "level = 2\nlevels = [3, 4]", "expected one of levels"),
        ('data = ["T91"]', 'data = "T91"', "data is 'T91': expected a list"),
        ('data = ["T91"]', "data = [1]", "data is 1: expected a word"),
        ('"sr"', '"srr"', "Did you mean 'sr'"),
        ('"plain"', '"plane"', "Did you mean 'plain'"),
        ('"plain"', '"plain"\nreference = "wied"', "Did you mean 'wide'"),
        ("published = 33", "publish = 33", "variant narrow: A variant has no key 'publish'"),
        ("published = 33", 'published = "33"', "expected a number"),
        ("width = 8", "widht = 8", "sets 'widht', which plain does not have"),
        ('name = "wide"', 'name = "Narrow"', "would share a folder"),
        ('name = "wide"', 'name = "?"', "A variant is called '?'"),
        ("[variants.model]\nwidth = 8", "model = 8", "model is 8: expected a table"),
        ("[[variants]]", "[[variant]]", "has no key 'variant'. Did you mean 'variants'"),
        ("[settings]", "[[[settings", "is no TOML"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in _GOOD
    with pytest.raises(UsageError) as refused:
        load_ablation(_file(tmp_path, _GOOD.replace(old, new)))
    assert message in str(refused.value)
    assert "mine.toml" in str(refused.value)


def test_a_single_variant_and_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few variants: 1, expected 2 or more"):
        load_ablation(_file(tmp_path, _GOOD.partition('[[variants]]\nname = "wide"')[0]))
    for text in (
        _GOOD.partition("[[variants]]")[0],
        _GOOD.partition("[settings]")[0] + "variants = [1, 2]",
    ):
        with pytest.raises(UsageError, match="There are no variants"):
            load_ablation(_file(tmp_path, text))
    with pytest.raises(UsageError, match="Did you mean 'memnet-table1'"):
        load_ablation("memnet-tabel1")
    with pytest.raises(UsageError, match="Cannot read the ablation"):
        load_ablation(str(tmp_path / "no.toml"))


def test_bad_values_of_a_variant_name_it_when_planned(tmp_path: Path) -> None:
    sound = _GOOD.replace("[settings]\ndepth = 3\n", "")
    high = load_ablation(_file(tmp_path, sound.replace("width = 8", "width = 9999")))
    with pytest.raises(UsageError, match="Variant 'wide' of mine: width is 9999"):
        plan_runs(high, _request(tmp_path))
    unknown = load_ablation(_file(tmp_path, _GOOD))  # depth is the model's, not the recipe's
    with pytest.raises(UsageError, match="A recipe has no setting 'depth'"):
        plan_runs(unknown, _request(tmp_path))


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (0, 1, 2)), ("0,1, 5", (0, 1, 5)), ("7,", (7,)), ("1", (0,))]
)
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "1,x", "-1", "0", "1,1", "1.5", ",", "101", "²"])
def test_seeds_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text)

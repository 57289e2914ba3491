from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from memnet_cli.checkpoints import WeightsInfo
from memnet_cli.config import RuntimeOptions
from memnet_cli.errors import UsageError, WeightsError
from memnet_cli.evaluation.benchmark import evaluate
from memnet_cli.evaluation.methods import (
    PlannedMethod,
    load_method,
    parse_method,
    plan_method,
    published_name,
    with_self_ensemble,
)
from memnet_cli.models import config_to_mapping
from memnet_cli.models.configs import MemNetConfig, ModelConfig, NLRNConfig, REDNetConfig
from memnet_cli.tasks import TASKS

from .conftest import Images, MakeWeights

FLOAT32 = RuntimeOptions(device="cpu", precision="fp32")
# measured with the authors' released weights and recorded in the project's design
PEERS = {
    "vdsr": {2: 37.59, 3: 33.75, 4: 31.43},
    "dncnn3": {2: 37.54, 3: 33.74, 4: 31.39},
}


def check_peer(shared: Path, mirrored: Images, peer: str, scale: int) -> None:
    name = parse_method(str(shared / "peers" / f"{peer}.safetensors"))
    method = load_method(plan_method(name, TASKS["sr"]), FLOAT32)
    scores = evaluate(method.at(scale), mirrored("Set5"), TASKS["sr"], scale, dataset="Set5")
    assert scores.psnr == pytest.approx(PEERS[peer][scale], abs=0.02)


@pytest.mark.parametrize("peer", PEERS)
def test_published_rivals_reach_their_numbers(shared: Path, mirrored: Images, peer: str) -> None:
    check_peer(shared, mirrored, peer, 3)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("peer", PEERS)
def test_published_rivals_reach_their_other_numbers(
    shared: Path, mirrored: Images, peer: str, scale: int
) -> None:
    check_peer(shared, mirrored, peer, scale)


def test_names_carry_block_and_self_ensemble() -> None:
    name = parse_method("memnet@3+")
    assert (name.base, name.exit_block, name.tta, name.text) == ("memnet", 3, True, "memnet@3+")
    assert parse_method("bicubic").base == "bicubic"
    missing = parse_method("folder/my.safetensors+")
    assert (missing.base, missing.text, missing.tta) == ("folder/my.safetensors", "my+", True)


def test_unknown_name_lists_the_known_ones_nearest_first() -> None:
    with pytest.raises(UsageError, match=r"no method 'bicubik'.*memnet.*Did you mean 'bicubic'"):
        parse_method("bicubik")


@pytest.mark.parametrize("text", ["bicubic+", "nlm@2"])
def test_baselines_have_no_variants(text: str) -> None:
    with pytest.raises(UsageError, match="has no weights"):
        parse_method(text)


def test_tta_adds_a_plus_row_behind_every_network() -> None:
    names = with_self_ensemble((parse_method("bicubic"), parse_method("memnet")))
    assert [name.text for name in names] == ["bicubic", "memnet", "memnet+"]
    assert [name.tta for name in names] == [False, False, True]


def test_baseline_for_another_task_is_refused() -> None:
    with pytest.raises(UsageError, match="nlm is for denoise, not for sr"):
        plan_method(parse_method("nlm"), TASKS["sr"])


def test_weights_for_another_task_are_refused(make_weights: MakeWeights) -> None:
    name = parse_method(str(make_weights("denoise")))
    with pytest.raises(WeightsError, match=r"tiny.safetensors is trained for denoise, not for sr"):
        plan_method(name, TASKS["sr"])
    assert plan_method(name, TASKS["denoise"]).info is not None


@pytest.mark.parametrize("stem", ["clean", "degraded", "bicubic"])
def test_a_file_may_not_be_called_as_what_is_no_network(tmp_path: Path, stem: str) -> None:
    file = tmp_path / f"{stem}.safetensors"
    for text in (str(file), f"{file}@3"[: len(str(file))]):
        with pytest.raises(UsageError, match=f"would be called '{stem}'.*another name"):
            parse_method(text)
    file.write_bytes(b"")
    with pytest.raises(UsageError, match=f"would be called '{stem}'.*another name"):
        parse_method(str(file))


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not-there"):
        plan_method(parse_method(str(tmp_path / "not-there.safetensors")), TASKS["sr"])


def test_card_tells_cost_and_origin(make_weights: MakeWeights) -> None:
    from memnet_cli.checkpoints import load_weights

    path = make_weights(training_sets=("T91",), scores={"Set5": {"2": {"psnr": 30.0}}})
    name = parse_method(str(path))
    card = load_method(plan_method(name, TASKS["sr"]), FLOAT32).card
    model, _ = load_weights(path)
    assert card.parameters == sum(tensor.numel() for tensor in model.parameters())
    # by hand, width 4: first convolution; per block two 3x3 and the 1x1 gate over 2 and 3
    # memories; one reconstruction per block
    assert card.multiply_adds_per_pixel == 36 + 2 * 2 * 144 + (2 + 3) * 16 + 2 * 36
    assert (card.name, card.weights, card.precision) == ("tiny", "tiny.safetensors", "fp32")
    assert card.training_sets == ("T91",)
    assert card.recorded == {"Set5": {"2": {"psnr": 30.0}}}
    assert card.published_as is None  # 4 maps


def test_self_ensemble_costs_eightfold_and_is_equivariant(
    make_weights: MakeWeights, photograph: NDArray[np.uint8]
) -> None:
    path = str(make_weights())
    (single, plus) = with_self_ensemble((parse_method(path),))
    cards = [load_method(plan_method(n, TASKS["sr"]), FLOAT32).card for n in (single, plus)]
    assert cards[0].multiply_adds_per_pixel is not None
    assert cards[1].multiply_adds_per_pixel == 8 * cards[0].multiply_adds_per_pixel
    assert cards[1].recorded == {}
    method = load_method(plan_method(plus, TASKS["sr"]), FLOAT32).at(2)
    plane = photograph[:40, :56, 0].astype(np.float32) / np.float32(255)
    turned = np.rot90(method(np.ascontiguousarray(np.rot90(plane))), -1)
    assert np.abs(turned - method(plane)).max() < 1e-5


@pytest.mark.parametrize(
    ("text", "task", "expected"),
    [
        ("bicubic", "sr", "Bicubic"),
        ("degraded", "jpeg", "JPEG"),
        ("degraded", "denoise", None),
        ("nlm", "denoise", None),
    ],
)
def test_baselines_are_matched_with_the_papers(text: str, task: str, expected: str | None) -> None:
    assert published_name(plan_method(parse_method(text), TASKS[task])) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (MemNetConfig(), "MemNet"),
        (MemNetConfig(10, 10, preactivated_input=True), "MemNet-M10R10"),
        (MemNetConfig(unshuffle=2), None),
        (MemNetConfig(long_term=False), None),
        (MemNetConfig(width=16), None),
        (REDNetConfig(depth=20), "RED20"),
        (REDNetConfig(width=16), None),
        (NLRNConfig(), "NLRN"),
        (NLRNConfig(steps=6), None),
    ],
)
def test_only_the_papers_networks_have_their_names(
    config: ModelConfig, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = WeightsInfo(config.model, config_to_mapping(config), "sr")
    method = PlannedMethod(parse_method("memnet"), TASKS["sr"], weights=Path("w"), info=info)
    assert published_name(method) == expected


def test_a_stride_of_ones_own_has_no_scores_to_be_held_against() -> None:
    plain, strided = (
        load_method(plan_method(parse_method(name), TASKS["sr"]), FLOAT32).card
        for name in ("nlrn-t6-sr", "nlrn-t6-sr:16")
    )
    assert plain.recorded["Set5"]
    assert strided.recorded == {} and strided.nlrn_stride == 16
    info = WeightsInfo("nlrn", config_to_mapping(NLRNConfig()), "sr")
    for text, expected in {"nlrn:7": "NLRN", "nlrn:16": None}.items():  # 7 is the authors' test
        method = PlannedMethod(parse_method(text), TASKS["sr"], weights=Path("w"), info=info)
        assert published_name(method) == expected


def test_rivals_are_matched_with_the_papers(shared: Path) -> None:
    for peer, expected in (("vdsr", "VDSR"), ("dncnn3", "DnCNN")):
        name = parse_method(str(shared / "peers" / f"{peer}.safetensors"))
        assert published_name(plan_method(name, TASKS["sr"])) == expected

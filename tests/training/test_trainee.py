"""Growing, first weights, recomputed blocks and compiled networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from memnet_cli.checkpoints import WeightsInfo, load_weights, read_info, save_weights
from memnet_cli.errors import UsageError
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.configs import MemNetConfig, REDNetConfig
from memnet_cli.restoration.devices import resolve_runtime
from memnet_cli.training.config import Budget, TrainingConfig
from memnet_cli.training.distributed import World
from memnet_cli.training.growth import recursions_of
from memnet_cli.training.recipe_files import load_recipe
from memnet_cli.training.records import recipe_text
from memnet_cli.training.trainee import Trainee, first_model, grow_if_due, new_trainee
from tests.training.conftest import run, with_recipe

_RUNTIME = resolve_runtime("cpu", "fp32")
_PLANES = torch.rand(2, 1, 12, 14, generator=torch.Generator().manual_seed(1))


def _trained_a_little(config: TrainingConfig) -> Trainee:
    trainee = new_trainee(config, _RUNTIME, World())
    for _ in range(2):
        torch.autograd.backward(trainee.predict(_PLANES)[-1].square().mean())
        for optimizer in trainee.optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return trainee


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_growing_changes_no_output_and_keeps_what_the_optimizer_knows(
    tiny: TrainingConfig, optimizer: str
) -> None:
    config = with_recipe(
        tiny, f"optimizer={optimizer}", "lr=0.01", "grow_to=2,4", "grow_at=0.3,0.6"
    )
    trainee = _trained_a_little(config)
    assert trainee.mean is not None
    old = dict(trainee.model.named_parameters())
    known = {
        name: {key: value.clone() for key, value in o.state[p].items()}
        for o in trainee.optimizers
        for name, p in old.items()
        if p in o.state
    }
    cost = trainee.multiply_adds
    outputs = [m.eval()(_PLANES) for m in (trainee.model, trainee.mean)]
    trainee.progress = 0.29
    assert not grow_if_due(trainee, config, _RUNTIME, World())
    for progress, recursions in ((0.3, 2), (0.9, 4)):
        trainee.progress = progress
        assert grow_if_due(trainee, config, _RUNTIME, World())
        assert not grow_if_due(trainee, config, _RUNTIME, World())
        assert recursions_of(trainee.model) == recursions_of(trainee.mean) == recursions
        grown_outputs = [m.eval()(_PLANES) for m in (trainee.model, trainee.mean)]
        for before, after in zip(outputs, grown_outputs, strict=True):
            assert torch.equal(before, after)
    assert trainee.multiply_adds > 1.8 * cost
    kept = 0
    for name, parameter in trainee.model.named_parameters():
        states = [o.state[parameter] for o in trainee.optimizers if parameter in o.state]
        if name in known and parameter.shape == old[name].shape:
            assert all(torch.equal(states[0][key], value) for key, value in known[name].items())
            kept += 1
        else:
            assert states == []
    assert kept > 20


def test_a_run_starts_from_weights_of_any_task(tiny: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "denoise.safetensors"
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4)
    model = build_model(config)
    info = WeightsInfo(
        *("memnet", config_to_mapping(config), "denoise", (30,)),
        training_sets=("BSD-val",),
        steps=100,
        pixels_seen=1000,
    )
    save_weights(path, model, info)
    started = first_model(replace(tiny, init=(path,)))
    for name, tensor in started.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
    run(replace(tiny, init=(path,)))
    _, trained = load_weights(tiny.out / "last.safetensors")
    assert (trained.task, trained.levels) == ("sr", (2, 3, 4))
    assert trained.training_sets == ("BSD-val",)
    assert (trained.steps, trained.pixels_seen) == (106, 1000 + 6 * 4 * 16 * 16)
    wider = replace(
        tiny, init=(path,), recipe=load_recipe("fast", "memnet", ["model.recursions=3"])
    )
    grown = first_model(wider)
    assert recursions_of(grown) == 3
    assert torch.allclose(grown.eval()(_PLANES), model.eval()(_PLANES), atol=1e-6)
    longer = load_recipe("fast", "memnet", ["model.memory_blocks=4", "model.recursions=2"])
    deep = first_model(replace(tiny, init=(path,), recipe=longer))
    assert deep.config == MemNetConfig(memory_blocks=4, recursions=2, width=4)
    assert torch.allclose(deep.eval()(_PLANES), model.eval()(_PLANES), atol=1e-5)
    modules = load_recipe("fast", "memnet", ["model.non_local=1"])
    seeing = first_model(replace(tiny, init=(path,), recipe=modules))
    assert seeing.config == MemNetConfig(memory_blocks=2, recursions=1, width=4, non_local=1)
    assert torch.allclose(seeing.eval()(_PLANES), model.eval()(_PLANES), atol=1e-6)
    maps = load_recipe("fast", "memnet", ["model.width=6", "model.memory_blocks=3"])
    wide = first_model(replace(tiny, init=(path,), recipe=maps))
    assert wide.config == MemNetConfig(memory_blocks=3, recursions=1, width=6)
    assert torch.allclose(wide.eval()(_PLANES), model.eval()(_PLANES), atol=1e-5)
    squares = load_recipe("fast", "memnet", ["model.unshuffle=2", "model.memory_blocks=3"])
    coarse = first_model(replace(tiny, init=(path,), recipe=squares)).eval()
    assert coarse.config == MemNetConfig(memory_blocks=3, recursions=1, width=4, unshuffle=2)
    larger = _PLANES.repeat_interleave(2, 2).repeat_interleave(2, 3)  # the same in squares of 2
    expected = model.eval()(_PLANES).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(coarse(larger), expected, atol=1e-5)


def test_a_run_starts_from_the_mean_of_several_weights(
    tiny: TrainingConfig, tmp_path: Path
) -> None:
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4)
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    models = [build_model(config) for _ in paths]
    origins = (("T91", "MIT", 7), ("BSD-train", "", 9), ("T91", "MIT", 8))
    for path, model, (seen, licence, steps) in zip(paths, models, origins, strict=True):
        info = WeightsInfo("memnet", config_to_mapping(config), "sr", (2,), training_sets=(seen,))
        info = replace(info, steps=steps, pixels_seen=100 * steps, licence=licence)
        info = replace(info, recipe=f"recipe of {path.stem}", source=f"source of {path.stem}")
        save_weights(path, model, info)
    several = replace(tiny, init=tuple(paths), budget=Budget(steps=0))
    run(several)
    result, info = load_weights(tiny.out / "last.safetensors")
    states = [model.state_dict() for model in models]
    for name, tensor in result.state_dict().items():
        expected = sum(state[name].double() for state in states) / 3
        assert torch.allclose(tensor.double(), expected.double(), atol=1e-6)
    assert info.training_sets == ("T91", "BSD-train")
    assert (info.steps, info.pixels_seen) == (9, 900)  # what is drawn next is new to all of them
    assert info.licence == "MIT and unknown"
    # of a run without a step, the recipe is that of the weights
    assert info.recipe == "recipe of b"
    assert info.source == "memnet train, the mean of a.safetensors, b.safetensors, c.safetensors"
    alone = replace(several, init=(paths[0],), out=tiny.out / "alone")
    run(alone)
    info = read_info(alone.out / "last.safetensors")
    assert (info.recipe, info.source) == ("recipe of a", "source of a")
    learned = replace(alone, budget=Budget(steps=1), out=tiny.out / "learned")
    run(learned)
    info = read_info(learned.out / "last.safetensors")
    assert (info.recipe, info.source) == (recipe_text(learned), "memnet train")
    other = replace(config, width=8)
    save_weights(
        paths[2], build_model(other), WeightsInfo("memnet", config_to_mapping(other), "sr")
    )
    with pytest.raises(UsageError, match=r"c\.safetensors is not the same network as .*a\.safet"):
        first_model(several)


def test_first_weights_of_another_network_are_refused(tiny: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "red.safetensors"
    config = REDNetConfig(depth=4, width=4)
    save_weights(path, build_model(config), WeightsInfo("rednet", config_to_mapping(config), "sr"))
    with pytest.raises(UsageError, match="holds weights of rednet, not of memnet"):
        first_model(replace(tiny, init=(path,)))
    other = replace(tiny, model="rednet", init=(path,), recipe=load_recipe("fast", "rednet"))
    first_model(other)
    wide = load_recipe("fast", "rednet", ["model.width=8"])
    with pytest.raises(UsageError, match="has width 4 and the recipe 8"):
        first_model(replace(other, recipe=wide))


def test_modules_that_the_recipe_does_not_want_are_refused(
    tiny: TrainingConfig, tmp_path: Path
) -> None:
    path = tmp_path / "modules.safetensors"
    config = MemNetConfig(memory_blocks=2, recursions=1, width=4, non_local=1)
    info = WeightsInfo("memnet", config_to_mapping(config), "sr", (2,))
    save_weights(path, build_model(config), info)
    without = load_recipe("fast", "memnet", ["model.non_local=0"])
    with pytest.raises(UsageError, match="Cannot change 1 non-local modules to 0"):
        first_model(replace(tiny, init=(path,), recipe=without))


def test_recomputed_blocks_give_the_same_gradients_and_statistics(tiny: TrainingConfig) -> None:
    thrifty = replace(tiny, machine=replace(tiny.machine, gradient_checkpointing=True))
    plain, frugal = (new_trainee(config, _RUNTIME, World()) for config in (tiny, thrifty))
    for trainee in (plain, frugal):
        for shift in (0.0, 0.1):  # the second pass must not find anything left over of the first
            losses = [output.square().mean() for output in trainee.predict(_PLANES + shift)]
            torch.autograd.backward(losses)
    for (name, one), other in zip(
        plain.model.named_parameters(), frugal.model.parameters(), strict=True
    ):
        assert one.grad is not None and other.grad is not None
        assert torch.equal(one.grad, other.grad), name
    for name, buffer in plain.model.named_buffers():
        assert torch.equal(buffer, frugal.model.get_buffer(name)), name


def test_only_memory_blocks_can_be_recomputed(tiny: TrainingConfig) -> None:
    machine = replace(tiny.machine, gradient_checkpointing=True)
    recipe = load_recipe("fast", "rednet", ["model.depth=4", "model.width=4"])
    config = replace(tiny, model="rednet", recipe=recipe, machine=machine)
    with pytest.raises(UsageError, match="--gradient-checkpointing is for memnet"):
        new_trainee(config, _RUNTIME, World())

"""What every architecture promises to the rest of the program."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from memnet_cli.errors import UsageError
from memnet_cli.models import (
    MODELS,
    available_models,
    build_model,
    config_from_mapping,
    config_to_mapping,
    get_model,
)
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import (
    MemNetConfig,
    ModelConfig,
    NLRNConfig,
    PlainConfig,
    REDNetConfig,
)

SMALL: dict[str, ModelConfig] = {
    "memnet": MemNetConfig(memory_blocks=2, recursions=2, width=4),
    "rednet": REDNetConfig(depth=20, width=4),
    "nlrn": NLRNConfig(steps=2, width=4, embedding_width=2, neighbourhood=5),
    "plain": PlainConfig(depth=4, width=4),
}

every_model = pytest.mark.parametrize("name", list(MODELS))


def built(name: str) -> RestorationModel:
    """Build a small network of this architecture that has seen a training step."""
    torch.manual_seed(0)
    model = build_model(SMALL[name]).train()
    with torch.no_grad():
        model(torch.rand(4, 1, 12, 12))
    return model.eval()


def planes(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return random planes in [0, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_no_architecture_is_left_out_here() -> None:
    assert available_models() == tuple(MODELS)
    assert set(SMALL) == set(MODELS)


@every_model
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 13), (1, 5), (33, 2)])
def test_shape_is_kept(name: str, height: int, width: int) -> None:
    with torch.no_grad():
        assert built(name)(planes(2, 1, height, width)).shape == (2, 1, height, width)


@every_model
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(name: str, dtype: torch.dtype) -> None:
    model = built(name).to(dtype)
    assert model(planes(1, 1, 5, 6, dtype=dtype)).dtype == dtype


@every_model
@pytest.mark.parametrize("device", ["meta", "cuda", "mps"])
def test_everything_happens_on_the_device_of_the_input(name: str, device: str) -> None:
    if device != "meta" and not getattr(torch, device).is_available():
        pytest.skip(f"there is no {device} device")
    model = built(name).to(device)
    # a tensor made elsewhere would be refused as soon as it meets those of this device
    outputs = model.predictions(planes(2, 1, 9, 7).to(device))
    assert {output.device.type for output in outputs} == {device}
    assert all(output.shape == (2, 1, 9, 7) for output in outputs)


@every_model
def test_float32_is_close_to_float64(name: str) -> None:
    single = built(name)
    expected = built(name).double()(planes(1, 1, 9, 8).double())
    torch.testing.assert_close(single(planes(1, 1, 9, 8)).double(), expected, rtol=1e-4, atol=1e-4)


@every_model
def test_training_reaches_every_parameter(name: str) -> None:
    model = built(name).train()
    outputs = model.predictions(planes(2, 1, 12, 12))
    torch.autograd.backward(torch.stack(outputs).square().mean())
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert bool(torch.isfinite(parameter.grad).all()), path


@every_model
def test_the_last_prediction_is_the_result(name: str) -> None:
    model = built(name)
    with torch.no_grad():
        outputs = model.predictions(planes(2, 1, 9, 7))
        torch.testing.assert_close(outputs[-1], model(planes(2, 1, 9, 7)))
    assert all(output.shape == (2, 1, 9, 7) for output in outputs)


@every_model
def test_the_same_input_gives_the_same_output(name: str) -> None:
    model = built(name)
    with torch.no_grad():
        assert torch.equal(model(planes(1, 1, 9, 7)), model(planes(1, 1, 9, 7)))


@every_model
def test_planes_of_a_batch_do_not_touch_each_other(name: str) -> None:
    model = built(name).double()
    batch = planes(3, 1, 9, 7, dtype=torch.float64)
    with torch.no_grad():
        together = model(batch)
        alone = torch.cat([model(plane[None]) for plane in batch])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@every_model
def test_the_input_is_not_written_to(name: str) -> None:
    batch = planes(1, 1, 9, 7)
    built(name)(batch)
    assert torch.equal(batch, planes(1, 1, 9, 7))


@every_model
def test_the_state_goes_into_a_fresh_network(name: str) -> None:
    model = built(name)
    fresh = build_model(SMALL[name]).eval()
    fresh.load_state_dict(model.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(fresh(planes(1, 1, 9, 7)), model(planes(1, 1, 9, 7)))


@every_model
def test_config_and_halo(name: str) -> None:
    model = built(name)
    assert model.config == SMALL[name]
    assert model.halo > 0
    assert get_model(name).config is type(SMALL[name])


@every_model
def test_configs_survive_a_mapping(name: str) -> None:
    mapping = config_to_mapping(SMALL[name])
    assert config_from_mapping(name, mapping) == SMALL[name]
    assert config_from_mapping(name, {}) == MODELS[name].config()
    assert all(type(value) in {bool, int, str} for value in mapping.values())


@every_model
def test_an_unknown_setting_names_the_nearest(name: str) -> None:
    with pytest.raises(UsageError, match=r"no setting 'widht'.*Did you mean 'width'\?"):
        config_from_mapping(name, {"widht": 64})


@every_model
@pytest.mark.parametrize("value", ["64", 64.0, True, None, [64]])
def test_a_value_of_another_type_is_an_error(name: str, value: object) -> None:
    with pytest.raises(UsageError, match="width"):
        config_from_mapping(name, {"width": value})


@every_model
@pytest.mark.parametrize("value", [0, -1, 10**9])
def test_a_value_out_of_bounds_is_an_error(name: str, value: int) -> None:
    with pytest.raises(UsageError, match="width is"):
        config_from_mapping(name, {"width": value})
    with pytest.raises(UsageError, match="width is"):
        replace(SMALL[name], width=value)


@pytest.mark.parametrize(("name", "setting"), [
    ("memnet", {"memory_blocks": 10**9}),
    ("memnet", {"recursions": 0}),
    ("rednet", {"depth": 10**9}),
    ("rednet", {"depth": 21}),
    ("nlrn", {"steps": 10**9}),
    ("nlrn", {"neighbourhood": 44}),
    ("nlrn", {"nonlocal_every": -1}),
    ("plain", {"depth": 1}),
])  # fmt: skip
def test_settings_of_one_architecture_are_bounded(name: str, setting: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(setting))} is .*expected"):
        config_from_mapping(name, setting)


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no model 'memmet'.*Did you mean 'memnet'\?"):
        config_from_mapping("memmet", {})


def test_the_list_of_models_does_not_need_torch() -> None:
    code = "import sys, memnet_cli.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

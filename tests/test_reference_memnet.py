"""The straightforward port that speed is compared with computes what the package's MemNet does."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch

from memnet_cli.evaluation.straightforward import straightforward_port
from memnet_cli.models.configs import MemNetConfig
from memnet_cli.models.memnet import MemNet


@torch.no_grad()
def random_memnet(config: MemNetConfig) -> MemNet:
    """A network with nothing left at its initial value, statistics of the BN included."""
    torch.manual_seed(20170807)
    model = MemNet(config)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif tensor.ndim == 1:  # biases, BN and the weights of the ensemble
            tensor.normal_(0.3, 0.3)
    return model.eval()


@pytest.mark.parametrize(
    "config",
    [
        MemNetConfig(memory_blocks=3, recursions=2, width=8),
        MemNetConfig(memory_blocks=1, recursions=3, width=4),
        MemNetConfig(memory_blocks=4, recursions=1, width=4, multi_supervised=False),
        MemNetConfig(memory_blocks=2, recursions=2, width=4, preactivated_input=True),
        MemNetConfig(memory_blocks=3, recursions=2, width=4, long_term=False),
        MemNetConfig(memory_blocks=3, recursions=2, width=4, short_term=False),
        MemNetConfig(memory_blocks=4, recursions=1, width=4, non_local=2),
    ],
    ids=["M3R2", "M1R3", "basic", "preactivated", "NL", "NS", "non-local"],
)
@torch.no_grad()
def test_port_equals_the_package(config: MemNetConfig) -> None:
    model = random_memnet(config)
    degraded = torch.rand(2, 1, 19, 23)
    expected = model(degraded)
    restored = straightforward_port(model)(degraded)
    assert restored.is_contiguous() and restored.dtype == torch.float32
    assert (restored - expected).norm() <= 1e-5 * expected.norm()
    # the network does something, so that equality says something
    assert (expected - degraded).norm() > 0.1 * degraded.norm()


def test_port_has_no_trainable_weight_of_its_own() -> None:
    model = random_memnet(MemNetConfig(memory_blocks=3, recursions=2, width=8))
    port = straightforward_port(model)
    count, expected = (sum(p.numel() for p in m.parameters()) for m in (port, model))
    assert count == expected


def test_script_compares_the_two(
    tiny_weights: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "reference_memnet.py"
    main = runpy.run_path(str(script))["main"]
    main(["--weights", str(tiny_weights["jpeg"]), "--size", "16x20", "--repeats", "1"])
    said = capsys.readouterr().out
    assert "times faster" in said
    difference = re.search(r"differ by (\S+) at most", said)
    assert difference is not None and float(difference[1]) < 1e-5

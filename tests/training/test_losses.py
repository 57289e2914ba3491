"""The losses in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memnet_cli.training.losses import loss_of_white_for_black, supervised_loss
from memnet_cli.training.recipe import Recipe


@pytest.fixture
def outputs() -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return a target and y_1, y_2, y_3, y that are off by 0.1, 0.2, 0.3 and 0.5."""
    clean = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return clean, tuple(clean + error for error in (0.1, 0.2, 0.3, 0.5))


def test_equation_12_with_alpha_of_the_paper(outputs: tuple[Tensor, tuple[Tensor, ...]]) -> None:
    # L = alpha / 2N sum ||x - y||^2 + (1 - alpha) / 2MN sum_m sum ||x - y_m||^2
    clean, predictions = outputs
    alpha, pixels = 1 / 4, 16
    final = 0.5 * pixels * 0.5**2
    single = 0.5 * pixels * (0.1**2 + 0.2**2 + 0.3**2) / 3
    loss = supervised_loss(predictions, clean, Recipe(loss="l2", loss_sum=True))
    assert float(loss) == pytest.approx(alpha * final + (1 - alpha) * single, rel=1e-5)
    mean = supervised_loss(predictions, clean, Recipe(loss="l2"))
    assert float(mean) == pytest.approx(float(loss) / pixels, rel=1e-5)


def test_equation_4_of_a_model_with_one_output(outputs: tuple[Tensor, tuple[Tensor, ...]]) -> None:
    clean, (*_, final) = outputs
    loss = supervised_loss((final,), clean, Recipe(loss="l2", loss_sum=True))
    assert float(loss) == pytest.approx(0.5 * 16 * 0.25, rel=1e-5)


def test_l1_and_charbonnier(outputs: tuple[Tensor, tuple[Tensor, ...]]) -> None:
    clean, predictions = outputs
    loss = supervised_loss(predictions, clean, Recipe(loss="l1", alpha=0.5))
    assert float(loss) == pytest.approx(0.5 * 0.5 + 0.5 * 0.2, rel=1e-5)
    smooth = supervised_loss((clean,), clean, Recipe(loss="charbonnier"))
    assert float(smooth) == pytest.approx(0.5 / 255)
    far = supervised_loss((clean + 1,), clean, Recipe(loss="charbonnier"))
    assert float(far) == pytest.approx(1.0, abs=1e-5)
    bent = supervised_loss((clean + 0.03,), clean, Recipe(loss="charbonnier", epsilon=0.04))
    assert float(bent) == pytest.approx(0.05)  # 3, 4, 5


def test_outputs_of_half_precision_are_compared_in_float32() -> None:
    restored = torch.full((1, 1, 4, 4), 0.5, dtype=torch.bfloat16)
    clean = torch.full((1, 1, 4, 4), 0.5001)  # bfloat16 would round it to 0.5
    loss = supervised_loss((restored,), clean, Recipe(loss="l1"))
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe(loss="l1", alpha=0.95), 1.0),
        (Recipe(loss="l2"), 0.5),
        (Recipe(loss="l2", loss_sum=True, patch=31, stride=21), 0.5 * 31 * 31),
        (Recipe(loss="charbonnier", epsilon=0.75), 1.25),  # 3, 4, 5
    ],
)
def test_no_picture_has_a_larger_loss_than_white_for_black(recipe: Recipe, expected: float) -> None:
    assert loss_of_white_for_black(recipe) == pytest.approx(expected)
    some = torch.rand(
        3, 2, 1, recipe.patch, recipe.patch, generator=torch.Generator().manual_seed(0)
    )
    assert float(supervised_loss((some[0], some[1]), some[2], recipe)) < expected

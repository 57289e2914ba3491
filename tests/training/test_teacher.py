"""Training towards a teacher: closed forms, and a teacher that has nothing to teach."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from memnet_cli.checkpoints import WeightsInfo, load_weights, save_weights
from memnet_cli.errors import UsageError
from memnet_cli.evaluation.leakage import content_hash
from memnet_cli.models import build_model, config_to_mapping
from memnet_cli.models.base import RestorationModel
from memnet_cli.models.configs import PlainConfig
from memnet_cli.stores.datasets import find_images
from memnet_cli.training.config import TrainingConfig
from memnet_cli.training.data import gather_data
from memnet_cli.training.losses import supervised_loss
from memnet_cli.training.metrics import read_metrics
from memnet_cli.training.recipe import Recipe
from memnet_cli.training.records import RunFolder
from memnet_cli.training.teacher import Teacher
from tests.training.conftest import run, session_of, with_recipe


class Brighter(RestorationModel):
    """Adds a tenth."""

    def __init__(self) -> None:
        super().__init__(PlainConfig(depth=2, width=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1


class Darker(Brighter):
    """Halves."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x


def self_ensembled(model: RestorationModel, planes: Tensor) -> Tensor:
    """Return the self-ensemble, every view made by transposing and flipping."""
    total = torch.zeros_like(planes)
    for transposed in (False, True):
        for axes in ((), (2,), (3,), (2, 3)):
            view = planes.transpose(2, 3) if transposed else planes
            output = model(view.flip(axes)).flip(axes)
            total += output.transpose(2, 3) if transposed else output
    return total / 8


@pytest.fixture
def patches() -> tuple[Tensor, Tensor, Tensor]:
    """Return clean and degraded patches and their levels."""
    generator = torch.Generator().manual_seed(0)
    clean, degraded = torch.rand(2, 4, 1, 3, 3, generator=generator)
    return clean, degraded, torch.tensor([0, 20, 55, 56])


def test_targets_lie_between_clean_and_taught_at_the_levels_asked(
    patches: tuple[Tensor, Tensor, Tensor],
) -> None:
    clean, degraded, level = patches
    targets = Teacher((Brighter(),), 0.25, (1, 55)).targets(clean, degraded, level, 0)
    torch.testing.assert_close(targets[1:3], 0.75 * clean[1:3] + 0.25 * (degraded[1:3] + 0.1))
    assert torch.equal(targets[[0, 3]], clean[[0, 3]])
    nobody = Teacher((Brighter(),), 1.0, (100, 255)).targets(clean, degraded, level, 0)
    assert torch.equal(nobody, clean)


def test_several_teachers_give_the_mean_of_their_outputs(
    patches: tuple[Tensor, Tensor, Tensor],
) -> None:
    clean, degraded, _ = patches
    models = (Brighter(), Darker(), Darker())
    targets = Teacher(models, 1.0, (1, 55)).targets(clean, degraded, torch.full((4,), 20), 0)
    torch.testing.assert_close(targets, (2.0 * degraded + 0.1) / 3.0)


def test_a_patch_is_taught_by_those_that_are_for_its_level(
    patches: tuple[Tensor, Tensor, Tensor],
) -> None:
    clean, degraded, _ = patches
    level = torch.tensor([2, 4, 3, 0])
    teacher = Teacher((Brighter(), Darker()), 1.0, (1, 255), for_levels=((), (4, 8)))
    targets = teacher.targets(clean, degraded, level, 0)
    torch.testing.assert_close(targets[[0, 2]], degraded[[0, 2]] + 0.1)
    torch.testing.assert_close(targets[1], 0.75 * degraded[1] + 0.05)
    assert torch.equal(targets[3], clean[3])
    nobody = Teacher((Darker(),), 1.0, (1, 255), for_levels=((4,),))
    targets = nobody.targets(clean, degraded, level, 0)
    torch.testing.assert_close(targets[1], 0.5 * degraded[1])
    assert torch.equal(targets[[0, 2, 3]], clean[[0, 2, 3]])


def test_strong_noise_is_scaled_down_to_what_the_teacher_knows() -> None:
    class Listening(Brighter):
        def forward(self, x: Tensor) -> Tensor:
            heard.append(x)
            return x + 0.1

    heard: list[Tensor] = []
    clean = torch.full((3, 1, 64, 64), 0.25)
    sigma = torch.tensor([25, 50, 75])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    degraded = clean + sigma[:, None, None, None] / 255 * noise
    targets = Teacher((Listening(),), 1.0, (1, 50), True).targets(clean, degraded, sigma, 0)
    levels = 255 * heard[0].std((1, 2, 3))
    torch.testing.assert_close(levels, torch.tensor([25.0, 50.0, 50.0]), rtol=0.05, atol=0)
    brighter = torch.tensor([0.1, 0.1, 0.15])[:, None, None, None]
    torch.testing.assert_close(targets, degraded + brighter)


def test_a_turned_teacher_gives_its_self_ensemble_over_eight_steps(
    patches: tuple[Tensor, Tensor, Tensor],
) -> None:
    class Sideways(Brighter):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.roll(1, 3) * torch.arange(3)

    clean, degraded, _ = patches
    level = torch.full((4,), 20)
    teacher = Teacher((Sideways(),), 1.0, (1, 55), turned=True)
    steps = [teacher.targets(clean, degraded, level, step) for step in range(16)]
    expected = self_ensembled(Sideways(), degraded)
    torch.testing.assert_close(torch.stack(steps[:8]).mean(0), expected)
    assert torch.equal(torch.stack(steps[:8]), torch.stack(steps[8:]))
    assert not torch.equal(steps[0], steps[1])


def test_with_l2_the_gradient_is_that_of_both_distances(
    patches: tuple[Tensor, Tensor, Tensor],
) -> None:
    clean, degraded, level = patches
    level = torch.full_like(level, 20)
    targets = Teacher((Brighter(),), 0.3, (1, 55)).targets(clean, degraded, level, 0)
    output = torch.rand_like(clean, requires_grad=True)

    def gradient(target: Tensor) -> Tensor:
        return torch.autograd.grad(supervised_loss((output,), target, Recipe(loss="l2")), output)[0]

    both = 0.7 * gradient(clean) + 0.3 * gradient(degraded + 0.1)
    torch.testing.assert_close(gradient(targets), both)


def test_a_network_that_is_its_own_teacher_has_nothing_to_learn(tiny: TrainingConfig) -> None:
    run(tiny)
    weights = tiny.out / "last.safetensors"
    # sgd: AdamW would make full steps of the rounding that is left of the gradient
    settings = ("freeze_statistics=true", "alpha=1.0", "loss=l2", "quantised=0", "optimizer=sgd")
    alone = replace(with_recipe(tiny, *settings), init=(weights,), out=tiny.out / "alone")
    taught = replace(alone, teachers=(weights,), out=tiny.out / "taught")
    losses = []
    for config in (alone, taught):
        run(config)
        entries = read_metrics(RunFolder(config.out))
        losses.append(max(entry["loss"] for entry in entries if entry["kind"] == "train"))
    assert losses[1] < 1e-9 < losses[0]
    info = load_weights(taught.out / "last.safetensors")[1]
    assert info.source == "memnet train, taught by last.safetensors"


def test_a_teacher_is_asked_about_drawings_only_where_the_recipe_says_so(
    tiny: TrainingConfig,
) -> None:
    run(tiny)
    weights = tiny.out / "last.safetensors"
    alone = replace(with_recipe(tiny, "drawn=1.0"), init=(weights,), out=tiny.out / "alone")
    teacher = _teacher(tiny.out / "t.safetensors")
    taught = replace(alone, teachers=(teacher,), out=tiny.out / "taught")
    asked = with_recipe(taught, "drawn=1.0", "teacher_drawn=true")
    losses = []
    for config in (alone, taught, replace(asked, out=tiny.out / "asked")):
        run(config)
        entries = read_metrics(RunFolder(config.out))
        losses.append([entry["loss"] for entry in entries if entry["kind"] == "train"])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_a_teacher_is_never_asked_about_chroma(tiny: TrainingConfig) -> None:
    settings = "qualities=10,40", "chroma=0.5", "patch=16"
    chroma = replace(with_recipe(tiny, *settings), task="jpeg")
    taught = replace(chroma, teachers=(_teacher(tiny.out.parent / "t.safetensors"),))
    session = session_of(taught)
    assert session.damage.chroma == session.sampler.chroma_planes != range(0)
    for step in range(4):
        clean, targets = (s.lesson(step, slice(0, 4))[0] for s in (session_of(chroma), session))
        same = (clean == targets).flatten(1).all(dim=1)
        assert same.tolist() == session.sampler.is_chroma(session.sampler.draw(step)).tolist()
    assert session_of(with_recipe(tiny, "chroma=0.5")).sampler.chroma == 0  # sr restores luma alone


def _teacher(
    path: Path, task: str = "", images: tuple[str, ...] = (), levels: tuple[int, ...] = ()
) -> Path:
    config = PlainConfig(depth=2, width=2)
    info = WeightsInfo("plain", config_to_mapping(config), task, levels, training_images=images)
    save_weights(path, build_model(config), info)
    return path


def test_what_the_teacher_saw_counts_as_seen(tiny: TrainingConfig, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "a.png").write_bytes((Path(tiny.data[0]) / "0.png").read_bytes()[:-1] + b"\0")
    seen = content_hash(find_images(str(folder))[0])[:16]
    teacher = _teacher(tmp_path / "teacher.safetensors", images=(seen,))
    config = replace(tiny, validation=str(folder))
    assert seen not in gather_data(config).origin.training_images
    with pytest.raises(UsageError, match=r"1 of the 1 pictures of .* are trained on \(a.png\)"):
        gather_data(replace(config, teachers=(teacher,)))
    assert seen in gather_data(replace(tiny, teachers=(teacher,))).origin.training_images


def test_a_teacher_of_another_task_is_refused(tiny: TrainingConfig, tmp_path: Path) -> None:
    teacher = _teacher(tmp_path / "teacher.safetensors", task="jpeg")
    with pytest.raises(UsageError, match=r"teacher.safetensors is trained for jpeg, not for sr"):
        gather_data(replace(tiny, teachers=(teacher,)))


def test_a_teacher_for_one_scale_factor_teaches_that_alone(tiny: TrainingConfig) -> None:
    def taught(settings: str, *levels: tuple[int, ...]) -> Teacher | None:
        config = with_recipe(tiny, settings)
        names = (f"for-{''.join(map(str, some))}.safetensors" for some in levels)
        files = [
            _teacher(tiny.out.parent / name, task="sr", levels=some)
            for name, some in zip(names, levels, strict=True)
        ]
        return session_of(replace(config, teachers=tuple(files))).teacher

    mixed = taught("levels=2,3,4,4", (), (2, 3, 4), (3,))
    assert mixed is not None and mixed.for_levels == ((), (), (3,))
    all_trained = taught("levels=3", (3,))
    assert all_trained is not None and all_trained.for_levels == ((),)
    with pytest.raises(
        UsageError, match=r"for-3.safetensors is trained for x3, the run for x2 and"
    ):
        taught("levels=2,4,4", (3,))


def test_a_run_goes_on_with_the_same_teacher_only(tiny: TrainingConfig, tmp_path: Path) -> None:
    teacher = _teacher(tmp_path / "teacher.safetensors")
    config = replace(tiny, teachers=(teacher,))
    run(config)
    assert run(replace(config, resume=True)).finished
    _teacher(teacher)  # other random weights
    with pytest.raises(UsageError, match=r"pictures or the teachers are not those that the run in"):
        run(replace(config, resume=True))
    with pytest.raises(UsageError, match=r"other settings \(teacher .* -> None\)"):
        run(replace(tiny, resume=True))


def test_a_run_with_two_teachers_goes_on_with_both_and_names_both(
    tiny: TrainingConfig, tmp_path: Path
) -> None:
    seen = ("0" * 16, "1" * 16)
    pair = tuple(_teacher(tmp_path / f"{one[0]}.safetensors", images=(one,)) for one in seen)
    config = replace(tiny, teachers=pair)
    run(config)
    assert run(replace(config, resume=True)).finished
    info = load_weights(config.out / "last.safetensors")[1]
    assert set(seen) <= set(info.training_images)
    assert info.source == "memnet train, taught by 0.safetensors and 1.safetensors"
    _teacher(pair[1])  # other random weights
    with pytest.raises(UsageError, match="pictures or the teachers are not those"):
        run(replace(config, resume=True))
    with pytest.raises(UsageError, match=r"other settings \(teacher .* -> .*0.safetensors\)"):
        run(replace(tiny, teachers=pair[:1], resume=True))


def test_a_run_from_before_there_were_teachers_goes_on(tiny: TrainingConfig) -> None:
    run(tiny)
    path = RunFolder(tiny.out).description
    document = json.loads(path.read_text("utf-8"))
    for name in ("teacher_share", "teacher_levels"):
        del document["run"]["recipe"][name]
    path.write_text(json.dumps(document), "utf-8")
    assert run(replace(tiny, resume=True)).finished

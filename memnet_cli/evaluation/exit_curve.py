"""What stopping MemNet after an earlier memory block costs and saves (its paper's Fig. 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from memnet_cli.config import RuntimeOptions
from memnet_cli.evaluation.benchmark import LevelScores, evaluate
from memnet_cli.evaluation.methods import LoadedMethod, load_method
from memnet_cli.evaluation.plan import Plan
from memnet_cli.evaluation.speed_report import Spread


@dataclass(frozen=True)
class Exit:
    """One exit: the prediction of a memory block, or the ensemble of all.

    Attributes:
        block: counted from 1; None for the whole network.
        psnr: mean over images, in dB.
        multiply_adds_per_pixel: up to this exit.
        seconds: for all images, one value for every repeat.
    """

    block: int | None
    psnr: float
    multiply_adds_per_pixel: float
    seconds: Spread


@dataclass(frozen=True)
class ExitCurve:
    """All exits of one model on one dataset, the whole network last."""

    model: str
    dataset: str
    task: str
    level: int
    images: int
    exits: tuple[Exit, ...]

    def loss(self, exit: Exit) -> float:
        """Return how many dB lower than that of the whole network the mean PSNR is."""
        return self.exits[-1].psnr - exit.psnr

    def saved(self, exit: Exit) -> float:
        """Return the share of the whole network's time that is saved."""
        return 1.0 - exit.seconds.median / self.exits[-1].seconds.median

    def loss_per_saved(self, exit: Exit) -> float | None:
        """Return the dB lost for all of the time saved; None where no time is."""
        saved = self.saved(exit)
        return self.loss(exit) / saved if saved > 0 else None

    def document(self) -> dict[str, object]:
        """Return the curve as JSON."""
        return {
            **{key: value for key, value in asdict(self).items() if key != "exits"},
            "exits": [
                {
                    "block": exit.block,
                    "psnr": exit.psnr,
                    "db_lost": self.loss(exit),
                    "multiply_adds_per_pixel": exit.multiply_adds_per_pixel,
                    "seconds": exit.seconds.document(),
                    "share_of_time_saved": self.saved(exit),
                    "db_lost_per_share_saved": self.loss_per_saved(exit),
                }
                for exit in self.exits
            ],
        }


def measure_curve(
    plan: Plan, options: RuntimeOptions, repeats: int, say: Callable[[str], None] = lambda _: None
) -> ExitCurve:
    """Score every method of ``plan``, as `plan_curve` makes it, and time them in turns.

    Scores do not depend on the round; the seconds are those in the methods alone.

    Raises:
        DeviceError: for a device that is not there or has too little memory.
        ImageError: for a file that is no usable picture.
        WeightsError: for damaged weights.
    """
    (planned,) = plan.sets
    (level,) = planned.levels
    methods = [load_method(method, options) for method in planned.methods]
    measure = partial(
        evaluate, images=planned.images, task=planned.task, level=level, dataset=planned.dataset
    )
    rounds: list[list[LevelScores]] = [[] for _ in methods]
    for number in range(repeats):
        say(f"round {number + 1} of {repeats} over {len(planned.images)} images")
        for method, scores in zip(methods, rounds, strict=True):
            scores.append(measure(method.at(level)))
    exits = [_exit(method, scores) for method, scores in zip(methods, rounds, strict=True)]
    return ExitCurve(
        methods[-1].card.name,
        planned.dataset,
        planned.task.name,
        level,
        len(planned.images),
        tuple(exits),
    )


def _exit(method: LoadedMethod, rounds: Sequence[LevelScores]) -> Exit:
    seconds = tuple(sum(image.seconds for image in scores.images) for scores in rounds)
    work = method.card.multiply_adds_per_pixel
    assert work is not None
    return Exit(method.card.exit_block, rounds[0].psnr, work, Spread(seconds))

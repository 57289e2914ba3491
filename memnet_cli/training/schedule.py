"""The learning rate as a function of the run's progress, which is 0 at its start and 1 at its end.

Progress is elapsed steps, epochs or time over the budget, so that a run of any length ends
annealed.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from memnet_cli.training.recipe import Recipe


def lr_factor(recipe: Recipe, progress: float, epochs: float) -> float:
    """Return what the peak learning rates are multiplied by.

    Args:
        recipe: schedule and its settings.
        progress: 0 to 1.
        epochs: what the whole budget counts as, for the step schedule.
    """
    progress = min(max(progress, 0.0), 1.0)
    ramp = min(1.0, progress / recipe.warmup) if recipe.warmup > 0 else 1.0
    if recipe.schedule == "step":
        drops = math.floor(progress * epochs / recipe.drop_every_epochs + 1e-9)
        return ramp * recipe.drop_factor**drops
    if recipe.schedule == "constant":
        return ramp
    edges = (0.0, *recipe.restart_at, 1.0)
    cycle = min(bisect_right(edges, progress), len(edges) - 1) - 1
    within = (progress - edges[cycle]) / (edges[cycle + 1] - edges[cycle])
    cosine = 0.5 * (1.0 + math.cos(math.pi * within))
    return ramp * recipe.restart_lr**cycle * (recipe.final_lr + (1.0 - recipe.final_lr) * cosine)


def stage_at(recipe: Recipe, progress: float) -> int:
    """Return how many growth stages have begun."""
    return bisect_right(recipe.grow_at, progress)

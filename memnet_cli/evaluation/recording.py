"""Weights that carry the scores that a benchmark measured of them.

``memnet benchmark -m WEIGHTS ... --json > results.json``, then
``python -m memnet_cli.evaluation.recording results.json WEIGHTS NEW`` writes NEW, which is WEIGHTS
with those scores in its metadata.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from memnet_cli.checkpoints import load_weights, save_weights
from memnet_cli.errors import MemnetError, UsageError
from memnet_cli.evaluation.results import Results, finite, read_results
from memnet_cli.stores.downloads import file_sha256

Scores = dict[str, dict[str, Mapping[str, float]]]

#: Of PSNR and SSIM: a hundred times finer than what is printed.
_DIGITS = 6


def scores_of(results: Results, weights_hash: str) -> Scores:
    """Return dataset -> level -> {"psnr", "ssim"} of the weights with that hash.

    Only what says something of them: whole networks on whole data sets that they were not trained
    on, without self-ensemble or a stride of one's own. PSNR in dB and SSIM with six digits.

    Args:
        results: of a benchmark.
        weights_hash: first 12 hex digits of the file's sha256.

    Raises:
        UsageError: if there is no such row, or the benchmark was stopped or limited.
    """
    if results.limit is not None or not results.complete:
        raise UsageError(
            "These results are of a part of the pictures: run memnet benchmark to its end, "
            "without --limit."
        )
    scores: Scores = {}
    for row in results.rows:
        card = results.card(row)
        psnr = finite(row.scores.psnr)
        other = card.weights_hash != weights_hash or not card.as_it_is
        if other or row.seen or psnr is None:
            continue
        pair = {"psnr": _rounded(psnr), "ssim": _rounded(row.scores.ssim)}
        scores.setdefault(row.scores.dataset, {})[str(row.scores.level)] = pair
    if not scores:
        raise UsageError(
            f"These results have no score of the weights with sha256 {weights_hash}... on pictures "
            "that they were not trained on: name the file with memnet benchmark -m FILE."
        )
    return scores


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def record_scores(results: Path, weights: Path, target: Path) -> Scores:
    """Write ``weights`` to ``target`` with the scores that ``results`` has of them, and no others.

    Args:
        results: what ``memnet benchmark --json`` wrote.
        weights: a weights file; it may be ``target`` too.
        target: the new file, written whole or not at all.

    Raises:
        UsageError: for results that are damaged or have no score of these weights.
        WeightsError: for weights that are missing or damaged.
    """
    model, info = load_weights(weights)
    scores = scores_of(read_results(results), file_sha256(weights)[:12])
    save_weights(target, model, replace(info, scores=scores))
    return scores


def _main(arguments: list[str]) -> None:
    if len(arguments) != 3:
        sys.exit("Give what memnet benchmark --json wrote, the weights, and the file to write.")
    results, weights, target = (Path(argument) for argument in arguments)
    try:
        scores = record_scores(results, weights, target)
    except MemnetError as error:
        sys.exit(str(error))
    for dataset, levels in scores.items():
        printed = "/".join(f"{pair['psnr']:.3f}" for pair in levels.values())
        sys.stdout.write(f"{dataset} {'/'.join(levels)}: {printed} dB\n")


if __name__ == "__main__":
    _main(sys.argv[1:])

"""Tuning: what is best for known raters, as if they were new; and the spread that the CCC asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np

from _rivals.known import Episode, Known

Predict = Callable[[Episode], np.ndarray]  # of the asked samples
WORTHS = (None, 1.0, 3.0, 10.0, 30.0)  # ratings that the raters' variance is worth; None: predictions keep their spread


def tuned(predict: Callable[..., np.ndarray], grid: Sequence[dict[str, Any]], known: Known) -> Predict:
    """Choose parameters and spread for each number of ratings, by the mean CCC with known raters."""
    best = {size: _best(predict, grid, known, episodes) for size, episodes in known.episodes.items()}

    def chosen(episode: Episode) -> np.ndarray:
        parameters, worth = best[episode.size]
        return spread_out(predict(episode, **parameters), episode, known, worth)

    return chosen


def _best(predict: Any, grid: Sequence[dict[str, Any]], known: Known, episodes: list[Episode]) -> tuple[Any, Any]:
    raw = [[predict(episode, **parameters) for episode in episodes] for parameters in grid]
    scores = {
        (place, worth): _mean_score(
            (spread_out(one, episode, known, worth), episode) for one, episode in zip(raw[place], episodes, strict=True)
        )
        for place, worth in product(range(len(grid)), WORTHS)
    }
    place, worth = max(scores, key=scores.__getitem__)
    return grid[place], worth


def _mean_score(predictions: Iterable[tuple[np.ndarray, Episode]]) -> float:
    return float(np.mean([ccc(episode.truth, predicted[: len(episode.scored)]) for predicted, episode in predictions]))


def ccc(true: np.ndarray, pred: np.ndarray) -> float:
    """Return the concordance of two arrays, 0 if both are constant."""
    shared = 2 * np.mean((true - true.mean()) * (pred - pred.mean()))
    whole = true.var() + pred.var() + (true.mean() - pred.mean()) ** 2
    return float(shared / whole) if whole > 0 else 0.0


def spread_out(predicted: np.ndarray, episode: Episode, known: Known, worth: float | None) -> np.ndarray:
    """Give predictions the deviation that the rater's own ratings, and those of others, make one expect."""
    population = predicted[len(episode.scored) :]
    centre, spread = population.mean(), population.std()
    if worth is None or spread < 1e-9:
        return predicted
    squares = worth * known.variance + ((episode.values - episode.values.mean()) ** 2).sum()
    deviation = np.sqrt(squares / (worth + len(episode.values) - 1))
    return centre + (predicted - centre) * deviation / spread

"""Gradient boosting trained on episodes of known raters."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from _rivals.known import Episode, Known
from _rivals.tuning import Predict, tuned

LEAVES = (3, 8)
N_NEAR = (1, 3)


def boosting(known: Known) -> Predict:
    """Learn on known raters' episodes what statistics of a few ratings say; a rater's own fold is left out for them."""
    episodes = list(known.all_episodes())
    folds = np.unique([episode.sight.fold for episode in episodes])
    models = {
        leaves: {
            left_out: _fit([each for each in episodes if each.sight.fold != left_out], known, leaves)
            for left_out in [-1, *folds]
        }
        for leaves in LEAVES
    }

    def predict(episode: Episode, leaves: int) -> np.ndarray:
        base = _base(episode, known)
        return base + models[leaves][episode.sight.fold].predict(_features(episode, known, base))

    return tuned(predict, [{"leaves": leaves} for leaves in LEAVES], known)


def _fit(episodes: list[Episode], known: Known, leaves: int) -> HistGradientBoostingRegressor:
    """Learn what the ratings have beyond the consensus with the rater's mean."""
    rows, residuals = [], []
    for episode in episodes:
        base, n = _base(episode, known), len(episode.scored)
        rows.append(_features(episode, known, base)[:n])
        residuals.append(episode.truth - base[:n])
    slow = {"max_iter": 60, "learning_rate": 0.05, "min_samples_leaf": 40, "l2_regularization": 10}
    model = HistGradientBoostingRegressor(**slow, max_leaf_nodes=leaves, early_stopping=False, random_state=0)
    return model.fit(np.concatenate(rows), np.concatenate(residuals))


def _base(episode: Episode, known: Known) -> np.ndarray:
    """Return the consensus, with the slope of ratings on it, moved to the rater's mean."""
    n, slope = len(episode.rows), known.slope
    trust = n * known.offset_variance / (n * known.offset_variance + known.variance)
    moved = (episode.values - _sloped(episode, slope, episode.enrolled)).mean() * trust
    return _sloped(episode, slope, episode.predicted) + moved


def _sloped(episode: Episode, slope: float, consensus: np.ndarray) -> np.ndarray:
    return episode.sight.centre + slope * (consensus - episode.sight.centre)


def _features(episode: Episode, known: Known, base: np.ndarray) -> np.ndarray:
    """Return a row for each asked sample: its consensus, the rater's statistics, ratings of near samples."""
    values, enrolled = episode.values, episode.enrolled
    residuals = (values - values.mean()) - known.slope * (enrolled - enrolled.mean())
    both = values.std() * enrolled.std()
    correlation = np.mean((values - values.mean()) * (enrolled - enrolled.mean())) / both if both > 1e-9 else 0.0
    rater = [len(values), values.mean(), values.std(), correlation, values.min(), values.max()]
    sample = [(episode.predicted - episode.sight.centre) / max(episode.sight.spread, 1e-9), base]
    return np.column_stack([*sample, *_near(episode, residuals), np.tile(rater, (len(base), 1))])


def _near(episode: Episode, residuals: np.ndarray) -> list[np.ndarray]:
    """Return mean residuals of the nearest enrolled samples, and how near the nearest is."""
    X, asked = (episode.sight.X[rows] for rows in (episode.rows, episode.asked))
    alike = asked @ X.T / np.outer(np.linalg.norm(asked, axis=1), np.linalg.norm(X, axis=1)).clip(1e-9)
    order = np.argsort(-alike, axis=1)
    means = [residuals[order[:, :n]].mean(axis=1) for n in N_NEAR]
    return [*means, alike.max(axis=1)]

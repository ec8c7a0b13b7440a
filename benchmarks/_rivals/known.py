"""What a rival may know: the source, seen as if each of its raters were new in turn.

An *episode* is one rater with a few ratings and samples to predict. Episodes of known raters are for tuning: their
samples are predicted by a consensus that knows neither these samples nor their rater's fold. Episodes of new raters
look the same, so that a rival serves both alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

N_COMPONENTS = 384  # of the features, so that a rival's arithmetic stays small
N_FOLDS = 4  # of the raters, and of the samples
N_EPISODES = 64  # of known raters, of each size
N_ASKED = 80  # samples that an episode of a known rater is scored on, at most
N_POPULATION = 200  # samples that tell the mean and the spread of predictions
ALPHAS = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)  # samples have length 1 on average


class Table(NamedTuple):
    """Ratings of one output: sample, rater, value."""

    rows: np.ndarray
    codes: np.ndarray
    values: np.ndarray

    def only(self, mask: np.ndarray) -> Table:
        return Table(*(column[mask] for column in self))

    def consensus(self, n_samples: int) -> np.ndarray:
        """Return the mean of each sample, NaN where there is none."""
        counts = np.bincount(self.rows, minlength=n_samples)
        sums = np.bincount(self.rows, self.values, n_samples)
        return np.divide(sums, counts, out=np.full(n_samples, np.nan), where=counts > 0)


@dataclass(frozen=True)
class Sight:
    """Samples as one sees them who does not know a fold of raters."""

    X: np.ndarray
    consensus: np.ndarray  # predicted
    others: Table | None  # ratings of the same samples by raters of other folds
    fold: int  # -1: the new corpus
    population: np.ndarray  # some rows

    @cached_property
    def centre(self) -> float:
        return float(self.consensus[self.population].mean())

    @cached_property
    def spread(self) -> float:
        return float(self.consensus[self.population].std())


@dataclass(frozen=True)
class Episode:
    """A rater's few ratings, and what is asked: first the samples that are scored, then the population."""

    sight: Sight
    size: int
    rows: np.ndarray
    values: np.ndarray
    scored: np.ndarray
    truth: np.ndarray | None = None

    @cached_property
    def asked(self) -> np.ndarray:
        return np.concatenate([self.scored, self.sight.population])

    @property
    def enrolled(self) -> np.ndarray:
        """Consensus of the enrolled samples."""
        return self.sight.consensus[self.rows]

    @property
    def predicted(self) -> np.ndarray:
        """Consensus of the asked samples."""
        return self.sight.consensus[self.asked]


@dataclass(frozen=True)
class Known:
    """The source: episodes of its raters by size, and what raters are like."""

    episodes: dict[int, list[Episode]]
    variance: float  # of a rater's ratings
    offset_variance: float  # of raters' means
    slope: float  # of ratings on the predicted consensus, within raters
    new: Sight

    def all_episodes(self) -> Iterator[Episode]:
        for episodes in self.episodes.values():
            yield from episodes


def components(X: np.ndarray, X_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return principal components of the source's samples, of length 1 on average."""
    pca = PCA(min(N_COMPONENTS, *X.shape), random_state=0).fit(X)
    Z, Z_new = pca.transform(X), pca.transform(X_new)
    scale = np.sqrt((Z**2).sum(axis=1).mean())
    return Z / scale, Z_new / scale


def learn_known(
    X: np.ndarray, table: Table, X_new: np.ndarray, by_known: Table | None, *, groups: Any, sizes: tuple[int, ...]
) -> Known:
    """Learn the consensus, and make episodes of the known raters."""
    rng = np.random.RandomState(0)
    groups = np.arange(len(X)) if groups is None else groups
    parts = list(GroupKFold(N_FOLDS, shuffle=True, random_state=0).split(X, groups=groups))
    alpha = _best_alpha(X, table, parts)
    folds = _folds(table.codes, rng)
    sights = {fold: _known_sight(X, table, folds, fold, alpha, parts, rng) for fold in np.unique(folds)}
    episodes = {size: list(_known_episodes(sights, folds, table, size, rng)) for size in sizes}
    consensus = _fit_predict(X, table.consensus(len(X)), X_new, alpha)
    new = Sight(X_new, consensus, by_known, -1, _some(np.arange(len(X_new)), N_POPULATION, rng))
    return Known(episodes, *_what_raters_are_like(sights, folds, table), new)


def _some(rows: np.ndarray, n: int, rng: np.random.RandomState) -> np.ndarray:
    return rng.permutation(rows)[:n]


def _folds(codes: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Return the fold of each rater."""
    n_raters = int(codes.max()) + 1
    return rng.permutation(n_raters) % min(N_FOLDS, n_raters)


def _fit_predict(X: np.ndarray, y: np.ndarray, X_new: np.ndarray, alpha: float) -> np.ndarray:
    rated = np.isfinite(y)
    return Ridge(alpha).fit(X[rated], y[rated]).predict(X_new)


def _held_out(X: np.ndarray, y: np.ndarray, alpha: float, parts: list[Any]) -> np.ndarray:
    """Predict each part of the samples from the others."""
    predicted = np.empty(len(X))
    for train, test in parts:
        predicted[test] = _fit_predict(X[train], y[train], X[test], alpha)
    return predicted


def _best_alpha(X: np.ndarray, table: Table, parts: list[Any]) -> float:
    y = table.consensus(len(X))
    rated = np.isfinite(y)
    errors = {alpha: np.mean((_held_out(X, y, alpha, parts) - y)[rated] ** 2) for alpha in ALPHAS}
    return min(errors, key=errors.__getitem__)


def _known_sight(
    X: np.ndarray, table: Table, folds: np.ndarray, fold: int, alpha: float, parts: list[Any], rng: Any
) -> Sight:
    others = table.only(folds[table.codes] != fold)
    consensus = _held_out(X, others.consensus(len(X)), alpha, parts)
    return Sight(X, consensus, others, int(fold), _some(np.arange(len(X)), N_POPULATION, rng))


def _known_episodes(
    sights: dict[int, Sight], folds: np.ndarray, table: Table, size: int, rng: np.random.RandomState
) -> Iterator[Episode]:
    """Draw raters, and let each enrol; a third of a rater's ratings at least are scored."""
    raters = np.flatnonzero(np.bincount(table.codes) >= 12)
    for rater in np.resize(rng.permutation(raters), N_EPISODES):
        own = rng.permutation(np.flatnonzero(table.codes == rater))
        n = min(size, 2 * len(own) // 3)
        few, rest = own[:n], own[n : n + N_ASKED]
        sight = sights[folds[rater]]
        rows, values = table.rows, table.values
        yield Episode(sight, size, rows[few], values[few], rows[rest], values[rest])


def _what_raters_are_like(sights: dict[int, Sight], folds: np.ndarray, table: Table) -> tuple[float, float, float]:
    """Return the mean variance of raters, the variance of their means, and the slope on the consensus."""
    predicted = np.empty(len(table.rows))
    for fold, sight in sights.items():
        of_fold = folds[table.codes] == fold
        predicted[of_fold] = sight.consensus[table.rows[of_fold]]
    counts = np.maximum(np.bincount(table.codes), 1)
    values, predicted = (column - _means(column, table.codes)[table.codes] for column in (table.values, predicted))
    variance = float((values**2).mean() * len(values) / max(len(values) - len(counts), 1))
    offsets = max(float(_means(table.values, table.codes)[counts > 1].var() - variance * (1 / counts).mean()), 1e-6)
    return variance, offsets, float((values @ predicted) / (predicted @ predicted))


def _means(column: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.bincount(codes, column) / np.maximum(np.bincount(codes), 1)

"""The crossed model, "content x person x item": what enrollment ratings tell of people, of their corpus and of items.

Everything is normal, and linear in the hidden features, so that a person's expected rating of any sample is one head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sklearn_annoser.mapping._axes import Axes
from sklearn_annoser.mapping._between import MOST
from sklearn_annoser.mapping._prior import Prior, with_one
from sklearn_annoser.ratings import Ratings

__all__ = ["CrossedModel", "Shared"]

CONSENSUS = np.tanh([0.1, 0.2, 0.35, 0.55, 0.85, 1.25, 1.8])  # correlation of the ratings with the consensus
CONSENSUS_DEVIATION = 0.4  # of its Fisher's z from that of the source
SHIFTS = np.array([0.0, 0.03, 0.1, 0.3, 1.0])  # of the ratings' variance: what the corpus has of its own
OWN_ITEMS = 100  # are what a few items count for which nobody else has rated
FEW_ITEMS = 150  # with so many each larger shift is half as probable as the one before; with many, as probable
LEAST_ITEM = 0.02  # of the ratings' variance: what an item has that neither consensus nor content tells
MOST_ITEMS = 2000  # have an effect of their own: those that were rated most often
BLOCK_RATINGS = 4096
NEGLIGIBLE = 1e-3  # probability


@dataclass(frozen=True)
class Shared:
    """What the ratings of all new annotators tell together, for one correlation with the consensus.

    Parameters
    ----------
    correlation : float
        Of ratings with the consensus.
    probability : float
        Of this correlation, given the ratings.
    weights : array, shape (1 + n_content,)
        What all of them have in common, averaged over shifts.
    items : array, shape (n_shared_items,)
        Effects of the items that several of them rated.
    """

    correlation: float
    probability: float
    weights: np.ndarray
    items: np.ndarray


class CrossedModel:
    r"""What ratings of one output by people who enrol together tell of each of them.

    .. math:: y_{ri} = \mu + b s_0\, p(x_i) + \phi(x_i)^\top (u + v_r) + \iota_i + \varepsilon_{ri}

    with the consensus :math:`p`, the axes :math:`\phi`, what all have in common :math:`u`, a person's own part
    :math:`v_r`, an effect of the item :math:`\iota_i` and noise. The variance of ratings, :math:`s_0^2`, is made up of
    the consensus, :math:`b^2`; of the item, what annotators have in common in the source beyond that; and of noise.
    The correlation `b` and the variance of the content in `u` are averaged over a few values by their evidence.

    Parameters
    ----------
    axes : Axes
        Where people and corpora may differ.
    hidden : array, shape (n_samples, n_hidden)
        Hidden features of the enrollment samples.
    ratings : Ratings
        Enrollment ratings of the samples.
    prior : Prior
        What is known of samples and annotators.
    output : int
        Which output it is.

    References
    ----------
    S. R. Searle, G. Casella and C. E. McCulloch, "Variance Components", Wiley, 1992, chapter 7,
    https://doi.org/10.1002/9780470316856
    """

    def __init__(self, axes: Axes, hidden: np.ndarray, ratings: Ratings, prior: Prior, output: int) -> None:
        self.axes, self.prior, self.output = axes, prior, output
        given = np.flatnonzero(np.isfinite(ratings.values[:, output]))
        self.given = given = given[np.argsort(ratings.codes[given], kind="stable")]
        self.codes, self.values = ratings.codes[given], ratings.values[given, output].astype(np.float64)
        self.n_annotators = ratings.n_annotators
        rows, item = np.unique(ratings.rows[given], return_inverse=True)
        seen = with_one(hidden[rows].astype(np.float64))
        self.consensus = (seen @ axes.consensus)[item]
        self.features = (seen @ axes.directions)[item]  # (n_ratings, n_axes)
        self.n_items = len(rows)
        counts = np.bincount(item, minlength=self.n_items)
        several = np.flatnonzero(counts > 1)
        several = several[np.argsort(-counts[several], kind="stable")][:MOST_ITEMS]
        self.n_shared_items = len(several)
        place = np.full(self.n_items, -1)
        place[several] = np.arange(len(several))
        self.item = place[item]  # of each rating, -1 if nobody else rated it
        self.own = axes.own_variances(prior, output)

    def variances(self, correlation: float) -> tuple[float, float]:
        """Return the variance of items and of noise, if ratings have some correlation with the consensus."""
        total, left = self.prior.variance[self.output], 1 - correlation**2
        share = min(max(self.prior.common[self.output] - correlation**2, LEAST_ITEM), 0.9 * left)
        return share * total, (left - share) * total

    def residuals(self, correlation: float) -> np.ndarray:
        """Return what the consensus leaves of the ratings, (n_ratings,)."""
        slope = correlation * np.sqrt(self.prior.variance[self.output])
        return self.values - self.axes.mean - slope * self.consensus

    def told(self) -> tuple[list[Told], np.ndarray]:
        """Return what the ratings tell for each correlation, and the probability of each with each shift."""
        z = np.arctanh(np.clip(self.prior.correlation[self.output], -MOST, MOST))
        steps = np.arange(len(SHIFTS)) * np.log(2) * self.doubt()
        told = [Told(self, correlation) for correlation in CONSENSUS]
        evidence = np.array([[evidence for evidence, _ in each.solved] for each in told])
        evidence -= 0.5 * ((np.arctanh(CONSENSUS) - z) / CONSENSUS_DEVIATION)[:, None] ** 2 + steps
        probability = np.exp(evidence - evidence.max())
        return told, probability / probability.sum()

    def doubt(self) -> float:
        """Return the number of times that each larger shift is half as probable as the one before, for few items.

        What several people see in a few items may be these items' alone. Where each has rated items of their own, there
        is no more to doubt than with `OWN_ITEMS` of them.
        """
        doubt, least = FEW_ITEMS / max(self.n_items, 1), FEW_ITEMS / OWN_ITEMS
        together = np.mean(self.item >= 0) if len(self.item) else 0.0
        return float(min(doubt, least + together * (doubt - least)))

    def shared(self) -> list[Shared]:
        """Return what all have in common, for each correlation with the consensus."""
        shared = []
        for told, chances in zip(*self.told(), strict=True):
            if chances.sum() > NEGLIGIBLE:
                mean = chances @ np.array([weights for _, weights in told.solved]) / chances.sum()
                shared.append(Shared(told.correlation, float(chances.sum()), mean, told.items(mean)))
        return shared

    def heads(self) -> np.ndarray:
        """Return the expected head of each annotator, (n_annotators, n_hidden + 1)."""
        n_shared = 1 + self.axes.n_content
        weights = np.zeros((self.n_annotators, self.axes.directions.shape[1]))
        slope, total = 0.0, 0.0
        for each in self.shared():
            left = self.residuals(each.correlation) - self.features[:, :n_shared] @ each.weights
            left -= np.append(each.items, 0.0)[self.item]  # -1 is the last: no effect
            weights[:, :n_shared] += each.probability * each.weights
            for annotators, places, inverse in self.blocks(each.correlation):
                pulled = inverse.times(left[places][:, :, None])
                own = self.own * (np.swapaxes(self.features[places], 1, 2) @ pulled)[:, :, 0]
                weights[annotators] += each.probability * own
            slope += each.probability * each.correlation
            total += each.probability
        slope *= np.sqrt(self.prior.variance[self.output])
        heads = (slope * self.axes.consensus + weights @ self.axes.directions.T) / total
        heads[:, -1] += self.axes.mean
        return np.asarray(heads)

    def blocks(self, correlation: float) -> Iterator[tuple[np.ndarray, np.ndarray, Inverse]]:
        """Walk over annotators with equally many ratings, (n_block,), and these, (n_block, n)."""
        of_item, noise = self.variances(correlation)
        diagonal = noise + np.where(self.item >= 0, 0.0, of_item)  # what only one person rated is as good as noise
        counts = np.bincount(self.codes, minlength=self.n_annotators)
        starts = counts.cumsum() - counts
        for n in np.unique(counts[counts > 0]):
            annotators = np.flatnonzero(counts == n)
            size = max(BLOCK_RATINGS // n, 1)
            for start in range(0, len(annotators), size):
                block = annotators[start : start + size]
                places = starts[block][:, None] + np.arange(n)
                yield block, places, Inverse(self.features[places] * np.sqrt(self.own), diagonal[places])


class Inverse:
    r"""Inverse of the covariance of each person's ratings, :math:`D + F F^\top`, for persons with equally many.

    Parameters
    ----------
    features : array, shape (n_block, n, n_axes)
        Features of standard normal weights.
    diagonal : array, shape (n_block, n)
        Variances of what each rating has alone.
    """

    def __init__(self, features: np.ndarray, diagonal: np.ndarray) -> None:
        n, n_axes = features.shape[1:]
        self.diagonal, transposed = diagonal, np.swapaxes(features, 1, 2)
        if n <= n_axes:
            covariance = features @ transposed
            covariance[:, np.arange(n), np.arange(n)] += diagonal
            self.log_determinant = np.linalg.slogdet(covariance)[1].sum()
            self.whole: np.ndarray | None = np.linalg.inv(covariance)
        else:  # so many ratings tell no more than as many sums of them as there are axes
            scaled = features / diagonal[:, :, None]
            inner = np.eye(n_axes) + transposed @ scaled
            self.log_determinant = np.linalg.slogdet(inner)[1].sum() + np.log(diagonal).sum()
            self.whole = None
            self.factor = scaled @ np.linalg.inv(np.swapaxes(np.linalg.cholesky(inner), 1, 2))

    def times(self, columns: np.ndarray) -> np.ndarray:
        """Multiply (n_block, n, n_columns)."""
        if self.whole is not None:
            return np.asarray(self.whole @ columns)
        return columns / self.diagonal[:, :, None] - self.factor @ (np.swapaxes(self.factor, 1, 2) @ columns)

    def diagonal_of_all(self) -> np.ndarray:
        """Return the diagonals, (n_block, n)."""
        if self.whole is not None:
            return np.diagonal(self.whole, axis1=1, axis2=2)
        return np.asarray(1 / self.diagonal - (self.factor**2).sum(axis=2))

    def among(self, person: int, some: np.ndarray) -> np.ndarray:
        """Return the part of one person's inverse that is of some ratings."""
        if self.whole is not None:
            return np.asarray(self.whole[person][np.ix_(some, some)])
        factor = self.factor[person, some]
        return np.diag(1 / self.diagonal[person, some]) - factor @ factor.T


class Told:
    """What all ratings tell of what people have in common, and of items, for one correlation with the consensus."""

    def __init__(self, model: CrossedModel, correlation: float) -> None:
        self.correlation = float(correlation)
        self.n_shared, n_items = 1 + model.axes.n_content, model.n_shared_items
        left = model.residuals(correlation)
        self.precision = np.zeros((self.n_shared, self.n_shared))
        self.pull = np.zeros(self.n_shared)
        crossed, pull = np.zeros((n_items + 1, self.n_shared)), np.zeros(n_items + 1)
        among = np.zeros((n_items, n_items))
        self.evidence = 0.0
        for _, places, inverse in model.blocks(correlation):
            features, residual = model.features[places][:, :, : self.n_shared], left[places][:, :, None]
            solved = inverse.times(np.concatenate([features, residual], axis=2))
            flat, solved_flat = features.reshape(-1, self.n_shared), solved.reshape(-1, self.n_shared + 1)
            self.precision += flat.T @ solved_flat[:, :-1]
            self.pull += flat.T @ solved_flat[:, -1]
            self.evidence -= 0.5 * (residual.ravel() @ solved_flat[:, -1] + inverse.log_determinant)
            item = model.item[places]
            np.add.at(crossed, item.ravel(), solved_flat[:, :-1])  # -1 is the last, which is nobody's
            np.add.at(pull, item.ravel(), solved_flat[:, -1])
            for person, mine in enumerate(item):
                some = np.flatnonzero(mine >= 0)
                among[np.ix_(mine[some], mine[some])] += inverse.among(person, some)
        self.crossed, self.item_pull = crossed[:-1], pull[:-1]
        if n_items:
            self._take_items_out(among, model.variances(correlation)[0])
        self.variances = [model.axes.shared_variances(model.prior, model.output, shift) for shift in SHIFTS]
        self.solved = [self.solve(variances) for variances in self.variances]  # for each shift

    def _take_items_out(self, among: np.ndarray, variance: float) -> None:
        """Let the effects of items, whose precision from the ratings is given, explain what they can."""
        n = len(among)
        among[np.arange(n), np.arange(n)] += 1 / variance
        self.item_factor = factor = cho_factor(among, lower=True, overwrite_a=True)
        self.response = cho_solve(factor, np.column_stack([self.crossed, self.item_pull]))  # (n_items, n_shared + 1)
        self.precision = self.precision - self.crossed.T @ self.response[:, :-1]
        self.evidence += 0.5 * self.item_pull @ self.response[:, -1] - 0.5 * n * np.log(variance)
        self.evidence -= np.log(np.diag(factor[0])).sum()
        self.pull = self.pull - self.crossed.T @ self.response[:, -1]

    def solve(self, variances: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the evidence and the expected weights, if they have some variances before."""
        root = np.sqrt(variances)
        factor = cho_factor(np.eye(self.n_shared) + root[:, None] * self.precision * root, lower=True)
        pull = root * self.pull
        solved = cho_solve(factor, pull)
        return self.evidence + 0.5 * pull @ solved - np.log(np.diag(factor[0])).sum(), root * solved

    def covariance(self, variances: np.ndarray) -> np.ndarray:
        """Return what is not known of the weights."""
        root = np.sqrt(variances)
        precision = np.eye(self.n_shared) + root[:, None] * self.precision * root
        return np.asarray(root[:, None] * np.linalg.inv(precision) * root)

    def items(self, weights: np.ndarray) -> np.ndarray:
        """Return the expected effects of items, (n_shared_items,), given the weights."""
        if not len(self.crossed):
            return np.zeros(0)
        return np.asarray(self.response[:, -1] - self.response[:, :-1] @ weights)

"""The blend of version 0.1.0, to compare with: near the mean of all heads or near one of them, each person alone."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping import Known, Prior
from sklearn_annoser.mapping._prior import with_one
from sklearn_annoser.mapping.strategies import STRATEGIES, Strategy
from sklearn_annoser.ratings import Ratings, ratings_by_annotator

NEGLIGIBLE = 1e-10  # probability of a known head, beside that of the likeliest
OWN_SHARE = 0.3  # of the variance between known heads: what a new head may have of its own
NEAR_SHARE = 0.3  # of that covariance, around a known head
LEAST_SHARE = 0.05  # of the variance of ratings: what heads differ by at least, if there are too few to tell
NOISE_SHARES = np.array([0.25, 0.5, 1.0])  # of the variance of ratings: what no head explains


class FormerBlend(Strategy):
    """The head that all known heads and a person's own ratings make one expect."""

    ranks = False
    moves_mean = True

    def combine(self, known: Known, chosen: np.ndarray | None, hidden: np.ndarray, ratings: Ratings) -> np.ndarray:
        """Return the blended heads."""
        return former_blend(hidden, known.heads, ratings, known.needed_prior)


def former_blend(hidden: np.ndarray, heads: np.ndarray, ratings: Ratings, prior: Prior) -> np.ndarray:
    """Return the blended heads, (n_targets, n_outputs, n_hidden + 1)."""
    everyone = heads.mean(axis=0, dtype=np.float64)
    blended = np.repeat(everyone[None], ratings.n_annotators, axis=0)
    known = [Centres(heads[:, output], everyone[output], prior, output) for output in range(heads.shape[1])]
    for target, mine in enumerate(ratings_by_annotator(ratings)):
        given = np.isfinite(ratings.values[mine])
        told = [
            known[output].told_by(hidden[ratings.rows[mine[own]], output], ratings.values[mine[own], output])
            for output, own in enumerate(given.T)
            if own.any()
        ]
        if told:
            likely = known[0].log_prior + sum(np.logaddexp.reduce(one.evidence, axis=0) for one in told)
            likely = np.exp(likely - likely.max())
            some = np.flatnonzero(likely > NEGLIGIBLE)
            likely = likely[some] / likely[some].sum()
            moved = iter(told)
            for output, own in enumerate(given.T):
                blended[target, output] = likely @ known[output].centres[some]
                if own.any():
                    blended[target, output] += known[output].factor @ next(moved).expected(likely, some)
    return blended


class Centres:
    """What a new head may be near to, for one output: the mean of all heads, and each of them."""

    def __init__(self, heads: np.ndarray, everyone: np.ndarray, prior: Prior, output: int) -> None:
        self.centres = np.concatenate([everyone[None].astype(heads.dtype), heads])  # (1 + n_heads, n_hidden + 1)
        self.log_prior = np.log(np.append([0.5], np.full(len(heads), 0.5 / len(heads))))
        self.factor = _prior_factor(heads, everyone, prior, output)
        self.noises = NOISE_SHARES * prior.variance[output]

    def told_by(self, hidden: np.ndarray, values: np.ndarray) -> Told:
        """Return what one annotator's ratings tell."""
        seen, values = with_one(hidden.astype(np.float64)), values.astype(np.float64)
        n, beyond = len(values), 0.0
        if n > seen.shape[1]:  # so many ratings tell no more than as many sums of them as there are weights
            basis, seen = np.linalg.qr(seen)
            total, values = values @ values, basis.T @ values
            beyond = max(total - values @ values, 0.0)
        predicted = seen.astype(self.centres.dtype) @ self.centres.T  # (n_ratings, 1 + n_heads)
        return Told(seen @ self.factor, values.astype(predicted.dtype)[:, None] - predicted, self.noises, n, beyond)


class Told:
    """What one annotator's ratings of one output tell of each centre and noise."""

    def __init__(self, features: np.ndarray, residuals: np.ndarray, noises: np.ndarray, n: int, beyond: float) -> None:
        self.features = features  # (n_ratings, n_hidden + 1), of standard normal weights
        explained, self.axes = np.linalg.eigh(features @ features.T)
        self.rotated = self.axes.T.astype(residuals.dtype) @ residuals  # (n_ratings, 1 + n_heads)
        # The mean of all leaves room for the whole covariance, each head for a part of it.
        shares = np.array([1.0, NEAR_SHARE])[:, None]
        self.variances = shares * np.maximum(explained, 0) + noises[:, None, None]  # (n_noises, 2, n_ratings)
        unseen = (n - len(explained)) * np.log(noises) + beyond / noises
        extent = np.log(self.variances).sum(axis=2) + unseen[:, None]
        fit = (1 / self.variances).astype(residuals.dtype) @ self.rotated**2  # (n_noises, 2, 1 + n_heads)
        self.evidence = -0.5 * (fit[:, 1] + extent[:, 1:])
        self.evidence[:, 0] = -0.5 * (fit[:, 0, 0] + extent[:, 0])

    def expected(self, likely: np.ndarray, some: np.ndarray) -> np.ndarray:
        """Return the weights of the features, averaged over noises, and over some centres with their probabilities."""
        probability = np.exp(self.evidence[:, some] - self.evidence[:, some].max(axis=0))
        probability *= likely / probability.sum(axis=0)
        everyone = some == 0  # of whom the whole covariance is left
        pulled = np.zeros(len(self.features))
        for row, (whole, near) in zip(probability, self.variances, strict=True):
            weighted = self.rotated[:, some] * row
            pulled += weighted[:, everyone].sum(axis=1) / whole
            pulled += NEAR_SHARE * weighted[:, ~everyone].sum(axis=1) / near
        return self.features.T @ (self.axes @ pulled)


def _prior_factor(heads: np.ndarray, mean_head: np.ndarray, prior: Prior, output: int) -> np.ndarray:
    """Return a factor L, (n_hidden + 1, n_hidden + 1), of the covariance L L' that a new head is expected to have."""
    mean, second = prior.mean[output, :-1], prior.second[output]
    deviation = heads - mean_head.astype(heads.dtype)
    covariance = (deviation.T @ deviation).astype(np.float64) / len(heads)
    # What the known heads differ by in their predictions, over the samples.
    between = max((covariance * second).sum(), LEAST_SHARE * prior.variance[output])
    total = max(np.trace(second) - 1 - mean @ mean, np.finfo(np.float32).tiny)  # variance of all hidden features
    own = OWN_SHARE * between / total
    # Its own part is of the centred hidden features, so that it leaves the mean of the predictions alone.
    centring = np.vstack([np.eye(len(mean)), -mean])  # (n_hidden + 1, n_hidden)
    covariance += own * (centring @ centring.T)
    covariance[-1, -1] += prior.offset_variance[output]
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


STRATEGIES["former blend"] = FormerBlend

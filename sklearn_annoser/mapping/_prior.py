"""What a source corpus makes one expect of the samples and annotators of another, before anyone has rated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sklearn_annoser.mapping._between import likely_deviations
from sklearn_annoser.metrics._within import within_correlation
from sklearn_annoser.ratings import Ratings, centred, rated_outputs

__all__ = ["Prior", "learn_prior"]

ENOUGH_RATINGS = 10  # of a known annotator, to tell their mean and spread
DOUBT = 2  # the number of known annotators that the two guesses below count for
SPREAD_VARIANCE = 0.04  # of the logarithm of a deviation: annotators differ by a fifth
OFFSET_SHARE = 0.1  # of the variance of ratings: what annotators' means differ by
OWN_CONTENT = 0.04  # of the variance of ratings: what an annotator has of their own on the content, as a guess
SOURCE_SAMPLES = 30  # the number of target samples that the source's count for, where the two corpora differ


@dataclass(frozen=True, slots=True)
class Prior:
    """What a source corpus tells of the utterances and annotators of another, on the scale of the ratings.

    Parameters
    ----------
    mean : array, shape (n_outputs, n_hidden + 1)
        Mean of the hidden features, and of a constant 1, over the samples.
    second : array, shape (n_outputs, n_hidden + 1, n_hidden + 1)
        Mean of their outer products.
    variance : array, shape (n_outputs,)
        Variance of an annotator's ratings.
    n_worth : array, shape (n_outputs,)
        The number of ratings that this variance is worth: large if all annotators have the same.
    offset_variance : array, shape (n_outputs,)
        Variance over annotators of their mean rating.
    correlation : array, shape (n_outputs,)
        Correlation of an annotator's ratings with the mean of all heads.
    common : array, shape (n_outputs,)
        Share of that variance which annotators have in common on a sample: their mean correlation with each other.
    deviations : array, shape (n_outputs, n_deviations)
        How probable it is that annotators differ by each of some deviations in Fisher's z of that correlation.
    own_content : array, shape (n_outputs,)
        Share of that variance which is each annotator's own, and linear in what a sample is like.
    individual_share : float, default=1.0
        Share of the known heads that is of their annotators alone; the rest was learned from the consensus.
    n_content : int, default=0
        How many of the hidden features, the last ones, are principal components of the network's input.
    """

    mean: np.ndarray
    second: np.ndarray
    variance: np.ndarray
    n_worth: np.ndarray
    offset_variance: np.ndarray
    correlation: np.ndarray
    common: np.ndarray
    deviations: np.ndarray
    own_content: np.ndarray
    individual_share: float = 1.0
    n_content: int = 0

    def with_samples(self, blocks: Iterable[np.ndarray]) -> Prior:
        """Return the prior for a corpus of which some samples have been seen, rated or not.

        Parameters
        ----------
        blocks : iterable of arrays, shape (n_block, n_outputs, n_hidden)
            Their hidden features.

        Returns
        -------
        Prior
        """
        n_samples, mean, second = _hidden_moments(blocks)
        share = n_samples / (n_samples + SOURCE_SAMPLES)
        return replace(
            self,
            mean=share * mean + (1 - share) * self.mean,
            second=(share * second + (1 - share) * self.second).astype(self.second.dtype, copy=False),
        )

    def light(self) -> Prior:
        """Return the same in half the memory, for the wide hidden features of several networks."""
        return replace(self, second=self.second.astype(np.float32))


def learn_prior(
    blocks: Iterable[np.ndarray],
    head: np.ndarray,
    unseen: Ratings,
    ratings: Ratings,
    *,
    predicted: np.ndarray | None = None,
    n_content: int = 0,
) -> Prior:
    """Learn from a source corpus what to expect of samples and annotators that are not in it.

    Parameters
    ----------
    blocks : iterable of arrays, shape (n_block, n_outputs, n_hidden)
        Hidden features of samples, best of some that the network was not trained on.
    head : array, shape (n_outputs, n_hidden + 1)
        Mean of the known heads, the bias last.
    unseen : Ratings
        Ratings of the samples of `blocks`.
    ratings : Ratings
        Ratings of the source corpus.
    predicted : array, shape (n_samples, n_outputs), default=None
        Predictions of the samples of `blocks` that are to be compared with their ratings. None: those of `head`.
    n_content : int, default=0
        How many of the hidden features, the last ones, are principal components of the network's input.

    Returns
    -------
    Prior
    """
    by_head = []

    def watched() -> Iterator[np.ndarray]:
        for hidden in blocks:
            by_head.append(np.einsum("noh,oh->no", hidden, head[:, :-1]) + head[:, -1])
            yield hidden

    _, mean, second = _hidden_moments(watched())
    told = [_rating_variances(*given) for given in rated_outputs(ratings)]
    variance, n_worth, offset_variance = np.array(told).T
    predicted = np.concatenate(by_head) if predicted is None else predicted
    within = within_correlation(predicted[unseen.rows], unseen)
    deviations = likely_deviations(predicted[unseen.rows], unseen)
    common = np.array([_common_share(ratings, output, variance[output]) for output in range(len(variance))])
    # Without two ratings of a sample nothing is known to be in common but what the heads predict.
    common = np.where(np.isnan(common), within**2, common)
    own_content = np.full(len(variance), OWN_CONTENT)
    expected = (variance, n_worth, offset_variance, within, common, deviations, own_content)
    return Prior(mean, second, *expected, n_content=n_content)


def _hidden_moments(blocks: Iterable[np.ndarray]) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of samples, and the mean of hidden features and 1, and of their outer products."""
    n_samples, total = 0, np.zeros(())
    for hidden in blocks:
        n_samples += len(hidden)
        seen = (with_one(hidden[:, output]) for output in range(hidden.shape[1]))  # one by one: a block may be large
        total = total + np.array([each.T @ each for each in seen], dtype=np.float64)
    second = total / n_samples
    return n_samples, second[:, -1], second  # the products with the constant 1 are the mean


def with_one(hidden: np.ndarray) -> np.ndarray:
    """Return hidden features with a constant 1 behind, which the bias is the weight of."""
    return np.concatenate([hidden, np.ones((*hidden.shape[:-1], 1), dtype=hidden.dtype)], axis=-1)


def _rating_variances(codes: np.ndarray, values: np.ndarray, n_annotators: int) -> tuple[float, float, float]:
    """Return the variance of an annotator's ratings, what it is worth, and the variance of their mean."""
    n = np.bincount(codes, minlength=n_annotators)
    mean = np.bincount(codes, values, n_annotators) / np.maximum(n, 1)
    squares = np.bincount(codes, centred(values, codes) ** 2, n_annotators)
    pooled = squares.sum() / max((n - 1)[n > 1].sum(), 1)
    if not pooled > 0:  # one rating each, or equal ones: all there is to go by is how they differ between annotators
        pooled = np.mean(centred(values, np.zeros_like(codes)) ** 2) or 1.0
    known = (n >= ENOUGH_RATINGS) & (squares > 0)
    n, mean, own = n[known], mean[known], squares[known] / (n[known] - 1)
    # What they differ by, less what they would differ by if they were all alike.
    between_log = _variance(np.log(own) / 2) - float(np.mean(1 / (2 * (n - 1)))) if len(n) > 1 else 0.0
    between_mean = _variance(mean) - float(np.mean(own / n)) if len(n) > 1 else 0.0
    trust = max(len(n) - 1, 0) / (max(len(n) - 1, 0) + DOUBT)
    spread_variance = trust * max(between_log, 0) + (1 - trust) * SPREAD_VARIANCE
    offset_variance = trust * max(between_mean, 0) + (1 - trust) * OFFSET_SHARE * pooled
    return float(pooled), 1 / (2 * spread_variance), float(offset_variance)


def _common_share(ratings: Ratings, output: int, variance: float) -> float:
    """Return the mean product of two annotators' centred ratings of a sample, as a share of their variance."""
    given = np.isfinite(ratings.values[:, output])
    rows = ratings.rows[given]
    values = centred(ratings.values[given, output].astype(np.float64), ratings.codes[given])
    n = np.bincount(rows, minlength=ratings.n_samples)
    total, squares = (np.bincount(rows, each, ratings.n_samples) for each in (values, values**2))
    n_pairs = float((n * (n - 1)).sum())
    return float(np.clip((total**2 - squares).sum() / n_pairs / variance, 0, 1)) if n_pairs else np.nan


def _variance(values: np.ndarray) -> float:
    """Return the unbiased variance."""
    return float(np.var(values, ddof=1))

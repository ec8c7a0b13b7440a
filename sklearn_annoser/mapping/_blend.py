"""Blending: a new annotator's head as a compromise between what is known of annotators and what they have shown.

Before a new annotator has rated anything, their head is expected to be the mean of the known heads, give or take what
the known heads differ by. Their ratings move it from there; and the spread of its predictions is brought to that which
the annotator's ratings are expected to have, given those seen and those of the known annotators.

Shapes: ``hidden`` (n_samples, n_outputs, n_hidden), ``heads`` (n_heads, n_outputs, n_hidden + 1) with the bias last,
and new annotators ("targets") as `Ratings` of the samples of ``hidden``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sklearn_annoser.ratings import Ratings, centred

__all__ = [
    "Prior",
    "blend_heads",
    "calibrate_heads",
    "count_by_output",
    "learn_prior",
    "tune_heads",
    "within_correlation",
]

ENOUGH_RATINGS = 10  # of a known annotator, to tell their mean and spread
DOUBT = 2  # the number of known annotators that the two guesses below count for
SPREAD_VARIANCE = 0.04  # of the logarithm of a deviation: annotators differ by a fifth
OFFSET_SHARE = 0.1  # of the variance of ratings: what annotators' means differ by
SOURCE_SAMPLES = 30  # the number of target samples that the source's count for, where the two corpora differ
OWN_SHARE = 0.3  # of the variance between known heads: what a new head may have of its own
NEAR_SHARE = 0.3  # of that covariance, around a known head
NEGLIGIBLE = 1e-10  # probability of a known head, beside that of the likeliest
LEAST_SHARE = 0.05  # of the variance of ratings: what heads differ by at least, if there are too few to tell
NOISE_SHARES = np.array([0.25, 0.5, 1.0])  # of the variance of ratings: what no head explains


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
    """

    mean: np.ndarray
    second: np.ndarray
    variance: np.ndarray
    n_worth: np.ndarray
    offset_variance: np.ndarray
    correlation: np.ndarray

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
            second=share * second + (1 - share) * self.second,
        )


def learn_prior(blocks: Iterable[np.ndarray], head: np.ndarray, unseen: Ratings, ratings: Ratings) -> Prior:
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

    Returns
    -------
    Prior
    """
    predicted = []

    def watched() -> Iterator[np.ndarray]:
        for hidden in blocks:
            predicted.append(np.einsum("noh,oh->no", hidden, head[:, :-1]) + head[:, -1])
            yield hidden

    _, mean, second = _hidden_moments(watched())
    told = [_rating_variances(*given) for given in _by_output(ratings)]
    variance, n_worth, offset_variance = np.array(told).T
    within = within_correlation(np.concatenate(predicted)[unseen.rows], unseen)
    return Prior(mean, second, variance, n_worth, offset_variance, within)


def within_correlation(predicted: np.ndarray, ratings: Ratings) -> np.ndarray:
    """Return the correlation of ratings and predictions around each annotator's means, all annotators together.

    Parameters
    ----------
    predicted : array, shape (n_ratings, n_outputs)
        Predictions of the ratings.
    ratings : Ratings
        The ratings; an output may be missing.

    Returns
    -------
    array, shape (n_outputs,)
        -1 to 1, higher is better; 0 where no annotator's ratings or predictions differ.
    """
    found = np.zeros(ratings.n_outputs)
    for output, (codes, values, _) in enumerate(_by_output(ratings)):
        given = np.isfinite(ratings.values[:, output])
        pairs = np.stack([centred(values, codes), centred(predicted[given, output].astype(np.float64), codes)])
        products = pairs @ pairs.T
        if products[0, 0] > 0 and products[1, 1] > 0:
            found[output] = products[0, 1] / np.sqrt(products[0, 0] * products[1, 1])
    return found


def _hidden_moments(blocks: Iterable[np.ndarray]) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of samples, and the mean of hidden features and 1, and of their outer products."""
    n_samples, total = 0, np.float64(0)
    for hidden in blocks:
        with_one = _with_one(hidden).transpose(1, 0, 2)  # (n_outputs, n_block, n_hidden + 1)
        n_samples += len(hidden)
        total = total + (with_one.transpose(0, 2, 1) @ with_one).astype(np.float64)
    second = np.asarray(total) / n_samples
    return n_samples, second[:, -1], second  # the products with the constant 1 are the mean


def _with_one(hidden: np.ndarray) -> np.ndarray:
    """Return hidden features with a constant 1 behind, which the bias is the weight of."""
    return np.concatenate([hidden, np.ones((*hidden.shape[:-1], 1), dtype=hidden.dtype)], axis=-1)


def _by_output(ratings: Ratings) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Walk over the outputs' ratings: who rated, what, and the number of annotators."""
    for values in ratings.values.T.astype(np.float64):
        given = np.isfinite(values)
        yield ratings.codes[given], values[given], ratings.n_annotators


def count_by_output(ratings: Ratings) -> np.ndarray:
    """Count each annotator's ratings of each output.

    Parameters
    ----------
    ratings : Ratings
        Ratings, NaN where an output was not rated.

    Returns
    -------
    array of int, shape (n_annotators, n_outputs)
    """
    counted = [np.bincount(codes, minlength=n) for codes, _, n in _by_output(ratings)]
    return np.stack(counted, axis=1)


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


def _variance(values: np.ndarray) -> float:
    """Return the unbiased variance."""
    return float(np.var(values, ddof=1))


def blend_heads(hidden: np.ndarray, heads: np.ndarray, ratings: Ratings, prior: Prior) -> np.ndarray:
    r"""Blend what is known of all heads with what each new annotator has shown.

    A new annotator is either somebody of their own or much like one of the known annotators, each with probability a
    half. Somebody of their own has a head :math:`w \sim N(m, V)` around the mean :math:`m` of the known heads; `V` is
    their covariance, and a variance in every direction of the hidden features and of the bias besides. Somebody like
    annotator :math:`a` has :math:`w \sim N(w_a, 0.3 V)`. With ratings :math:`y = H w + \varepsilon`,
    :math:`\varepsilon \sim N(0, \sigma^2)`, a head around :math:`c` with covariance `C` is expected to be

    .. math:: c + C H^\top (H C H^\top + \sigma^2 I)^{-1} (y - H c),

    a ridge regression around `c`. All of these, and a few variances :math:`\sigma^2`, are averaged with the
    probabilities that the ratings give them, those of all outputs together: the evidence
    :math:`N(y; H c, H C H^\top + \sigma^2 I)` times the probability before.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators, the bias last.
    ratings : Ratings
        Enrollment ratings of the samples.
    prior : Prior
        What is known of samples and annotators.

    Returns
    -------
    array of float64, shape (n_targets, n_outputs, n_hidden + 1)
        The mean of all heads for a target without ratings.

    References
    ----------
    C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, chapters 2.1
    and 5.4, https://gaussianprocess.org/gpml
    """
    everyone = heads.mean(axis=0, dtype=np.float64)
    blended = np.repeat(everyone[None], ratings.n_annotators, axis=0)
    known = [_Known(heads[:, output], everyone[output], prior, output) for output in range(heads.shape[1])]
    order = np.argsort(ratings.codes, kind="stable")
    ends = np.bincount(ratings.codes, minlength=ratings.n_annotators).cumsum()
    for target, mine in enumerate(np.split(order, ends[:-1])):
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


def tune_heads(hidden: np.ndarray, start: np.ndarray, heads: np.ndarray, ratings: Ratings, prior: Prior) -> np.ndarray:
    r"""Move each new annotator's head from where it starts to where their ratings make one expect it.

    The head is :math:`w \sim N(c, V)` around its start :math:`c`, with the covariance `V` of :func:`blend_heads`, and
    is expected, given the ratings, to be

    .. math:: c + V H^\top (H V H^\top + \sigma^2 I)^{-1} (y - H c),

    averaged over a few variances :math:`\sigma^2` by their evidence: a ridge regression around the start.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    start : array, shape (n_targets, n_outputs, n_hidden + 1)
        A head for each new annotator, the bias last.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators.
    ratings : Ratings
        Enrollment ratings of the samples; an output may be missing.
    prior : Prior
        What is known of samples and annotators.

    Returns
    -------
    array of float64, shape (n_targets, n_outputs, n_hidden + 1)
    """
    tuned = start.astype(np.float64)
    everyone = heads.mean(axis=0, dtype=np.float64)
    for output in range(heads.shape[1]):
        known = _Known(heads[:, output], everyone[output], prior, output)
        given = np.flatnonzero(np.isfinite(ratings.values[:, output]))
        for target in np.unique(ratings.codes[given]):
            mine = given[ratings.codes[given] == target]
            known.centres = start[target, output][None]
            told = known.told_by(hidden[ratings.rows[mine], output], ratings.values[mine, output])
            tuned[target, output] += known.factor @ told.expected(np.ones(1), np.zeros(1, dtype=int))
    return tuned


class _Known:
    """What a new head may be near to, for one output: the mean of all heads, and each of them."""

    def __init__(self, heads: np.ndarray, everyone: np.ndarray, prior: Prior, output: int) -> None:
        self.centres = np.concatenate([everyone[None].astype(heads.dtype), heads])  # (1 + n_heads, n_hidden + 1)
        self.log_prior = np.log(np.append([0.5], np.full(len(heads), 0.5 / len(heads))))
        self.factor = _prior_factor(heads, everyone, prior, output)
        self.noises = NOISE_SHARES * prior.variance[output]

    def told_by(self, hidden: np.ndarray, values: np.ndarray) -> _Told:
        """Return what one annotator's ratings tell."""
        seen, values = _with_one(hidden.astype(np.float64)), values.astype(np.float64)
        n, beyond = len(values), 0.0
        if n > seen.shape[1]:  # so many ratings tell no more than as many sums of them as there are weights
            basis, seen = np.linalg.qr(seen)
            total, values = values @ values, basis.T @ values
            beyond = max(total - values @ values, 0.0)
        predicted = seen.astype(self.centres.dtype) @ self.centres.T  # (n_ratings, 1 + n_heads)
        return _Told(seen @ self.factor, values.astype(predicted.dtype)[:, None] - predicted, self.noises, n, beyond)


class _Told:
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


def calibrate_heads(
    hidden: np.ndarray, heads: np.ndarray, ratings: Ratings, prior: Prior, *, with_offset: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    r"""Find a slope and an offset that give each new annotator's predictions the mean and spread of their ratings.

    The CCC of predictions whose correlation with the ratings is :math:`\rho` is greatest, and equal to :math:`\rho`, if
    they have the mean and the variance of the ratings. Both are estimated from `n` ratings and from what is known of
    annotators. The variance is that of an inverse-gamma prior worth :math:`c` ratings,

    .. math:: \hat s^2 = \frac{c s_0^2 + \sum_i (y_i - \bar y)^2}{c + n - 1},

    and the mean is that of the predictions over the population, plus the mean residual shrunk by the variance
    :math:`\tau^2` of the annotators' means,

    .. math:: \frac{n \tau^2}{n \tau^2 + s_0^2 / 2} (\bar y - \bar p).

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    heads : array, shape (n_targets, n_outputs, n_hidden + 1)
        A head for each new annotator, the bias last.
    ratings : Ratings
        Enrollment ratings of the samples.
    prior : Prior
        What is known of samples and annotators.
    with_offset : bool, default=True
        Whether to move the mean as well, which a blended head has done.

    Returns
    -------
    slope, offset : array, shape (n_targets, n_outputs)
        Of the predictions. 1 and 0 where predictions are constant.
    """
    slope, offset = np.ones(heads.shape[:2]), np.zeros(heads.shape[:2])
    for output, (codes, values, n_targets) in enumerate(_by_output(ratings)):
        head = heads[:, output].astype(np.float64)
        given = np.isfinite(ratings.values[:, output])
        n = np.bincount(codes, minlength=n_targets)
        predicted = np.einsum("rh,rh->r", hidden[ratings.rows[given], output], head[codes, :-1]) + head[codes, -1]
        trust = n * prior.offset_variance[output]
        moved = np.bincount(codes, values - predicted, n_targets) / np.maximum(n, 1)
        moved *= trust / (trust + prior.variance[output] / 2) if with_offset else 0.0

        centred = values - (np.bincount(codes, values, n_targets) / np.maximum(n, 1))[codes]
        n_worth = prior.n_worth[output]
        squares = n_worth * prior.variance[output] + np.bincount(codes, centred**2, n_targets)
        deviation = np.sqrt(squares / (n_worth + np.maximum(n - 1, 0)))

        centre = head @ prior.mean[output]
        square = np.einsum("th,hk,tk->t", head, prior.second[output], head, optimize=True)
        spread = np.sqrt(np.maximum(square - centre**2, 0))
        usable = spread > 1e-4 * np.sqrt(np.maximum(square, 0))  # less is what rounding leaves of a constant
        slope[:, output] = np.divide(deviation, spread, out=np.ones(n_targets), where=usable)
        offset[:, output] = centre * (1 - slope[:, output]) + moved
    return slope, offset

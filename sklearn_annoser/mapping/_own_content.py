"""How much of people's ratings is their own view of the content: told by the annotators of the source corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from sklearn_annoser.mapping._axes import Axes
from sklearn_annoser.mapping._prior import OWN_CONTENT, Prior, with_one
from sklearn_annoser.ratings import Ratings, centred

__all__ = ["learn_own_content"]

FACTOR = 2.5  # what the share that is expected before any rating is seen may be off by
RATIOS = np.geomspace(0.0025, 5.12, 12)  # of the variance of one's own content to that of noise
ENOUGH_RATINGS = 6  # of an annotator, to tell anything
MOST_RATINGS, MOST_ANNOTATORS = 20000, 500  # are looked at


def learn_own_content(
    hidden_of: Callable[[np.ndarray], Iterable[np.ndarray]], heads: np.ndarray, prior: Prior, ratings: Ratings
) -> np.ndarray:
    r"""Learn the share of the variance of ratings that is each annotator's own, and linear in content.

    Of each annotator's `n` ratings of samples that others have rated, too, counts what a constant and the mean of these
    others leave, :math:`e = P y`. With the content :math:`F` of the samples it is expected to be
    :math:`N(0, \sigma_r^2 P (I + \rho F F^\top) P)`, with a :math:`\sigma_r` of the annotator's own and a ratio
    :math:`\rho` that all have in common: restricted maximum likelihood. The share is the mean logarithm over ratios,
    each as probable as the ratings and a first guess of 4 %, give or take a factor of 2.5, make it.

    Parameters
    ----------
    hidden_of : callable
        Returns the hidden features of some samples, by their rows: an iterable of (n_block, n_outputs, n_hidden).
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators, the bias last.
    prior : Prior
        What else is known of samples and annotators.
    ratings : Ratings
        Ratings of the source corpus. Of many, 20,000 by 500 annotators are looked at.

    Returns
    -------
    array, shape (n_outputs,)

    References
    ----------
    H. D. Patterson and R. Thompson, "Recovery of inter-block information when block sizes are unequal", Biometrika 58,
    1971, https://doi.org/10.1093/biomet/58.3.545
    """
    telling = _telling(ratings)
    others, ratings = _others_means(ratings, telling), ratings.keep_ratings(telling)
    rows, place = np.unique(ratings.rows, return_inverse=True)
    if not len(rows):
        return np.full(ratings.n_outputs, OWN_CONTENT)
    axes = [Axes.of(heads[:, output], prior, output).content for output in range(ratings.n_outputs)]
    contents, end = [np.empty((len(rows), content.shape[1])) for content in axes], 0
    for hidden in hidden_of(rows):
        for output, content in enumerate(axes):
            contents[output][end : end + len(hidden)] = with_one(hidden[:, output]).astype(np.float64) @ content
        end += len(hidden)
    return np.array(
        [
            _likely_share(_persons(content, place, ratings, others[:, output], output), prior.variance[output])
            for output, content in enumerate(contents)
        ]
    )


def _telling(ratings: Ratings) -> np.ndarray:
    """Return which ratings are looked at: all, or some of some annotators, evenly spread over both."""
    counts = np.bincount(ratings.codes, minlength=ratings.n_annotators)
    chosen = np.flatnonzero(counts >= ENOUGH_RATINGS)
    chosen = chosen[:: max(-(-len(chosen) // MOST_ANNOTATORS), 1)]
    most = max(MOST_RATINGS // max(len(chosen), 1), ENOUGH_RATINGS)
    telling = np.zeros(ratings.n_ratings, dtype=bool)
    order = np.argsort(ratings.codes, kind="stable")
    ends = counts.cumsum()
    for code in chosen:
        mine = order[ends[code] - counts[code] : ends[code]]
        telling[mine[:: -(-len(mine) // most)]] = True
    return telling


def _others_means(ratings: Ratings, telling: np.ndarray) -> np.ndarray:
    """Return what others gave some samples on average, their own means taken off; NaN where there are none."""
    means = np.full((np.count_nonzero(telling), ratings.n_outputs), np.nan)
    for output, values in enumerate(ratings.values.T):
        given = np.isfinite(values)
        rows, apart = ratings.rows[given], centred(values[given].astype(np.float64), ratings.codes[given])
        n, total = np.bincount(rows, minlength=ratings.n_samples), np.bincount(rows, apart, ratings.n_samples)
        rows, apart = rows[telling[given]], apart[telling[given]]  # the rating's own is among these
        n, total = n[rows] - 1, total[rows] - apart
        means[given[telling], output] = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    return means


def _persons(
    content: np.ndarray, place: np.ndarray, ratings: Ratings, others: np.ndarray, output: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Walk over annotators: content and ratings that neither a constant nor others' means tell, degrees of freedom."""
    given = np.flatnonzero(np.isfinite(ratings.values[:, output]) & np.isfinite(others))
    given = given[np.argsort(ratings.codes[given], kind="stable")]
    counts = np.bincount(ratings.codes[given], minlength=ratings.n_annotators)
    for mine in np.split(given, counts.cumsum()[:-1]):
        if len(mine) >= ENOUGH_RATINGS:
            basis = np.linalg.qr(np.column_stack([np.ones(len(mine)), others[mine]]))[0]
            own, left = content[place[mine]], ratings.values[mine, output].astype(np.float64)
            yield own - basis @ (basis.T @ own), left - basis @ (basis.T @ left), len(mine) - 2


def _likely_share(persons: Iterable[tuple[np.ndarray, np.ndarray, int]], variance: float) -> float:
    """Return the share that the ratings of all annotators make likely."""
    evidence, noise, n_told = np.zeros(len(RATIOS)), np.zeros(len(RATIOS)), 0
    for content, left, freedom in persons:
        total = left @ left
        if total > 1e-9 * variance * len(left):  # else they tell nothing: all of it is what others gave
            vectors, scales, _ = np.linalg.svd(content, full_matrices=False)
            squares = (vectors.T @ left) ** 2
            widths = 1 + RATIOS[:, None] * scales**2
            each = ((squares / widths).sum(axis=1) + max(total - squares.sum(), 0.0)) / freedom
            evidence -= 0.5 * (np.log(widths).sum(axis=1) + freedom * np.log(each))
            noise += freedom * each
            n_told += freedom
    if not n_told:
        return OWN_CONTENT
    shares = np.log(RATIOS * noise / n_told / variance)
    evidence -= 0.5 * ((shares - np.log(OWN_CONTENT)) / np.log(FACTOR)) ** 2
    likely = np.exp(evidence - evidence.max())
    return float(np.exp(likely @ shares / likely.sum()))

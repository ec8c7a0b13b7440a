"""Agreement: how annotators agree with each other, from their ratings alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_annoser._optional import import_krippendorff
from sklearn_annoser._validation import check_number, check_option
from sklearn_annoser.metrics import annotator_ccc
from sklearn_annoser.metrics._ccc import EPS, ccc_from_moments
from sklearn_annoser.ratings import Ratings, centred

__all__ = ["MEASURES", "agreement_table", "annotator_agreement", "pairwise_ccc"]

MEASURES = ("pairwise_ccc", "others_ccc", "icc_single", "icc_average", "alpha_interval", "alpha_ordinal")
NOMINAL = "alpha_nominal"
NORMAL = 1.96  # standard errors on either side hold 95 %
MAX_VALUES = 32  # different ratings that alpha keeps apart
MAX_CELLS = 2**22  # of the table of samples x values x values that alpha is computed from, 32 MB

Statistic = Callable[[np.ndarray], float]  # of how often each sample counts, (n_samples,)


def agreement_table(
    ratings: Ratings,
    *,
    measures: Sequence[str] | None = None,
    min_common: int = 10,
    n_bootstrap: int = 200,
    random_state: Any = None,
) -> pd.DataFrame:
    r"""Measure how well annotators agree, with bootstrap intervals by sample (1 is agreement, 0 is none).

    - "pairwise_ccc": CCC of two annotators on the samples that both rated, mean over pairs.
    - "others_ccc": CCC of an annotator with the mean of the others who rated the sample, mean over annotators.
    - "icc_single", "icc_average": intraclass correlation, one-way random, of one rating and of the mean of a sample's
      ratings. With mean squares between samples :math:`B` and within them :math:`W`, and :math:`k` ratings a sample,

      .. math:: \mathrm{ICC}(1) = \frac{B - W}{B + (k - 1) W}, \quad \mathrm{ICC}(1, k) = \frac{B - W}{B}

      where for unequal numbers :math:`k_i` of n samples :math:`k = (\sum k_i - \sum k_i^2 / \sum k_i) / (n - 1)`.
    - "alpha_interval", "alpha_ordinal": Krippendorff's alpha. More than 32 different ratings are rounded to 32 equal
      steps, and of many samples a random subset counts: samples times squared values are at most 4 million.
      They take nearly all of the time, 0.1 s a resample at that size.
    - "alpha_nominal": the same for classes, which have no order and no distance. It is what Ratings of classes have.

    CCC, ICC and alpha count an annotator's leniency as disagreement. The last four take all ratings together, so who
    rates much counts much; in the first two every pair, every annotator counts alike.

    Parameters
    ----------
    ratings : Ratings
        The ratings.
    measures : sequence of str, default=None
        Which measures. The alphas of numbers need the package krippendorff. None: ``MEASURES``, all but the nominal
        one; that one alone of Ratings of classes.
    min_common : int, default=10
        Samples that a pair must share, or an annotator with anybody, to count in the first two.
    n_bootstrap : int, default=200
        Resamples of the samples behind the intervals; 0 for none.
    random_state : int, RandomState or None, default=None
        Seed of the resamples.

    Returns
    -------
    DataFrame, indexed by output and measure
        `value`; `low` and `high`, 1.96 bootstrap standard errors away from it; and `n`, the number of pairs, annotators
        or samples that counted. NaN where nothing can be measured.

    References
    ----------
    P. E. Shrout and J. L. Fleiss, "Intraclass correlations: uses in assessing rater reliability", Psychological
    Bulletin 86(2), 1979, https://doi.org/10.1037/0033-2909.86.2.420

    K. Krippendorff, "Content Analysis: An Introduction to Its Methodology", Sage, 2018,
    https://doi.org/10.4135/9781071878781

    Examples
    --------
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.annotators import agreement_table
    >>> judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> table = agreement_table(Ratings.from_dense(judges), measures=["icc_single", "icc_average"], n_bootstrap=0)
    >>> table["value"].round(2).tolist()
    [0.17, 0.44]
    """
    check_ratings(ratings)
    possible = (*MEASURES, NOMINAL) if ratings.classes is None else (NOMINAL,)
    if measures is None:
        measures = MEASURES if ratings.classes is None else possible
    for measure in measures:
        check_option("measures", measure, possible)
    if ratings.classes is not None:
        ratings = ratings.with_values(ratings._values)
    check_number("min_common", min_common, low=2, integer=True)
    check_number("n_bootstrap", n_bootstrap, low=0, integer=True)
    rng = check_random_state(random_state)
    rated = ratings[np.diff(ratings.indptr) > 0]
    found = {}
    for name, _, own in iter_outputs(rated):
        there = np.diff(own.indptr) > 0
        for measure in measures:
            found[name, measure] = there, *_statistic(measure, own[there], min_common, rng)
    once = np.ones(rated.n_samples)
    table = pd.DataFrame({"value": [statistic(once[there]) for there, statistic, _ in found.values()]})
    resampled = np.empty((n_bootstrap, len(found)))
    for draw in range(n_bootstrap):
        weights = np.bincount(rng.randint(rated.n_samples, size=rated.n_samples), minlength=rated.n_samples)
        weights = weights.astype(np.float64)
        resampled[draw] = [statistic(weights[there]) for there, statistic, _ in found.values()]
    # Not percentiles: resamples have fewer different samples, and the CCC of few is smaller.
    error = NORMAL * resampled.std(axis=0, ddof=1) if n_bootstrap > 1 else np.nan
    table["low"], table["high"] = table["value"] - error, table["value"] + error
    table["n"] = [n for _, _, n in found.values()]
    return table.set_index(pd.MultiIndex.from_tuples(list(found), names=["output", "measure"]))


def pairwise_ccc(ratings: Ratings, *, min_common: int = 10) -> pd.DataFrame:
    """CCC of every two annotators on the samples that both rated (-1 to 1, higher is better).

    Parameters
    ----------
    ratings : Ratings
        The ratings.
    min_common : int, default=10
        Pairs with fewer samples in common are left out.

    Returns
    -------
    DataFrame
        A row for each pair: `annotator`, `other`, `n_common`, and a column of CCC for each output; NaN where the two
        have fewer than `min_common` samples with that output.

    Examples
    --------
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.annotators import pairwise_ccc
    >>> ratings = Ratings.from_dense([[1, 3], [2, 2], [3, 1]], annotators=["ann", "bob"])
    >>> pairwise_ccc(ratings, min_common=3)
      annotator other  n_common  rating
    0       ann   bob         3    -1.0
    """
    check_ratings(ratings)
    check_number("min_common", min_common, low=2, integer=True)
    one, other, pair, labels = _pairs(ratings, min_common)
    columns = {
        "annotator": ratings.annotators[labels // ratings.n_annotators],
        "other": ratings.annotators[labels % ratings.n_annotators],
        "n_common": np.bincount(pair, minlength=len(labels)),
    }
    taken = [name for name in ratings.outputs if name in columns]
    if taken:
        raise ValueError(f"outputs must not be called {taken}: these are columns of the table.")
    for name, values in zip(ratings.outputs, ratings.values.T.astype(np.float64), strict=True):
        given = np.isfinite(values[one]) & np.isfinite(values[other])
        own, once = pair[given], np.ones(int(given.sum()))
        scores = _grouped_ccc(own, len(labels), values[one[given]], values[other[given]], once)
        enough = np.bincount(own, minlength=len(labels)) >= min_common
        columns[name] = np.where(enough, scores, np.nan)
    return pd.DataFrame(columns)


def annotator_agreement(ratings: Ratings) -> pd.DataFrame:
    """CCC of every annotator with the mean of the others who rated the sample (-1 to 1, higher is better).

    Parameters
    ----------
    ratings : Ratings
        The ratings. Samples with a single rating are left out.

    Returns
    -------
    DataFrame, indexed by annotator
        A column of CCC for each output, NaN with fewer than two ratings; and `n_ratings`.

    Examples
    --------
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.annotators import annotator_agreement
    >>> ratings = Ratings.from_dense([[1, 1, 3], [2, 2, 2], [3, 3, 1]], annotators=["ann", "bob", "cy"])
    >>> annotator_agreement(ratings)
         rating  n_ratings
    ann     0.0          3
    bob     0.0          3
    cy     -1.0          3
    """
    check_ratings(ratings)
    columns, counted = {}, np.zeros(ratings.n_ratings, dtype=bool)
    for name, given, own in iter_outputs(ratings):
        shared = own.keep_ratings(is_shared(own))
        columns[name] = annotator_ccc(shared, shared.with_values(others_mean(shared)))[name]
        counted[np.flatnonzero(given)[is_shared(own)]] = True
    if not counted.any():
        raise ValueError("no sample has two ratings: there is nobody to agree with.")
    n_ratings = np.bincount(ratings.codes[counted], minlength=ratings.n_annotators)
    return pd.DataFrame(columns).assign(n_ratings=n_ratings)


# ---------------------------------------------------------------------- what the table measures


def iter_outputs(ratings: Ratings) -> Iterator[tuple[str, np.ndarray, Ratings]]:
    """Walk over the outputs: the name, which ratings have it, and these as Ratings of that output alone."""
    for name, values in zip(ratings.outputs, ratings.values.T, strict=True):
        given = np.isfinite(values)
        yield name, given, ratings.keep_ratings(given).with_outputs(values[given][:, None], [name])


def _statistic(measure: str, ratings: Ratings, min_common: int, rng: np.random.RandomState) -> tuple[Statistic, int]:
    """Return a measure of one output by how often each sample counts, and how many things it is a mean of."""
    values = ratings.values[:, 0].astype(np.float64)
    if measure == "pairwise_ccc":
        return _pairwise_statistic(ratings, values, min_common)
    if measure == "others_ccc":
        return _others_statistic(ratings, min_common)
    if measure.startswith("icc"):
        return _icc_statistic(ratings, values, average=measure == "icc_average"), ratings.n_samples
    if measure == "alpha_nominal":
        return _nominal_statistic(ratings, values)
    return _alpha_statistic(ratings, values, measure.removeprefix("alpha_"), rng)


def _pairwise_statistic(ratings: Ratings, values: np.ndarray, min_common: int) -> tuple[Statistic, int]:
    one, other, pair, labels = _pairs(ratings, min_common)
    rows = ratings.rows[one]

    def statistic(weights: np.ndarray) -> float:
        return _mean(_grouped_ccc(pair, len(labels), values[one], values[other], weights[rows]))

    return statistic, len(labels)


def _others_statistic(ratings: Ratings, min_common: int) -> tuple[Statistic, int]:
    shared = ratings.keep_ratings(is_shared(ratings))
    enough = np.bincount(shared.codes, minlength=ratings.n_annotators) >= min_common
    values, others, rows = shared.values[:, 0].astype(np.float64), others_mean(shared)[:, 0], shared.rows

    def statistic(weights: np.ndarray) -> float:
        scores = _grouped_ccc(shared.codes, ratings.n_annotators, values, others, weights[rows])
        return _mean(scores[enough])

    return statistic, int(enough.sum())


def _icc_statistic(ratings: Ratings, values: np.ndarray, *, average: bool) -> Statistic:
    counts = np.diff(ratings.indptr)
    around = centred(values, ratings.rows)
    means = np.bincount(ratings.rows, values - around) / counts
    within = np.bincount(ratings.rows, around**2)  # sums of squares, one a sample

    def statistic(weights: np.ndarray) -> float:
        n_samples, n_ratings = weights.sum(), weights @ counts
        if n_samples < 2 or n_ratings <= n_samples:
            return np.nan
        grand = weights @ (counts * means) / n_ratings
        between = weights @ (counts * (means - grand) ** 2) / (n_samples - 1)
        inside = weights @ within / (n_ratings - n_samples)
        n_raters = 1 if average else (n_ratings - weights @ counts**2 / n_ratings) / (n_samples - 1)
        total = between + (n_raters - 1) * inside
        rounding = n_ratings * (4 * EPS * grand) ** 2  # of equal ratings
        return float((between - inside) / total) if total > rounding else np.nan

    return statistic


def _alpha_statistic(
    ratings: Ratings, values: np.ndarray, level: str, rng: np.random.RandomState
) -> tuple[Statistic, int]:
    krippendorff = import_krippendorff()
    domain, steps = _few_values(values)
    counts = np.zeros((ratings.n_samples, len(domain)))
    np.add.at(counts, (ratings.rows, steps), 1)
    pairable = np.flatnonzero(np.diff(ratings.indptr) > 1)
    most = MAX_CELLS // max(len(domain), 1) ** 2
    used = pairable if len(pairable) <= most else np.sort(rng.choice(pairable, most, replace=False))

    def statistic(weights: np.ndarray) -> float:
        drawn = counts[np.repeat(used, weights[used].astype(np.intp))]
        there = drawn.any(axis=0)
        if there.sum() < 2:  # nothing to disagree about
            return np.nan
        return float(
            krippendorff.alpha(value_counts=drawn[:, there], value_domain=domain[there], level_of_measurement=level)
        )

    return statistic, len(used)


def _nominal_statistic(ratings: Ratings, values: np.ndarray) -> tuple[Statistic, int]:
    """Return the alpha of classes, which may be thousands: a table of classes by classes would be too large."""
    counts = np.diff(ratings.indptr)
    paired = counts[ratings.rows] > 1
    rows, classes = ratings.rows[paired], np.unique(values[paired], return_inverse=True)[1]
    n_classes = int(classes.max(initial=0)) + 1
    same, n_same = np.unique(rows * n_classes + classes, return_counts=True)  # of a sample, by class
    sample = same // n_classes
    others = n_same * (counts[sample] - n_same) / (counts[sample] - 1)
    unequal = np.bincount(sample, others, ratings.n_samples)

    def statistic(weights: np.ndarray) -> float:
        by_class = np.bincount(classes, weights[rows])
        n_ratings = by_class.sum()
        expected = by_class @ (n_ratings - by_class)
        return float(1 - (n_ratings - 1) * (weights @ unequal) / expected) if expected else np.nan

    return statistic, int((counts > 1).sum())


def _few_values(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values, sorted, and which of them each is; many are rounded to equal steps."""
    domain, steps = np.unique(values, return_inverse=True)
    if len(domain) > MAX_VALUES:
        low, high = domain[0], domain[-1]
        domain, steps = np.unique(np.rint((values - low) / (high - low) * (MAX_VALUES - 1)), return_inverse=True)
        domain = low + domain * (high - low) / (MAX_VALUES - 1)
    return domain, steps


# ---------------------------------------------------------------------- pairs, others, moments


def _pairs(ratings: Ratings, min_common: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return positions of every two ratings of a sample, the pair of annotators that gave them, and its label.

    The label of annotators i < j is i times the number of annotators plus j. Pairs with too few samples are left out.
    """
    counts = np.diff(ratings.indptr)
    ones, others = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    for count in np.unique(counts[counts > 1]):
        start = ratings.indptr[:-1][counts == count][:, None]
        first, second = np.triu_indices(count, 1)
        ones.append((start + first).ravel())
        others.append((start + second).ravel())
    one, other = np.concatenate(ones), np.concatenate(others)
    label = ratings.codes[one].astype(np.int64) * ratings.n_annotators + ratings.codes[other]
    labels, pair = np.unique(label, return_inverse=True)
    enough = np.bincount(pair, minlength=len(labels)) >= min_common
    kept = enough[pair]
    return one[kept], other[kept], (enough.cumsum() - 1)[pair[kept]], labels[enough]


def is_shared(ratings: Ratings) -> np.ndarray:
    """Say of each rating whether its sample has another one."""
    return np.diff(ratings.indptr)[ratings.rows] > 1


def others_mean(ratings: Ratings) -> np.ndarray:
    """Return the mean of the other ratings of the sample for each rating, (n_ratings, n_outputs)."""
    rows, counts = ratings.rows, np.diff(ratings.indptr)
    columns = ratings.values.T.astype(np.float64)
    sums = np.stack([np.bincount(rows, values, ratings.n_samples) for values in columns], axis=1)
    return (sums[rows] - ratings.values) / (counts[rows] - 1)[:, None]


def _grouped_ccc(
    groups: np.ndarray, n_groups: int, one: np.ndarray, other: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the CCC within each group of weighted pairs of values, NaN without any."""
    total = np.bincount(groups, weights, n_groups).astype(np.float64)  # of no groups it is of integers
    total[total == 0] = np.nan

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(groups, weights * values, n_groups) / total

    mean_one, mean_other = mean(one), mean(other)
    one, other = one - mean_one[groups], other - mean_other[groups]
    return np.where(
        np.isnan(total), np.nan, ccc_from_moments(mean_one, mean(one**2), mean_other, mean(other**2), mean(one * other))
    )


def _mean(scores: np.ndarray) -> float:
    """Return the mean of the scores that there are."""
    scores = scores[~np.isnan(scores)]
    return float(scores.mean()) if len(scores) else np.nan


def check_ratings(ratings: Any) -> None:
    """Raise unless these are Ratings."""
    if not isinstance(ratings, Ratings):
        raise TypeError(f"ratings must be Ratings, got {type(ratings).__name__}.")

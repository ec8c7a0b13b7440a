"""Significance: what the results of repeated runs say of two strategies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils import check_random_state

from sklearn_annoser._validation import check_number
from sklearn_annoser.evaluation._results import check_columns, describe, individuals, iter_rows, of_strategy

__all__ = ["bootstrap_interval", "paired_ttest"]

NOISE = 1e-12  # of a difference of scores: what rounding leaves of equal ones


def paired_ttest(
    results: pd.DataFrame,
    one: str,
    other: str,
    *,
    corrected: bool = False,
    test_fraction: float | None = None,
    by: Sequence[str] = (),
) -> pd.DataFrame:
    r"""Test whether two strategies differ, run by run: paired t-test of the runs' mean CCC, two-sided.

    .. math:: t = \frac{\bar d}{\sqrt{v s^2}}, \quad v = \frac{1}{n}
              \quad \text{or, corrected,} \quad v = \frac{1}{n} + \frac{n_\text{test}}{n_\text{train}}

    with the mean and the unbiased variance of the differences of n runs, and n - 1 degrees of freedom. Runs share most
    of what they are trained on, so they are not independent, and the plain test finds too many differences. The
    corrected one counts what they share as error that more runs do not reduce.

    Parameters
    ----------
    results : DataFrame
        What :func:`~sklearn_annoser.evaluation.cross_corpus` returned, or several of them with more columns.
    one, other : str
        Strategies; a positive difference is in favour of `one`.
    corrected : bool, default=False
        Whether to correct for the overlap of the runs.
    test_fraction : float, default=None
        Share of the data that a run is tested on, for the correction. None: one over the number of folds.
    by : sequence of str, default=()
        More columns that tell the rows of the table apart, such as that of the corpus.

    Returns
    -------
    DataFrame
        A row for each combination of `by`, `n_enrollment`, `level` (where they are there) and `output`:
        `mean_difference`, `t`, `p` and `n_runs`. If all differences are equal, p is 1 for a mean of 0, else 0.

    Raises
    ------
    ValueError
        A strategy is not there, the two were not scored on the same runs and annotators, or there are fewer than two
        runs.

    References
    ----------
    C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52, 2003,
    https://doi.org/10.1023/A:1024068626366

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.evaluation import paired_ttest
    >>> random = pd.DataFrame({"strategy": "random", "fold": [0, 1, 2, 3, 4], "ccc": [0.3, 0.2, 0.4, 0.3, 0.3]})
    >>> mapped = pd.DataFrame({"strategy": "mapped", "fold": [0, 1, 2, 3, 4], "ccc": [0.4, 0.4, 0.5, 0.3, 0.5]})
    >>> results = pd.concat([random, mapped]).assign(annotator="ann", output="valence")
    >>> paired_ttest(results, "mapped", "random", corrected=True).round(3)
        output  mean_difference      t      p  n_runs
    0  valence             0.12  2.138  0.099       5
    """
    keys, runs, cell = check_columns(results, by)
    overlap = _check_overlap(results, corrected, test_fraction)
    differences = _paired_differences(results, one, other, cell)
    rows = []
    for row, table in iter_rows(differences, [*keys, "output"]):
        each = table.groupby(runs, sort=False)["value"].mean().to_numpy()
        if len(each) < 2:
            raise ValueError(f"a t-test needs two runs at least, but {describe(row)} has {len(each)}: add seeds.")
        t, p = _ttest(each, overlap)
        rows.append(row | {"mean_difference": each.mean(), "t": t, "p": p, "n_runs": len(each)})
    return pd.DataFrame(rows)


def bootstrap_interval(
    results: pd.DataFrame,
    one: str,
    other: str | None = None,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    random_state: Any = None,
    by: Sequence[str] = (),
) -> pd.DataFrame:
    """Mean CCC over annotators, or mean difference of two strategies, with an interval for other annotators.

    Each annotator's CCC is averaged over runs; then annotators are drawn with replacement, many times, and the interval
    holds the middle part of the means (percentile bootstrap). It answers what another sample of annotators would give,
    where :func:`paired_ttest` answers what other runs would. With fewer than some ten annotators it is too narrow.

    Parameters
    ----------
    results : DataFrame
        What :func:`~sklearn_annoser.evaluation.cross_corpus` returned. Only the "individual" level is used.
    one : str
        A strategy.
    other : str, default=None
        What to compare it with, annotator by annotator; a positive difference is in favour of `one`. None: nothing.
    n_resamples : int, default=2000
        Number of resamples.
    confidence : float, default=0.95
        Share of the resampled means in the interval, between 0 and 1.
    random_state : int, RandomState or None, default=None
        Seed of the resamples.
    by : sequence of str, default=()
        More columns that tell the rows of the table apart, such as that of the corpus.

    Returns
    -------
    DataFrame
        A row for each combination of `by`, `n_enrollment` (where it is there) and `output`: `mean`, `low`, `high` and
        `n_annotators`.

    Raises
    ------
    ValueError
        A strategy is not there, the two were not scored on the same runs and annotators, or there are fewer than two
        annotators.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.evaluation import bootstrap_interval
    >>> results = pd.DataFrame({"annotator": list("abcdef"), "ccc": [0.1, 0.5, 0.4, 0.3, 0.2, 0.6]})
    >>> results = results.assign(strategy="mapped", output="valence", seed=0)
    >>> bootstrap_interval(results, "mapped", random_state=0).round(2)
        output  mean   low  high  n_annotators
    0  valence  0.35  0.22  0.48             6
    """
    check_number("n_resamples", n_resamples, low=1, integer=True)
    tail = (1 - _check_share("confidence", confidence)) / 2
    rng = check_random_state(random_state)
    results = individuals(results)
    keys, _, cell = check_columns(results, by)
    if other is None:
        values = of_strategy(results, one, cell).dropna().rename("value").reset_index()
    else:
        values = _paired_differences(results, one, other, cell)
    rows = []
    for row, table in iter_rows(values, [*keys, "output"]):
        each = table.groupby("annotator", sort=False)["value"].mean().to_numpy()
        if len(each) < 2:
            raise ValueError(f"resampling needs two annotators at least, but {describe(row)} has {len(each)}.")
        means = [rng.choice(each, len(each)).mean() for _ in range(n_resamples)]
        low, high = np.quantile(means, [tail, 1 - tail])
        rows.append(row | {"mean": each.mean(), "low": low, "high": high, "n_annotators": len(each)})
    return pd.DataFrame(rows)


def _paired_differences(results: pd.DataFrame, one: str, other: str, cell: list[str]) -> pd.DataFrame:
    """Return one strategy's scores less the other's, as `value`; cells where both are NaN are left out."""
    left, right = (of_strategy(results, name, cell).dropna() for name in (one, other))
    for name, scores, partner in ((one, left, right), (other, right, left)):
        alone = scores.index[~scores.index.isin(partner.index)].to_frame()
        if len(alone):
            raise ValueError(
                f"{one!r} and {other!r} must be scored in the same cells, but {len(alone)} have {name!r} only, for "
                f"example {describe(alone.iloc[0])}: keep the cells that both have."
            )
    return (left - right.reindex(left.index)).rename("value").reset_index()


def _check_share(name: str, value: Any) -> float:
    """Return a share between 0 and 1, and neither of them."""
    if not 0 < check_number(name, value) < 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}.")
    return float(value)


def _check_overlap(scores: pd.DataFrame, corrected: bool, test_fraction: float | None) -> float:
    """Return the ratio of test to training data that the correction adds to 1 / n, 0 without it."""
    if not corrected:
        if test_fraction is not None:
            raise ValueError(f"test_fraction={test_fraction!r} is for the corrected test: give corrected=True as well.")
        return 0.0
    if test_fraction is None:
        n_folds = scores["fold"].nunique() if "fold" in scores else 0
        if n_folds < 2:
            raise ValueError("the corrected test needs test_fraction: the results are not of several folds.")
        test_fraction = 1 / n_folds
    fraction = _check_share("test_fraction", test_fraction)
    return fraction / (1 - fraction)


def _ttest(differences: np.ndarray, overlap: float) -> tuple[float, float]:
    """Return t and the two-sided p of the mean of differences."""
    n, mean = len(differences), differences.mean()
    if np.ptp(differences) <= NOISE:
        t = 0.0 if abs(mean) <= NOISE else float(np.copysign(np.inf, mean))
    else:
        t = float(mean / np.sqrt((1 / n + overlap) * differences.var(ddof=1)))
    return t, float(2 * stats.t.sf(abs(t), n - 1))

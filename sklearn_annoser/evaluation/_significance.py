"""Significance: what the results of repeated runs say of two strategies, and how stable the mapping is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils import check_random_state

from sklearn_annoser._validation import check_known, check_number

__all__ = ["bootstrap_interval", "mapping_stability", "paired_ttest", "summarize_runs"]

RUN = ("seed", "fold", "draw")  # columns that tell runs apart
ROW = ("n_enrollment", "level")  # columns that are never averaged over
INDIVIDUAL = "individual"
STABILITY = ["agreement", "share", "n_runs", "n_left_out", "chance"]
NOISE = 1e-12  # of a difference of scores: what rounding leaves of equal ones


def summarize_runs(results: pd.DataFrame, by: Sequence[str] = ("strategy",)) -> pd.DataFrame:
    """Average results over annotators, then over runs: mean and standard deviation over runs of the mean CCC.

    A run is one seed and fold, or seed and draw; its CCC is the unweighted mean over annotators.

    Parameters
    ----------
    results : DataFrame
        What :func:`~sklearn_annoser.evaluation.cross_corpus` returned, or several of them with more columns.
    by : sequence of str, default=("strategy",)
        Columns that tell the rows of the table apart; `n_enrollment` and `level` do so wherever they are there.

    Returns
    -------
    DataFrame
        A row for each combination, in the order of `results`, columns (output, "mean" or "std"). The standard deviation
        is the unbiased one, NaN for a single run.

    Raises
    ------
    ValueError
        A column is not there, or an annotator has several scores in a run.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.evaluation import summarize_runs
    >>> results = pd.DataFrame({"seed": [0, 0, 1, 1], "annotator": list("abab"), "ccc": [0.1, 0.3, 0.4, 0.6]})
    >>> summarize_runs(results.assign(strategy="mapped", output="valence")).loc["mapped"].round(3).to_dict()
    {('valence', 'mean'): 0.35, ('valence', 'std'): 0.212}
    """
    if not len(by):
        raise ValueError("by must name one column at least, such as 'strategy'.")
    keys, runs, cell = _check_columns(results, by)
    _check_unique(results, cell)
    each = results.groupby([*keys, "output", *runs], sort=False)["ccc"].mean()
    table = each.groupby([*keys, "output"], sort=False).agg(["mean", "std"])
    wide = {output: table.xs(output, level="output") for output in results["output"].unique()}
    return pd.concat(wide, axis=1).loc[results[keys].drop_duplicates().set_index(keys).index]


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
    keys, runs, cell = _check_columns(results, by)
    overlap = _check_overlap(results, corrected, test_fraction)
    differences = _paired_differences(results, one, other, cell)
    rows = []
    for row, table in _iter_rows(differences, [*keys, "output"]):
        each = table.groupby(runs, sort=False)["value"].mean().to_numpy()
        if len(each) < 2:
            raise ValueError(f"a t-test needs two runs at least, but {_name(row)} has {len(each)}: add seeds.")
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
    results = _individuals(results)
    keys, _, cell = _check_columns(results, by)
    if other is None:
        values = _of_strategy(results, one, cell).dropna().rename("value").reset_index()
    else:
        values = _paired_differences(results, one, other, cell)
    rows = []
    for row, table in _iter_rows(values, [*keys, "output"]):
        each = table.groupby("annotator", sort=False)["value"].mean().to_numpy()
        if len(each) < 2:
            raise ValueError(f"resampling needs two annotators at least, but {_name(row)} has {len(each)}.")
        means = [rng.choice(each, len(each)).mean() for _ in range(n_resamples)]
        low, high = np.quantile(means, [tail, 1 - tail])
        rows.append(row | {"mean": each.mean(), "low": low, "high": high, "n_annotators": len(each)})
    return pd.DataFrame(rows)


def mapping_stability(
    results: pd.DataFrame, strategy: str = "mapped", *, n_source: int | None = None, by: Sequence[str] = ()
) -> pd.DataFrame:
    r"""How often each target annotator is served by the same source annotator (0 to 1, higher is more stable).

    With :math:`c_s` of n runs served by source annotator s, two different runs agree with the probability

    .. math:: \frac{\sum_s c_s (c_s - 1)}{n (n - 1)}

    which does not depend on n, as the share of the most frequent source does: that is 1 / n at least. Runs are compared
    by what tells them apart, with all else equal: `over` "runs" is any two runs of one enrollment size; "folds" or
    "draws" two of one seed, so that only the enrolled ratings change; "seeds" two of one fold or draw, so that the
    source model changes, and with it the draws; "sizes" two of one run.

    Parameters
    ----------
    results : DataFrame
        What :func:`~sklearn_annoser.evaluation.cross_corpus` returned. Only the "individual" level is used.
    strategy : str, default="mapped"
        A strategy that takes one source annotator for all outputs.
    n_source : int, default=None
        Number of source annotators, for the chance level. None: it is not known.
    by : sequence of str, default=()
        More columns that tell the rows of the table apart, such as that of the corpus.

    Returns
    -------
    DataFrame
        A row for each combination of `by`, `over`, `n_enrollment` (None for "sizes") and `annotator`, for what varies:
        `agreement`, the probability above; `share` of the runs that the most frequent source served; `n_runs` that have
        another to compare with; `n_left_out` without a single source; `chance`, 1 / `n_source`, NaN if not known.
        Agreement and share are NaN where there is nothing to compare.

    Raises
    ------
    ValueError
        The strategy is not there, never has a single source, has different ones for the outputs, or was run once.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.evaluation import mapping_stability
    >>> results = pd.DataFrame({"fold": [0, 1, 2], "source": ["s1", "s2", "s1"], "ccc": [0.4, 0.3, 0.5]})
    >>> results = results.assign(strategy="mapped", annotator="ann", output="valence")
    >>> mapping_stability(results, n_source=10).query("over == 'folds'").round(2)
        over annotator  agreement  share  n_runs  n_left_out  chance
    1  folds       ann       0.33   0.67       3           0     0.1
    """
    chance = np.nan if n_source is None else 1 / check_number("n_source", n_source, low=1, integer=True)
    results = _individuals(results)
    keys, runs, cell = _check_columns(results, by, more=["source"])
    served = _served(results, strategy, cell)
    varying = [column for column in [*runs, "n_enrollment"] if column in served and served[column].nunique() > 1]
    if not varying:
        raise ValueError(f"strategy {strategy!r} was run once: stability needs several seeds, folds, draws or sizes.")

    kinds = {"runs": runs} if set(varying) & set(runs) else {}
    kinds |= {"sizes" if column == "n_enrollment" else f"{column}s": [column] for column in varying}
    tables = []
    for over, varied in kinds.items():
        rows = [key for key in keys if key not in varied]
        fixed = [column for column in runs if column not in varied]
        table = _agreement(served, [*rows, "annotator"], fixed)
        tables.append(table.assign(over=over, chance=chance, **{key: None for key in keys if key in varied}))
    return pd.concat(tables, ignore_index=True)[["over", *keys, "annotator", *STABILITY]]


def _check_columns(
    results: pd.DataFrame, by: Sequence[str], more: Sequence[str] = ()
) -> tuple[list[str], list[str], list[str]]:
    """Return the columns that tell apart the rows of a table, the runs, and single scores of a strategy."""
    if isinstance(by, str):
        raise TypeError(f"by must be a sequence of columns, got the string {by!r}: write [{by!r}].")
    keys = list(dict.fromkeys([*by, *(column for column in ROW if column in results)]))
    runs = [column for column in RUN if column in results and column not in keys]
    if not runs:
        raise ValueError(f"results need a column that tells runs apart: one of {list(RUN)} that is not in by.")
    cell = list(dict.fromkeys([*keys, *runs, "annotator", "output"]))
    absent = [column for column in ["strategy", *cell, "ccc", *more] if column not in results]
    if absent:
        raise ValueError(f"results lack the columns {absent}: they have {list(results.columns)}.")
    missing = [column for column in cell if results[column].isna().any()]
    if missing:
        raise ValueError(f"results have missing values in {missing}: take results of one kind at a time.")
    return keys, runs, cell


def _check_unique(scores: pd.DataFrame, cell: list[str]) -> None:
    """Raise if the columns of `cell` do not tell all scores apart."""
    twice = scores.duplicated(cell)
    if twice.any():
        raise ValueError(
            f"results have several scores for {_name(scores.loc[twice, cell].iloc[0])}: name the column that tells "
            "them apart in by, or keep one of them."
        )


def _name(cell: Any) -> str:
    """Return a Series or dict as words."""
    return ", ".join(f"{key} {value}" for key, value in cell.items())


def _individuals(results: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of annotators, without the column of the level."""
    if "level" not in results:
        return results
    check_known("level", [INDIVIDUAL], np.asarray(results["level"].unique(), dtype=object), "the results")
    return results[results["level"] == INDIVIDUAL].drop(columns="level")


def _of_strategy(results: pd.DataFrame, strategy: str, cell: list[str], value: str = "ccc") -> pd.Series:
    """Return a strategy's column of values, indexed by cell."""
    check_known("strategy", [strategy], np.asarray(results["strategy"].unique(), dtype=object), "the results")
    scores = results[results["strategy"] == strategy]
    _check_unique(scores, cell)
    return scores.set_index(cell)[value]


def _paired_differences(results: pd.DataFrame, one: str, other: str, cell: list[str]) -> pd.DataFrame:
    """Return one strategy's scores less the other's, as `value`; cells where both are NaN are left out."""
    left, right = (_of_strategy(results, name, cell).dropna() for name in (one, other))
    for name, scores, partner in ((one, left, right), (other, right, left)):
        alone = scores.index[~scores.index.isin(partner.index)].to_frame()
        if len(alone):
            raise ValueError(
                f"{one!r} and {other!r} must be scored in the same cells, but {len(alone)} have {name!r} only, for "
                f"example {_name(alone.iloc[0])}: keep the cells that both have."
            )
    return (left - right.reindex(left.index)).rename("value").reset_index()


def _iter_rows(table: pd.DataFrame, keys: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield what tells a row apart, and its part of the table."""
    for values, part in table.groupby(keys, sort=False):
        yield dict(zip(keys, values, strict=True)), part


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


def _served(results: pd.DataFrame, strategy: str, cell: list[str]) -> pd.DataFrame:
    """Return one row for each run and annotator, with the source annotator that served or None."""
    source = _of_strategy(results, strategy, cell, "source")
    if source.isna().all():
        raise ValueError(f"strategy {strategy!r} has no single source annotator in any run.")
    served = source.reset_index().drop(columns="output").drop_duplicates()
    run = [column for column in cell if column != "output"]
    twice = served.duplicated(run)
    if twice.any():
        raise ValueError(
            f"the outputs have different sources for {_name(served.loc[twice, run].iloc[0])}: keep one output."
        )
    return served


def _agreement(served: pd.DataFrame, rows: list[str], fixed: list[str]) -> pd.DataFrame:
    """Return how well the runs agree that have the same values in the columns `fixed`, for each of `rows`."""
    times = served.groupby([*rows, *fixed, "source"], sort=False).size().rename("n_runs").reset_index()
    times["agreement"] = times["n_runs"] * (times["n_runs"] - 1)
    times["share"] = times["n_runs"]
    how = {"agreement": "sum", "share": "max", "n_runs": "sum"}
    groups = times.groupby([*rows, *fixed], sort=False).agg(how).query("n_runs > 1")
    groups["n_pairs"] = groups["n_runs"] * (groups["n_runs"] - 1)
    left_out = served["source"].isna().groupby([served[row] for row in rows], sort=False).sum()
    sums = groups.groupby(rows, sort=False).sum().reindex(left_out.index)
    table = pd.DataFrame({"agreement": sums["agreement"] / sums["n_pairs"], "share": sums["share"] / sums["n_runs"]})
    table["n_runs"] = sums["n_runs"].fillna(0).astype(int)
    table["n_left_out"] = left_out
    return table.reset_index()

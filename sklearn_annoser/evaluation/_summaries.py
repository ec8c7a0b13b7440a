"""Summaries: results averaged over annotators, then over runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sklearn_annoser.evaluation._results import check_columns, check_unique

__all__ = ["summarize_runs", "summarize_strategies"]


def summarize_strategies(results: pd.DataFrame, by: Any = ("strategy",)) -> pd.DataFrame:
    """Average results over annotators, then over draws: the mean CCC, and its standard deviation over draws.

    Parameters
    ----------
    results : DataFrame
        What :func:`compare_strategies` returned, or several of them with more columns.
    by : sequence of str, default=("strategy",)
        Columns that tell the rows of the table apart.

    Returns
    -------
    DataFrame
        A row for each combination of `by`, in the order of `results`, columns (output, "mean" or "std").
    """
    keys = list(by)
    runs = [key for key in ("draw", "seed") if key in results and key not in keys]
    return _average(results, keys, runs)


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
    keys, runs, cell = check_columns(results, by)
    check_unique(results, cell)
    return _average(results, keys, runs)


def _average(results: pd.DataFrame, keys: list[str], runs: list[str]) -> pd.DataFrame:
    """Return mean and standard deviation over runs of the mean over annotators, columns (output, "mean" or "std")."""
    each = results.groupby([*keys, "output", *runs], sort=False)["ccc"].mean()
    table = each.groupby([*keys, "output"], sort=False).agg(["mean", "std"])
    wide = pd.concat({name: table.xs(name, level="output") for name in results["output"].unique()}, axis=1)
    return wide.loc[results[keys].drop_duplicates().set_index(keys).index]

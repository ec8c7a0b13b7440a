"""Stability: whether repeated runs serve an annotator with the same source annotator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sklearn_annoser._validation import check_number
from sklearn_annoser.evaluation._results import check_columns, describe, individuals, of_strategy

__all__ = ["mapping_stability"]

STABILITY = ["agreement", "share", "n_runs", "n_left_out", "chance"]


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
    results = individuals(results)
    keys, runs, cell = check_columns(results, by, more=["source"])
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


def _served(results: pd.DataFrame, strategy: str, cell: list[str]) -> pd.DataFrame:
    """Return one row for each run and annotator, with the source annotator that served or None."""
    source = of_strategy(results, strategy, cell, "source")
    if source.isna().all():
        raise ValueError(f"strategy {strategy!r} has no single source annotator in any run.")
    served = source.reset_index().drop(columns="output").drop_duplicates()
    run = [column for column in cell if column != "output"]
    twice = served.duplicated(run)
    if twice.any():
        raise ValueError(
            f"the outputs have different sources for {describe(served.loc[twice, run].iloc[0])}: keep one output."
        )
    return served


def _agreement(served: pd.DataFrame, rows: list[str], fixed: list[str]) -> pd.DataFrame:
    """Return how well the runs agree that have the same values in the columns `fixed`, for each of `rows`."""
    times = served.groupby([*rows, *fixed, "source"], sort=False).size().rename("n_runs").reset_index()
    times["agreement"] = times["n_runs"] * (times["n_runs"] - 1)
    times["share"] = times["n_runs"]
    together = {"agreement": "sum", "share": "max", "n_runs": "sum"}
    groups = times.groupby([*rows, *fixed], sort=False).agg(together).query("n_runs > 1")
    groups["n_pairs"] = groups["n_runs"] * (groups["n_runs"] - 1)
    left_out = served["source"].isna().groupby([served[row] for row in rows], sort=False).sum()
    sums = groups.groupby(rows, sort=False).sum().reindex(left_out.index)
    table = pd.DataFrame({"agreement": sums["agreement"] / sums["n_pairs"], "share": sums["share"] / sums["n_runs"]})
    table["n_runs"] = sums["n_runs"].fillna(0).astype(int)
    table["n_left_out"] = left_out
    return table.reset_index()

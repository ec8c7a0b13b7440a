"""Results: what tells rows and runs apart in the tables that comparisons return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser._validation import check_known

RUN = ("seed", "fold", "draw")  # columns that tell runs apart
ROW = ("n_enrollment", "level")  # columns that are never averaged over
INDIVIDUAL = "individual"  # the level of annotators


def check_columns(
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


def check_unique(scores: pd.DataFrame, cell: list[str]) -> None:
    """Raise if the columns of `cell` do not tell all scores apart."""
    twice = scores.duplicated(cell)
    if twice.any():
        raise ValueError(
            f"results have several scores for {describe(scores.loc[twice, cell].iloc[0])}: name the column that tells "
            "them apart in by, or keep one of them."
        )


def describe(cell: Any) -> str:
    """Return a Series or dict as words."""
    return ", ".join(f"{key} {value}" for key, value in cell.items())


def individuals(results: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of annotators, without the column of the level."""
    if "level" not in results:
        return results
    check_known("level", [INDIVIDUAL], np.asarray(results["level"].unique(), dtype=object), "the results")
    return results[results["level"] == INDIVIDUAL].drop(columns="level")


def of_strategy(results: pd.DataFrame, strategy: str, cell: list[str], value: str = "ccc") -> pd.Series:
    """Return a strategy's column of values, indexed by cell."""
    check_known("strategy", [strategy], np.asarray(results["strategy"].unique(), dtype=object), "the results")
    scores = results[results["strategy"] == strategy]
    check_unique(scores, cell)
    return scores.set_index(cell)[value]


def iter_rows(table: pd.DataFrame, keys: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield what tells a row apart, and its part of the table."""
    for values, part in table.groupby(keys, sort=False):
        yield dict(zip(keys, values, strict=True)), part

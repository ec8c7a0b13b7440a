"""Intervals of paired differences, as the benchmarks resample and print them."""

from __future__ import annotations

import pandas as pd

from sklearn_annoser.evaluation import bootstrap_interval


def expert_cases(results: pd.DataFrame) -> pd.DataFrame:
    """Take each seed's network of each expert as a case: five experts are too few to resample."""
    names = results["annotator"].astype(str) + "/" + results["seed"].astype(str)
    return results.assign(annotator=names, seed=0)


def told(table: pd.DataFrame) -> pd.Series:
    """Return mean and interval of each row in words."""
    return table.apply(lambda row: f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]", axis=1)


def metric_differences(results: pd.DataFrame, keys: list[str], one: str, other: str, *, size: int) -> pd.Series:
    """Return the paired difference of every metric between two strategies, in words, with so many enrollment labels.

    `keys` are the columns that tell a case; all others are metrics.
    """
    long = results[results["strategy"].isin([one, other])].melt(keys, var_name="output", value_name="ccc")
    cell = [key for key in keys if key != "strategy"] + ["output"]
    long = long[long.groupby(cell)["ccc"].transform("count") == 2]  # kappa is NaN where all are of one class
    return told(bootstrap_interval(long, one, other, random_state=0).set_index(["n_enrollment", "output"]).loc[size])


def gains(results: pd.DataFrame, one: str, *, as_cells: bool = False) -> pd.DataFrame:
    """Return the mean gain of a strategy over each other one, with its interval, by enrollment ratings.

    Of several outputs it is the gain of their mean, too. `as_cells` resamples cells of annotator and seed.
    """
    if as_cells:
        results = expert_cases(results)
    results = with_mean_output(results)
    others = [name for name in pd.unique(results["strategy"]) if name != one]
    tables = {other: bootstrap_interval(results, one, other, random_state=0) for other in others}
    rows = [table.assign(over=other, told=told(table)) for other, table in tables.items()]
    wide = pd.concat(rows).set_index(["output", "over", "n_enrollment"])["told"].unstack()
    outputs = pd.unique(results["output"])
    return wide.reindex([(output, other) for output in outputs for other in others])


def with_mean_output(results: pd.DataFrame) -> pd.DataFrame:
    """Add the mean of the outputs as one more, where there are several."""
    if results["output"].nunique() == 1:
        return results
    keys = ["annotator", "strategy", "seed", "draw", "n_enrollment"]
    mean = results.groupby(keys, sort=False)["ccc"].mean().reset_index().assign(output="mean")
    return pd.concat([results, mean], ignore_index=True)

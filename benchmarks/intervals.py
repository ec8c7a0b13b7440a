"""Intervals of paired differences, as the benchmarks resample and print them."""

from __future__ import annotations

import pandas as pd


def expert_cases(results: pd.DataFrame) -> pd.DataFrame:
    """Take each seed's network of each expert as a case: five experts are too few to resample."""
    names = results["annotator"].astype(str) + "/" + results["seed"].astype(str)
    return results.assign(annotator=names, seed=0)


def told(table: pd.DataFrame) -> pd.Series:
    """Return mean and interval of each row in words."""
    return table.apply(lambda row: f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]", axis=1)

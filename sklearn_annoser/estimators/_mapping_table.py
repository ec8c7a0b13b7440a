"""The table of a mapping: who serves each new annotator, how well it fits, and what to expect of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser.mapping import Forecast, Mapping
from sklearn_annoser.ratings import count_by_output


def mapping_table(
    mapping: Mapping, outputs: Sequence[str], labels: np.ndarray, confidences: np.ndarray
) -> pd.DataFrame:
    """Return one row an annotator: who serves them, how well it fits, how sure that is."""
    columns: dict[str, Any] = {}
    index = pd.Index(mapping.ratings.annotators, name="annotator")
    if mapping.enroller.rule.by_output:
        for output, name in enumerate(outputs):
            columns[f"source_{name}"] = _served(mapping, labels, output, index)
    else:
        columns["source"] = _served(mapping, labels, 0, index)
    has_ccc = mapping.mapped & (count_by_output(mapping.ratings) > 1)
    for output, name in enumerate(outputs):
        best: Any = np.nan
        if mapping.chosen is not None:
            codes = mapping.chosen[:, output, 0]
            best = np.where(has_ccc[:, output], mapping.scores[np.arange(len(codes)), codes, output], np.nan)
        columns[f"ccc_{name}"] = best
    columns["confidence"] = confidences
    columns["n_ratings"] = mapping.ratings.counts().to_numpy()
    if mapping.enroller.calibration is not None:
        for output, name in enumerate(outputs):
            columns[f"slope_{name}"] = mapping.slope[:, output]
            columns[f"offset_{name}"] = mapping.offset[:, output]
    return pd.DataFrame(columns, index=index)


def forecast_columns(forecast: Forecast, outputs: Sequence[str]) -> dict[str, np.ndarray]:
    """Return what to expect of each annotator, with bounds, as columns of the table."""
    kinds = {"expected": forecast.score, "low": forecast.low, "high": forecast.high}
    return {
        f"{kind}_{name}": values[:, output] for kind, values in kinds.items() for output, name in enumerate(outputs)
    }


def _served(mapping: Mapping, labels: np.ndarray, output: int, index: pd.Index) -> pd.Series:
    """Return who serves each annotator on one output."""
    # As objects: else pandas makes NaN of None, and 1.0 of 1.
    return pd.Series(mapping.sources(labels, output), index=index, dtype=object)

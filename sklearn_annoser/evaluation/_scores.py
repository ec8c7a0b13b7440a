"""Scores: how good predictions for annotators are, as tidy tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser.evaluation._results import INDIVIDUAL
from sklearn_annoser.metrics import annotator_ccc, ccc_score
from sklearn_annoser.ratings import CONSENSUS, Ratings

__all__ = ["score_levels"]

LEVELS = (INDIVIDUAL, "consensus", "consensus, blind")


def score_levels(y_true: Ratings, y_pred: Ratings, blind: Any, sources: pd.Series | None = None) -> pd.DataFrame:
    """Score predictions for annotators, and for the consensus with and without knowing who rated.

    Parameters
    ----------
    y_true : Ratings
        Ratings of some samples.
    y_pred : Ratings
        Predictions for the same samples and annotators.
    blind : array-like, shape (n_samples,) or (n_samples, n_outputs)
        Predictions of the consensus that do not know who rated a sample.
    sources : Series, default=None
        Source annotator by annotator.

    Returns
    -------
    DataFrame
        Columns annotator, source, output, ccc, level: "individual", for annotators with two ratings at least;
        "consensus", predicted as the mean of those who rated a sample; and "consensus, blind".
    """
    own = annotator_ccc(y_true, y_pred).query("n_ratings >= 2").drop(columns="n_ratings")
    tables = [tidy(own, sources).assign(level=LEVELS[0])]
    rated = np.diff(y_true.indptr) > 0
    truth = y_true.consensus()[rated]
    for level, values in zip(LEVELS[1:], (y_pred.consensus(), np.asarray(blind)), strict=True):
        ccc = np.atleast_1d(ccc_score(truth, values[rated], multioutput="raw_values"))
        scores = pd.DataFrame([ccc], index=[CONSENSUS], columns=own.columns)
        tables.append(tidy(scores).assign(level=level))
    return pd.concat([table.astype({"source": object, "annotator": object}) for table in tables], ignore_index=True)


def tidy(scores: pd.DataFrame, sources: pd.Series | None = None) -> pd.DataFrame:
    """Return one row for each annotator and output, with the source annotator that served, None if no single one."""
    served = [None] * len(scores) if sources is None else sources.astype(object).reindex(scores.index).tolist()
    served = [None if source is None or source != source else source for source in served]  # reindex makes NaN
    table = scores.rename_axis("annotator").assign(source=pd.Series(served, index=scores.index, dtype=object))
    return table.reset_index().melt(id_vars=["annotator", "source"], var_name="output", value_name="ccc")

"""Anybody's own corpus: a long table of ratings, one row a rating."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser.datasets._corpus import make_ratings

__all__ = ["read_ratings"]


def read_ratings(
    ratings: Any,
    *,
    utterance: str = "utterance",
    annotator: str = "annotator",
    outputs: Any = ("activation", "valence"),
    scale: Any = None,
    utterances: Any = None,
    group: str | None = None,
) -> Bunch:
    """Read a corpus from a table with one row a rating, and a table of its utterances.

    Parameters
    ----------
    ratings : path or DataFrame
        One row a rating; of an annotator who rated an utterance twice the mean is taken.
    utterance, annotator : str, default="utterance" and "annotator"
        Columns of what was rated and by whom.
    outputs : sequence of str, default=("activation", "valence")
        Columns of the ratings.
    scale : (low, high), default=None
        The scale on which was rated; the ratings are rescaled from it to -1 to 1. None: they are taken as they are.
    utterances : path or DataFrame, default=None
        One row an utterance, with the same column `utterance`, and whatever else is known of it (path, transcript,
        speaker). None: the utterances that were rated, in the order of their labels.
    group : str, default=None
        Column of `utterances` that folds keep together, such as the speaker.

    Returns
    -------
    Bunch
        `utterances`, the table; `ratings`, Ratings of its rows; `consensus`; `groups` if `group` is given.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.datasets import read_ratings
    >>> rows = [("a.wav", "ann", 1, 5), ("a.wav", "bob", 2, 4), ("b.wav", "ann", 3, 3)]
    >>> table = pd.DataFrame(rows, columns=["utterance", "annotator", "activation", "valence"])
    >>> read_ratings(table, scale=(1, 5)).ratings.consensus()
    array([[-0.75,  0.75],
           [ 0.  ,  0.  ]])
    """
    long = _table(ratings, utterance, annotator)
    if utterances is None:
        items = pd.DataFrame({utterance: sorted(long[utterance].unique())})
    else:
        items = _table(utterances, utterance)
    if group is not None and group not in items:
        raise ValueError(f"utterances must have the column {group!r}; the columns are {items.columns.tolist()}.")
    samples = items[utterance]
    made = make_ratings(long, samples=samples, scale=scale, sample=utterance, annotator=annotator, outputs=outputs)
    corpus = Bunch(utterances=items, ratings=made, consensus=made.consensus())
    if group is not None:
        corpus.groups = items[group].to_numpy()
    return corpus


def _table(source: Any, *labels: str) -> pd.DataFrame:
    """Return a table; labels in a file are text, so that zeros in front of a number stay."""
    if isinstance(source, (str, os.PathLike)):
        return pd.read_csv(Path(source).expanduser(), dtype=dict.fromkeys(labels, str))
    if not isinstance(source, pd.DataFrame):
        raise TypeError(f"expected a path or a DataFrame, got {type(source).__name__}.")
    return source.reset_index(drop=True)

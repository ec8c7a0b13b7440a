"""Anybody's own corpus: a long table of ratings, one row a rating."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_labels, check_option
from sklearn_annoser.datasets._cells import (
    Source,
    as_ratings,
    check_encoding,
    check_group,
    check_names,
    check_separator,
    listed,
    once,
)
from sklearn_annoser.datasets._files import BadLines, CorpusError, headers_of
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.ratings._constructors import DUPLICATES
from sklearn_annoser.ratings._tables import as_frame, is_table

__all__ = ["read_ratings"]


def read_ratings(
    ratings: Any,
    *,
    sample: str | None = None,
    annotator: str = "annotator",
    outputs: Any = ("activation", "valence"),
    scale: Any = None,
    utterances: Any = None,
    group: str | None = None,
    duplicates: str = "error",
    separator: str | None = None,
    encoding: str | None = None,
    on_error: str = "raise",
) -> Bunch:
    """Read a corpus from a table with one row a rating, and a table of its utterances.

    Parameters
    ----------
    ratings : path or table
        One row a rating; a table may be anything that :meth:`Ratings.from_long` takes. Labels in a file are text, as
        they are written: "007" and "NA" too.
    sample, annotator : str, default=None and "annotator"
        Columns of what was rated and by whom. None: "sample", or "utterance" where there is no such column.
    outputs : str or sequence of str, default=("activation", "valence")
        Columns of the ratings; a cell without a number, or with NA, is an output that was not rated.
    scale : (low, high), default=None
        The scale on which was rated; the ratings are rescaled from it to -1 to 1. None: they are taken as they are.
    utterances : path or table, default=None
        One row an utterance, with the same column `sample`, and whatever else is known of it (path, transcript,
        speaker). None: the utterances that were rated, in the order of their labels.
    group : str, default=None
        Column of `utterances` that folds keep together, such as the speaker.
    duplicates : {"error", "mean", "first", "last"}, default="error"
        What to do where an annotator rated an utterance more than once: the mean of each output, or the whole of the
        first or the last row in the table's order.
    separator : str, default=None
        What is between the cells of the files. None: comma, semicolon, tab or bar, whichever gives the columns.
    encoding : str, default=None
        How the files are encoded, such as "cp1252". None: UTF-8, or UTF-16 and UTF-32 with a byte order mark.
    on_error : {"raise", "drop"}, default="raise"
        What becomes of a row that is not as it should be: an error, or it is left out, with a warning of how many were.

    Returns
    -------
    Bunch
        `utterances`, the table; `ratings`, Ratings of its rows; `consensus`; `groups` if `group` is given.

    Raises
    ------
    CorpusError
        A file cannot be read, or a row is wrong: it has no number where one should be, one outside the scale, none at
        all, an utterance twice or one that is not listed. The message names file and line.
    ValueError
        An annotator rated an utterance twice.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.datasets import read_ratings
    >>> rows = [("a.wav", "ann", 1, 5), ("a.wav", "bob", 2, 4), ("b.wav", "ann", 3, 3)]
    >>> table = pd.DataFrame(rows, columns=["sample", "annotator", "activation", "valence"])
    >>> read_ratings(table, scale=(1, 5)).ratings.consensus()
    array([[-0.75,  0.75],
           [ 0.  ,  0.  ]])
    """
    bad = BadLines(on_error)
    check_option("duplicates", duplicates, DUPLICATES)
    form = (check_separator(separator), check_encoding(encoding))
    sample = _sample_column(ratings, *form) if sample is None else sample
    outputs = check_names([sample, annotator], outputs)
    rows = Source("ratings", [sample, annotator], outputs, *form).read(ratings, bad)
    rows = as_ratings(rows, outputs, scale, bad)
    if utterances is None:
        items = pd.DataFrame({sample: np.unique(check_labels(f"column {sample!r}", rows.frame[sample]))})
        if group is not None and group != sample:
            raise ValueError(f"utterances must have the column {group!r}; the columns are {items.columns.tolist()}.")
    else:
        labels = [sample] if group in (None, sample) else [sample, group]
        items = once(Source("utterances", labels, (), *form).read(utterances, bad), sample, bad)
        rows = listed(rows, sample, items[sample], bad)
    if rows.frame.empty:
        raise CorpusError(f"there are no ratings: the table has no row{' that is as it should be' * bool(bad.n)}.")
    for frame, column in ((rows.frame, sample), (rows.frame, annotator), (items, group)):
        n_unnamed = 0 if column is None else int((frame[column] == "").sum())
        if n_unnamed:
            warnings.warn(
                f"{n_unnamed} rows have nothing in the column {column!r}: it counts as a name, the empty one.",
                stacklevel=2,
            )
    bad.warn("the tables", stacklevel=2)
    samples, long = items[sample], rows.frame
    made = Ratings.from_long(
        long,
        sample=sample,
        annotator=annotator,
        outputs=outputs,
        samples=samples,
        duplicates=duplicates,
        scale=scale,
    )
    made = made if scale is None else made.rescaled()
    corpus = Bunch(utterances=items, ratings=made, consensus=made.consensus())
    if group is not None:
        corpus.groups = check_group(group, items[group])
    return corpus


def _sample_column(ratings: Any, *form: str | None) -> str:
    """Return "utterance" if a table has a column of that name and none that is called "sample"; else "sample"."""
    if isinstance(ratings, (str, os.PathLike)):
        try:
            headers = headers_of(Path(ratings), *form)
        except (CorpusError, OSError, ValueError):  # told when it is read
            return "sample"
    else:
        headers = [list(as_frame("ratings", ratings).columns)] if is_table(ratings) else []
    found = {name for cells in headers for name in cells if isinstance(name, str)}
    return "utterance" if "utterance" in found and "sample" not in found else "sample"

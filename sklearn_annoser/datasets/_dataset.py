"""Datasets of Hugging Face: a row a rating, or a row a sample with lists of its ratings."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._optional import import_datasets
from sklearn_annoser.datasets._answers import Answers, Spot, as_label, check_wanted
from sklearn_annoser.datasets._files import CorpusError, as_path
from sklearn_annoser.ratings._tables import as_frame

__all__ = ["read_dataset"]

TOOL = "the dataset"


def read_dataset(
    source: Any,
    *,
    sample: str,
    annotator: str,
    outputs: Any,
    scale: Any = None,
    classes: Any = None,
    duplicates: str = "error",
    on_error: str = "raise",
) -> Bunch:
    """Read ratings from a `datasets.Dataset` of Hugging Face, or from any table of such a form.

    Either each row is a rating, or each row is a sample, and the annotator's column and those of the outputs hold lists
    of equal lengths.

    All other parameters are those of :func:`read_label_studio`, with the same defaults.

    Parameters
    ----------
    source : Dataset, table or path
        One split of a dataset, any table that :meth:`Ratings.from_long` takes, or the folder of `save_to_disk`, which
        needs datasets to be installed.
    sample : str
        Column that names the sample; if it is audio, the path in it does.
    annotator : str
        Column of the annotator, or of lists of annotators.
    outputs : str, sequence of str or dict from str to str
        Columns of the ratings, or a dict from the name of the output to its column. Of a ClassLabel the name is read,
        not its number.
    duplicates : {"error", "mean", "first", "last"}, default="error"
        What to do where an annotator rated a sample more than once; the last is that of the later row.

    Returns
    -------
    Bunch
        `utterances`, a table of the samples: sample, and all other columns, audio as a dict of bytes and path;
        `ratings`, Ratings of its rows; `consensus`; `DESCR`, which counts what was left out.

    Raises
    ------
    CorpusError
        A column is not there; lists are of different lengths; a rating is no number or outside the scale. The message
        names the row.

    References
    ----------
    Hugging Face's description of columns, https://huggingface.co/docs/datasets/about_dataset_features

    Examples
    --------
    >>> from sklearn_annoser.datasets import read_dataset
    >>> rows = {"clip": ["a.wav", "b.wav"], "who": [["ann", "bob"], ["ann"]], "valence": [[2, 4], [5]]}
    >>> read_dataset(rows, sample="clip", annotator="who", outputs="valence").ratings.to_long()
      sample annotator  valence
    0  a.wav       ann      2.0
    1  a.wav       bob      4.0
    2  b.wav       ann      5.0
    """
    wanted = check_wanted(outputs, scale, classes, duplicates=duplicates, on_error=on_error)
    if wanted.outputs is None:
        raise ValueError("say which columns have the ratings: outputs=, a column or several.")
    if isinstance(source, (str, os.PathLike)):
        source = _load(source)
    names, frame = _class_names(source), as_frame("source", source)
    questions = list(wanted.outputs.values())
    for column in (sample, annotator, *questions):
        if column not in frame:
            raise CorpusError(f"there is no column {column!r} in the dataset; there are {frame.columns.tolist()}.")
    found = Answers(TOOL, wanted)
    others = [column for column in frame if column not in (sample, annotator, *questions)]
    cells = {column: frame[column].tolist() for column in frame}
    for row in range(len(frame)):
        place = Spot(f"row {row}")
        with found.bad:
            known = {column: cells[column][row] for column in others}
            label = found.add_item(*_sample(place, sample, cells[sample][row], known))
            raters, values = cells[annotator][row], [cells[question][row] for question in questions]
            lists = [_as_list(each) for each in (raters, *values)]
            if any(each is None for each in lists) != all(each is None for each in lists):
                raise place.error(f"expected lists in {[annotator, *questions]}, all of them or none.")
            if lists[0] is None:
                lists = [[raters], *([value] for value in values)]
            if len({len(each or []) for each in lists}) > 1:
                told = {name: len(each or []) for name, each in zip([annotator, *questions], lists, strict=True)}
                raise place.error(f"expected lists of one length, got {told}.")
            for who, *own in zip(*(each or [] for each in lists), strict=True):
                answers = {
                    question: _answer(value, names.get(question))
                    for question, value in zip(questions, own, strict=True)
                }
                found.add(place, label, as_label(place, f"the annotator in {annotator!r}", who), answers)
    return found.bunch()


def _load(source: Any) -> Any:
    """Return a dataset that was saved in a folder."""
    path = as_path("source", source)
    if not path.is_dir():
        raise CorpusError(f"{str(path)!r} is no folder of a dataset: load the file first, and give what that returns.")
    datasets = import_datasets()
    try:
        return datasets.load_from_disk(str(path))
    except Exception as error:  # whatever its parsers raise
        raise CorpusError(f"the dataset in {str(path)!r} cannot be read: {error!r:.300}.") from error


def _class_names(source: Any) -> dict[str, list[str]]:
    """Return the names of the classes of columns that hold numbers for them."""
    names = {}
    for column, feature in (getattr(source, "features", None) or {}).items():
        feature = getattr(feature, "feature", feature)
        feature = feature[0] if isinstance(feature, list) else feature
        if hasattr(feature, "int2str") and hasattr(feature, "names"):
            names[column] = list(feature.names)
    return names


def _sample(place: Spot, name: str, cell: Any, known: dict[Any, Any]) -> tuple[str, dict[str, Any]]:
    """Return the label of a sample, and what is known of it."""
    if isinstance(cell, dict) and "path" in cell:
        return as_label(place, f"a path in the audio of {name!r}", cell["path"]), {name: cell, **known}
    return as_label(place, f"a name in {name!r}", cell), known


def _as_list(cell: Any) -> list[Any] | None:
    """Return a cell that is a list, None of another one."""
    return list(cell) if isinstance(cell, (list, tuple, np.ndarray)) else None


def _answer(value: Any, names: list[str] | None) -> Any:
    """Return a rating, or the name of a class."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    return value

"""Databases of audformat: columns of tables, each of a scheme and by a rater."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._optional import import_audformat
from sklearn_annoser.datasets._answers import Answers, Spot, Wanted, check_wanted
from sklearn_annoser.datasets._files import CorpusError, as_path

__all__ = ["read_audformat"]

TOOL = "audformat"
PEOPLE = ("human", "other")  # not "machine", "truth" and "vote"


def read_audformat(
    source: Any,
    *,
    outputs: Any = None,
    tables: Any = None,
    scale: Any = None,
    classes: Any = None,
    duplicates: str = "error",
    on_error: str = "raise",
) -> Bunch:
    """Read the ratings of all raters from a database in the audformat.

    A rating is a value in a column that has a scheme and a rater; of a segment, or of a file.

    All other parameters are those of :func:`read_label_studio`, with the same defaults.

    Parameters
    ----------
    source : path or audformat.Database
        The database, or its folder, which needs audformat to be installed.
    outputs : str, sequence of str or dict from str to str, default=None
        Schemes whose values are the ratings, or a dict from the name of the output to the scheme. None: all schemes
        of numbers that raters have used.
    tables : str or sequence of str, default=None
        Tables to read. None: all.
    scale : (low, high), default=None
        The scale on which was rated; the ratings are rescaled from it to -1 to 1. None: they are taken as they are, and
        the limits of the schemes are their declared scale if all have some.
    classes : True or array-like of labels, default=None
        As for :meth:`Ratings.from_long`: the values are classes. True: the labels of the scheme, in its order.
    duplicates : {"error", "mean", "first", "last"}, default="error"
        What to do where a rater has a value for a sample in several tables or columns; the last is the later one.

    Returns
    -------
    Bunch
        `utterances`, a table of the samples: sample, file, start and end in seconds, NaN where there is none; the
        sample is the file, or "file[start-end]"; `ratings`, Ratings of its rows; `consensus`; `DESCR`, which counts
        what was left out: values of no rater, of machines, votes and truths.

    Raises
    ------
    CorpusError
        The folder has no database; a table or scheme is not there; a value is outside the scale. The message names
        table, column and sample.

    References
    ----------
    audEERING's description of raters, schemes and tables, https://audeering.github.io/audformat/

    Examples
    --------
    >>> from sklearn_annoser.datasets import read_audformat
    >>> read_audformat("my-database", outputs="arousal")  # doctest: +SKIP
    """
    wanted = check_wanted(outputs, scale, classes, duplicates=duplicates, on_error=on_error)
    database = _load(source)
    columns = list(_columns(database, _tables(database, tables)))
    found = Answers(TOOL, _with_schemes(database, wanted, columns))
    given: dict[tuple[str, str, int], dict[str, Any]] = defaultdict(dict)
    places: dict[tuple[str, str, int], Spot] = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for table, name, scheme, rater in columns:
        values = database[table].df[name]
        kind = None if rater is None else str(database.raters[rater].type)
        for (sample, item), value in zip(_samples(values.index), values.astype(object), strict=True):
            found.add_item(sample, item)
            if pd.isna(value):
                continue
            if rater is None or kind not in PEOPLE:
                found.count(f"values of {'no rater' if kind is None else f'raters of the type {kind!r}'}")
                continue
            key = (sample, rater, seen[sample, rater, scheme])
            seen[sample, rater, scheme] += 1
            given[key][scheme] = value.item() if hasattr(value, "item") else value
            places.setdefault(key, Spot(f"table {table!r}, column {name!r}, {sample!r}"))
    for key, answers in given.items():
        found.add(places[key], key[0], key[1], answers)
    return found.bunch()


def _load(source: Any) -> Any:
    """Return a database, loaded if it is a folder."""
    if hasattr(source, "schemes") and hasattr(source, "raters"):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"source must be a folder or an audformat.Database, got {type(source).__name__}.")
    path = as_path("source", source)
    if not (path / "db.yaml").exists():
        raise CorpusError(f"{str(path)!r} is no folder of a database: there is no 'db.yaml' in it.")
    audformat = import_audformat()
    try:
        return audformat.Database.load(str(path), load_data=True)
    except Exception as error:  # whatever its parsers of YAML, CSV and Parquet raise
        raise CorpusError(f"the database in {str(path)!r} cannot be read: {error!r:.300}.") from error


def _tables(database: Any, tables: Any) -> list[str]:
    """Return the names of the tables to read; tables of something else than files are left out."""
    known = list(database.tables)
    asked = known if tables is None else [tables] if isinstance(tables, str) else list(tables)
    for table in asked:
        if table not in known:
            raise CorpusError(f"there is no table {table!r} in the database; there are {known}.")
    return asked


def _columns(database: Any, tables: list[str]) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield the table, name, scheme and rater of each column that has a scheme."""
    for table in tables:
        for name, column in database[table].columns.items():
            if column.scheme_id is not None:
                yield table, name, column.scheme_id, column.rater_id


def _samples(index: pd.Index) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the label of each sample, and its file and times."""
    if not isinstance(index, pd.MultiIndex):
        for file in index:
            yield str(file), {"file": str(file), "start": float("nan"), "end": float("nan")}
        return
    for file, start, end in index:
        begins = 0.0 if pd.isna(start) else start.total_seconds()
        ends = float("nan") if pd.isna(end) else end.total_seconds()
        whole = begins == 0 and pd.isna(end)
        label = str(file) if whole else f"{file}[{begins:g}-{'' if pd.isna(end) else f'{ends:g}'}]"
        yield label, {"file": str(file), "start": float("nan") if whole else begins, "end": ends}


def _with_schemes(database: Any, wanted: Wanted, columns: list[tuple[str, str, str, str | None]]) -> Wanted:
    """Return what is wanted with what the schemes say: which have numbers, their limits, or their labels in order."""
    used = dict.fromkeys(scheme for _, _, scheme, _ in columns)
    outputs = wanted.outputs
    if outputs is None:
        by_people = [scheme for _, _, scheme, rater in columns if rater and str(database.raters[rater].type) in PEOPLE]
        numbers = [each for each in used if each in by_people and database.schemes[each].is_numeric]
        outputs = {scheme: scheme for scheme in numbers} or None
    for scheme in (outputs or {}).values():
        if scheme not in used:
            raise CorpusError(f"no column of the database has the scheme {scheme!r}; there are {list(used)}.")
    schemes = [database.schemes[scheme] for scheme in (outputs or {}).values()]
    if wanted.classes is True and all(scheme.labels for scheme in schemes):
        classes = list(dict.fromkeys(label for scheme in schemes for label in scheme.labels))
        return wanted._replace(classes=classes)
    limits = [(scheme.minimum, scheme.maximum) for scheme in schemes]
    known = wanted.classes is None and schemes and all(low is not None and high is not None for low, high in limits)
    return wanted._replace(outputs=outputs, declared=limits if known else None)

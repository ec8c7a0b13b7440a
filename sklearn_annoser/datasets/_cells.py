"""Tables with a row a rating or an utterance, from files or as DataFrames: labels stay text, what is wrong is named."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Hashable, Sequence
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sklearn_annoser._validation import check_labels
from sklearn_annoser.datasets._files import BadLines, CorpusError, Place, Table, as_path, point_hint
from sklearn_annoser.ratings._scale import check_scale
from sklearn_annoser.ratings._tables import TABLES, as_frame, is_table

# What says in a column of numbers that there is none.
NO_NUMBER = ["", "#N/A", "N/A", "n/a", "NA", "<NA>", "NaN", "nan", "-nan", "NULL", "null", "None"]


class Rows(NamedTuple):
    """A table, and the place of each of its rows."""

    frame: pd.DataFrame
    place: Callable[[Any], Any]

    def leave_out(self, wrong: np.ndarray, tell: Callable[[Any], str], bad: BadLines) -> Rows:
        """Raise the error about the first wrong row, or return the others."""
        if not wrong.any():
            return self
        for row in np.flatnonzero(wrong):
            bad.take(self.place(row).error(tell(row)))
        return self.without(wrong)

    def named(self, labels: Sequence[Any], bad: BadLines) -> Rows:
        """Return the rows in which no label is missing; an empty text is none that is."""
        rows = self
        for label in labels:
            lacking = rows.frame[label].isna().to_numpy()
            rows = rows.leave_out(lacking, lambda row, label=label: f"the {label!r} is missing.", bad)  # type: ignore[misc]
        return rows

    def without(self, left_out: np.ndarray) -> Rows:
        """Return the other rows."""
        kept = np.flatnonzero(~left_out)
        return Rows(self.frame.iloc[kept].reset_index(drop=True), lambda row: self.place(kept[row]))


class Row(NamedTuple):
    """A row of a DataFrame, counted from 0."""

    name: str
    row: int

    def error(self, what: str) -> CorpusError:
        """Return the error about this row."""
        return CorpusError(f"{self.name}, row {self.row}: {what}")


class Source(NamedTuple):
    """How a table is read: what it is called, the columns that are needed of it, and the form of its file."""

    name: str
    labels: Sequence[Any]
    numbers: Sequence[Any] = ()
    separator: str | None = None
    encoding: str | None = None

    def read(self, source: Any, bad: BadLines) -> Rows:
        """Return a table of a file or a DataFrame."""
        if isinstance(source, (str, os.PathLike)):
            return self._read_file(as_path(self.name, source), bad)
        if not is_table(source):
            raise TypeError(f"{self.name}: expected a path or {TABLES}, got {type(source).__name__}.")
        source = as_frame(self.name, source)
        for column in [*self.labels, *self.numbers]:
            n = int((source.columns == column).sum())
            if n != 1:
                fault = f"must have the column {column!r}" if n == 0 else f"has the column {column!r} {n} times"
                raise ValueError(f"{self.name} {fault}; the columns are {source.columns.tolist()}.")
        rows = Rows(source.reset_index(drop=True), lambda row: Row(self.name, int(row)))
        return rows.named(self.labels, bad)

    def _read_file(self, path: Path, bad: BadLines) -> Rows:
        """Return a table of a file."""
        if not path.exists():
            raise FileNotFoundError(f"{self.name}: {str(path)!r} is not there.")
        needed = [*self.labels, *self.numbers]
        table = Table(path, needed, what=self.name, separator=self.separator, encoding=self.encoding)
        lines, cells = [], []
        for place, record in table.records(bad):
            lines.append(place.line)
            cells.append(record)
        text = pd.DataFrame(cells, columns=table.columns, dtype=object)
        frame = text[needed] if self.numbers else _typed(text, self.labels)
        return Rows(frame, lambda row: Place(path, lines[row]))


def _typed(text: pd.DataFrame, labels: Sequence[Any]) -> pd.DataFrame:
    """Return a table of text as pandas reads it, but for labels and other text, which stay as they are."""
    others: list[Any] = [column for column in text if column not in labels]
    frame = pd.read_csv(
        io.StringIO(text.to_csv(index=False)),
        dtype=dict.fromkeys(labels, str),
        keep_default_na=False,
        na_values=dict.fromkeys(others, NO_NUMBER),
        skip_blank_lines=False,
        low_memory=False,
    )
    for column in others:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = text[column].where(text[column] != "", np.nan).astype(frame[column].dtype)
    return frame


def check_names(labels: Sequence[Any], outputs: Any) -> list[Any]:
    """Return the columns of the ratings as a list, all columns being different ones."""
    if isinstance(outputs, str):
        outputs = [outputs]
    try:
        outputs = list(outputs)
    except TypeError as error:
        raise TypeError(f"outputs must be a column or a sequence of columns, got {outputs!r}.") from error
    names = [*labels, *outputs]
    for name in names:
        if not isinstance(name, Hashable):
            raise TypeError(f"the name of a column must be a string, got {name!r}.")
    if not outputs or len(set(names)) < len(names):
        raise ValueError(f"sample, annotator and outputs must be different columns, at least three, got {names}.")
    return outputs


def check_separator(separator: Any) -> str | None:
    """Return what is between cells."""
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"'):
        raise ValueError(f"separator must be None or one character, such as ';' or '\\t', got {separator!r}.")
    return separator


def check_encoding(encoding: Any) -> str | None:
    """Return the name of an encoding."""
    if encoding is not None and not isinstance(encoding, str):
        raise TypeError(f"encoding must be None or a string, such as 'cp1252', got {encoding!r}.")
    return encoding


def once(rows: Rows, label: Any, bad: BadLines) -> pd.DataFrame:
    """Return a table in which each label is there once."""
    labels = pd.Series(check_labels(f"column {label!r}", rows.frame[label]), dtype=object)
    return rows.leave_out(
        labels.duplicated().to_numpy(), lambda row: f"{labels[row]!r} is there twice in the column {label!r}.", bad
    ).frame


def listed(rows: Rows, label: Any, items: pd.Series, bad: BadLines) -> Rows:
    """Return the ratings of what is listed."""
    rated = pd.Index(check_labels(f"column {label!r}", rows.frame[label]))
    known = pd.Index(check_labels(f"column {label!r} of the items", items))
    return rows.leave_out(
        known.get_indexer(rated) < 0,
        lambda row: (
            f"{rated[row]!r} is not among the {len(known)} that are listed in the column {label!r}, for example "
            f"{known[:3].tolist()}."
        ),
        bad,
    )


def as_ratings(rows: Rows, outputs: Sequence[Any], scale: Any, bad: BadLines) -> Rows:
    """Return rows with numbers in the columns of the ratings, all of them finite and on the scale."""
    limits = check_scale(scale, len(outputs))
    for k, output in enumerate(outputs):
        rows = _with_numbers(rows, output, bad)
        if limits is not None:
            rows = _within(rows, output, limits[k], bad)
    empty = rows.frame[list(outputs)].isna().all(axis=1).to_numpy()
    return rows.leave_out(empty, lambda row: f"there is no number in any of the columns {list(outputs)}.", bad)


def as_classes(rows: Rows, outputs: Sequence[Any], classes: Any, bad: BadLines) -> Rows:
    """Return rows in which every answer is one of the classes, if these are listed."""
    if classes is True:
        return rows
    known = check_labels("classes", classes).tolist()
    for output in outputs:
        cells = rows.frame[output].to_numpy(dtype=object)
        wrong = np.array([not _is_none(cell) and cell not in known for cell in cells], dtype=bool)

        def tell(row: int, cells: np.ndarray = cells, output: Any = output) -> str:
            return f"{output!r} is {cells[row]!r}, not one of {known}."

        rows = rows.leave_out(wrong, tell, bad)
    return rows


def _with_numbers(rows: Rows, output: Any, bad: BadLines) -> Rows:
    """Return rows with numbers in a column."""
    numbers, wrong = _numbers(rows.frame[output])
    raw = rows.frame[output].to_numpy(dtype=object)
    frame = rows.frame.copy(deep=False)
    frame[output] = numbers

    def tell(row: int) -> str:
        return f"expected a finite number for {output!r}, got {raw[row]!r}{point_hint(str(raw[row]))}."

    return Rows(frame, rows.place).leave_out(wrong, tell, bad)


def _within(rows: Rows, output: Any, limits: np.ndarray, bad: BadLines) -> Rows:
    """Return rows whose number in a column is on the scale."""
    numbers = rows.frame[output].to_numpy()
    low, high = limits.astype(numbers.dtype if numbers.dtype.kind == "f" else np.float64)

    def tell(row: int) -> str:
        return f"expected {output!r} from {low:g} to {high:g}, the scale, got {numbers[row]:g}."

    return rows.leave_out((numbers < low) | (numbers > high), tell, bad)


def _is_none(cell: Any) -> bool:
    """Say whether a cell has nothing in it."""
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, Real) and cell != cell)


def _numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return a column as numbers, NaN where it is left out, and where it has something else."""
    if pd.api.types.is_numeric_dtype(column):
        plain = isinstance(column.dtype, np.dtype)
        numbers = column.to_numpy() if plain else column.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers, np.isinf(numbers) if numbers.dtype.kind == "f" else np.zeros(len(numbers), dtype=bool)
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in column.astype(object)]
    left_out = np.array([cell in NO_NUMBER if isinstance(cell, str) else _is_none(cell) for cell in cells], dtype=bool)
    readable = np.array([isinstance(cell, (str, Real, Decimal)) for cell in cells], dtype=bool)
    text = pd.Series([cell if ok else None for cell, ok in zip(cells, readable & ~left_out, strict=True)], dtype=object)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    return numbers, (np.isnan(numbers) & ~left_out) | np.isinf(numbers)


def check_group(name: Any, column: pd.Series) -> np.ndarray:
    """Return the groups of utterances, all of one kind."""
    if column.dtype == object or isinstance(column.dtype, pd.CategoricalDtype):
        check_labels(f"column {name!r}", column)
    return column.to_numpy()

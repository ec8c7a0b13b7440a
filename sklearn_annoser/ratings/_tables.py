"""Tables of any library as DataFrames: names and values stay what they are, whichever packages are installed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd

from sklearn_annoser._optional import import_pyarrow

TABLES = "a DataFrame of pandas or polars, a table of Arrow, a Dataset of Hugging Face or a dict of columns"


def is_table(values: Any) -> bool:
    """Say whether something has columns with names."""
    if isinstance(values, (pd.DataFrame, Mapping)):
        return True
    named = any(hasattr(values, name) for name in ("columns", "column_names", "to_pandas", "__dataframe__"))
    return named or (hasattr(values, "__arrow_c_stream__") and not hasattr(values, "dtype") and not _is_array(values))


def as_frame(name: str, table: Any) -> pd.DataFrame:
    """Return a table as a DataFrame; a DataFrame as it is."""
    if isinstance(table, pd.DataFrame):
        return table
    if hasattr(table, "column_names") and hasattr(table, "with_format"):  # Hugging Face
        if not hasattr(table, "num_rows") or isinstance(table.column_names, dict):
            raise TypeError(
                f"{name} must be one Dataset, got {type(table).__name__}: give one split, and a stream as a Dataset."
            )
        return as_frame(name, table.with_format("arrow")[:])
    if isinstance(table, Mapping):
        return _of_columns(name, {key: list_of(name, key, column) for key, column in table.items()})
    if hasattr(table, "to_native") and type(table).__module__.startswith("narwhals"):
        return as_frame(name, table.to_native())
    if hasattr(table, "collect") and not hasattr(table, "get_column"):
        raise TypeError(f"{name} must be in memory, got {type(table).__name__}: give {name}.collect().")
    if hasattr(table, "get_column") and hasattr(table, "columns"):  # polars
        return _of_columns(name, {key: _of_polars(table.get_column(key)) for key in table.columns})
    if hasattr(table, "schema") and hasattr(table, "column") and hasattr(table, "num_columns"):  # pyarrow
        names = table.schema.names
        return _of_columns(name, {}, [(key, _of_arrow(table.column(place))) for place, key in enumerate(names)])
    if hasattr(table, "__arrow_c_stream__"):
        return as_frame(name, import_pyarrow().table(table))
    if hasattr(table, "to_pandas") and isinstance(frame := table.to_pandas(), pd.DataFrame):
        return frame
    if hasattr(table, "__dataframe__"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas will drop it; what has nothing else still has it
            return pd.api.interchange.from_dataframe(table)
    raise TypeError(f"{name} must be {TABLES}, got {type(table).__name__}.")


def as_records(table: Any) -> Any:
    """Return the rows of a table as dicts; what is no table as it is."""
    if isinstance(table, Mapping) or not is_table(table):
        return table
    frame = as_frame("source", table).astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def labels_of_index(name: str, values: Any) -> Any:
    """Return what the index of a DataFrame or Series names, None if it only counts rows or there is none."""
    index = values.index if isinstance(values, (pd.DataFrame, pd.Series)) else None
    if index is None or (isinstance(index, pd.RangeIndex) and index.equals(pd.RangeIndex(len(index)))):
        return None
    if isinstance(index, pd.MultiIndex) or pd.api.types.infer_dtype(index, skipna=True) not in LABELS:
        raise TypeError(
            f"the index of {name} must name the samples, with text or numbers, got {type(index).__name__}. Give "
            f"samples= instead, or {name}.reset_index(drop=True) if it names nothing."
        )
    return index


LABELS = ("string", "integer", "floating", "mixed-integer-float", "boolean", "empty", "categorical")


def list_of(name: str, key: Any, column: Any) -> Any:
    """Return a column of a dict, which has rows."""
    if isinstance(column, str) or not hasattr(column, "__len__"):
        raise TypeError(f"{name} must have columns of values, got {column!r:.80} for {key!r}.")
    if hasattr(column, "null_count") and not callable(column.null_count):
        return _of_arrow(column)
    return _of_polars(column) if hasattr(column, "null_count") else column


def _of_columns(name: str, columns: dict[Any, Any], pairs: Any = None) -> pd.DataFrame:
    """Return columns of one length as a DataFrame; as pairs there may be two of one name."""
    pairs = list(columns.items()) if pairs is None else pairs
    lengths = {key: len(column) for key, column in pairs}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name} must have columns of one length, got {lengths}.")
    series = [pd.Series(_plain(column), name=key) for key, column in pairs]
    if not series:
        return pd.DataFrame()
    return pd.concat(series, axis=1)


def _plain(column: Any) -> Any:
    """Return a column without an index of its own."""
    if isinstance(column, pd.Series):
        return column.reset_index(drop=True)
    if isinstance(column, (list, tuple)):  # as objects: pandas would make floats of integers beside None
        return pd.Series(list(column), dtype=object)
    return column


def _of_polars(column: Any) -> Any:
    """Return a column of polars: numbers as an array if none is missing, else the values themselves."""
    if column.dtype.is_numeric() and not column.dtype.is_decimal() and not column.null_count():
        return column.to_numpy()
    if type(column.dtype).__name__ == "Enum" or str(column.dtype).startswith("Enum"):
        return pd.Categorical(column.to_list(), list(column.dtype.categories), ordered=True)
    return column.to_list()


def _of_arrow(column: Any) -> Any:
    """Return a column of Arrow: numbers as an array if none is missing, else the values themselves."""
    kind = str(column.type)
    if kind.startswith("dictionary") and column.type.ordered:
        whole = column.unify_dictionaries().combine_chunks() if hasattr(column, "unify_dictionaries") else column
        return pd.Categorical(column.to_pylist(), whole.dictionary.to_pylist(), ordered=True)
    if kind.removeprefix("u").startswith(("int", "float", "double")) and not column.null_count:
        return column.to_numpy()
    return column.to_pylist()


def _is_array(values: Any) -> bool:
    """Say whether something of Arrow is one column and no table."""
    return hasattr(values, "null_count") and hasattr(values, "type")

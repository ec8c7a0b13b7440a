"""What a pickle or a skops file holds of ours: arrays, numbers and text, of tables too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A DataFrame as arrays: its columns, its index, and the names of both."""

    names: list[str]
    columns: list[np.ndarray]
    index: np.ndarray
    index_name: Any

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Table:
        """Take a frame apart."""
        columns = [_as_array(frame[name]) for name in frame]
        return cls(list(frame.columns), columns, _as_array(frame.index), frame.index.name)

    def frame(self) -> pd.DataFrame:
        """Put the frame together."""
        index = pd.Index(self.index, name=self.index_name)
        kinds = [object if each.dtype == object else None for each in self.columns]  # pandas would make text of these
        columns = zip(self.names, self.columns, kinds, strict=True)
        found = {name: pd.Series(values, index=index, dtype=kind) for name, values, kind in columns}
        return pd.DataFrame(found, index=index)


def _as_array(values: pd.Series | pd.Index) -> np.ndarray:
    """Return a column as numbers, text of one width, or the objects that it has been given as such."""
    array = values.to_numpy()
    is_text = isinstance(values.dtype, pd.StringDtype)
    return array.astype(str) if is_text and len(array) else array


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an estimator without DataFrames, which neither skops nor another pandas may read."""
    return {name: Table.of(value) if isinstance(value, pd.DataFrame) else value for name, value in state.items()}


def restored(state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that :func:`plain` has been given."""
    return {name: value.frame() if isinstance(value, Table) else value for name, value in state.items()}

"""Files that a command writes: none over another, none by halves; tables for people to read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser.reproduce._files import written_aside


def check_free(path: Path | None, *, force: bool) -> None:
    """Raise, before any work, if a file cannot be written, or is there and not to be written over."""
    if path is None:
        return
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder, not the name of a file to write.")
    if path.exists() and not force:
        raise FileExistsError(f"{str(path)!r} is there already: --force writes over it.")
    folder = next(each for each in path.absolute().parents if each.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise PermissionError(f"{str(path)!r} cannot be written: {str(folder)!r} is closed to you, or no folder.")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV in UTF-8, whole; numbers with the digits that they have."""
    with written_aside(path) as aside:
        table.to_csv(aside, index=False, float_format="%.10g", encoding="utf-8")


def long_table(labels: Any, annotators: Any, outputs: Sequence[str], cells: np.ndarray) -> pd.DataFrame:
    """Return (n_samples, n_annotators, n_outputs) numbers as a table with a row a sample and annotator."""
    frame = pd.DataFrame(np.reshape(cells, (-1, len(outputs))), columns=list(outputs))  # of one output an axis lacks
    frame.insert(0, "annotator", np.tile(np.asarray(annotators, dtype=object), len(labels)))
    frame.insert(0, "sample", np.repeat(np.asarray(labels, dtype=object), len(annotators)))
    return frame


def size_of(path: Path) -> str:
    """Return the size of a file in words."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size > 1e5 else f"{size / 1e3:.0f} kB"

"""Files of a corpus: lines and cells with their places, which errors name, and what lies below a folder."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


class CorpusError(ValueError):
    """Files of a corpus are not as they should be; the message names file and line."""


class Place(NamedTuple):
    """A line of a file, counted from 1: where something is read, and what an error about it names."""

    path: Path
    line: int

    def error(self, what: str) -> CorpusError:
        """Return the error about this line."""
        return CorpusError(f"{self.path.name}, line {self.line}: {what}")

    def number(self, text: str, field: str, scale: tuple[float, float]) -> float:
        """Return a number on a scale; NaN where it is left out."""
        text = text.strip()
        if text.lower() in ("", "nan"):
            return np.nan
        if not NUMBER.fullmatch(text) or not text.isascii():
            raise self.error(f"expected a number for {field}, got {text!r}.")
        value = float(text)
        if not scale[0] <= value <= scale[1]:
            raise self.error(f"expected {field} from {scale[0]:g} to {scale[1]:g}, got {text}.")
        return value


def read_text(path: Path) -> str:
    """Return a text file; with or without a byte order mark, with any line ends."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Place(path, line).error(f"byte {content[error.start]:#04x} is not UTF-8.") from error


def read_lines(path: Path) -> Iterator[tuple[Place, str]]:
    """Yield each line of a text file with its place."""
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        yield Place(path, line), text


def read_rows(path: Path, columns: Sequence[str], *, what: str) -> Iterator[tuple[Place, dict[str, str]]]:
    """Yield the place of each line of a table, and its cells by column; there may be more columns than needed."""
    rows = csv.reader(read_text(path).splitlines(keepends=True), strict=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        lacking = [name for name in columns if name not in header]
        if lacking:
            raise Place(path, 1).error(f"the columns {lacking} of {what} are not there; the columns are {header}.")
        if len(set(header)) < len(header):
            raise Place(path, 1).error(f"a column is there twice: {header}.")
        for row in rows:
            if not row:
                continue
            place = Place(path, rows.line_num)
            if len(row) != len(header):
                raise place.error(f"expected {len(header)} cells, {header}, got {len(row)}.")
            yield place, {name: cell.strip() for name, cell in zip(header, row, strict=True)}
    except csv.Error as error:
        raise Place(path, rows.line_num).error(f"{error}.") from error


def find_files(folder: Path, suffix: str) -> dict[str, str]:
    """Return the path of every file with a suffix below a folder, by its name without the suffix."""
    return {
        name[: -len(suffix)]: os.path.join(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(suffix)
    }

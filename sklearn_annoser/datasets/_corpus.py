"""What all readers of corpora share: lines with numbers, errors that name them, and the bunch that they return."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.ratings import Ratings

OUTPUTS = ["activation", "valence"]
MISSING = ("raise", "keep", "drop")
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
# Columns of every corpus; what one lacks is None.
COLUMNS = ["id", "path", "transcript", "speaker", "group", "split", "duration"]


class CorpusError(ValueError):
    """Files of a corpus are not as they should be; the message names file and line."""


def fail(path: Path, line: int, what: str) -> CorpusError:
    """Return the error about a line, counted from 1."""
    return CorpusError(f"{path.name}, line {line}: {what}")


def find_root(root: Any, name: str, needed: Sequence[str]) -> Path:
    """Return a corpus's folder, which must have one of some files or folders."""
    root = Path(root).expanduser()
    if not root.is_dir():
        raise CorpusError(f"there is no folder {str(root)!r} to read {name} from.")
    if not any((root / each).exists() for each in needed):
        raise CorpusError(
            f"{str(root)!r} is not the folder of {name}: it has neither {' nor '.join(map(repr, needed))}."
        )
    return root


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
        raise fail(path, line, f"byte {content[error.start]:#04x} is not UTF-8.") from error


def read_rows(path: Path, columns: Sequence[str], *, what: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each line of a table, and its cells by column; there may be more columns than needed."""
    rows = csv.reader(read_text(path).splitlines(keepends=True), strict=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        lacking = [name for name in columns if name not in header]
        if lacking:
            raise fail(path, 1, f"the columns {lacking} of {what} are not there; the columns are {header}.")
        if len(set(header)) < len(header):
            raise fail(path, 1, f"a column is there twice: {header}.")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise fail(path, rows.line_num, f"expected {len(header)} cells, {header}, got {len(row)}.")
            yield rows.line_num, {name: cell.strip() for name, cell in zip(header, row, strict=True)}
    except csv.Error as error:
        raise fail(path, rows.line_num, f"{error}.") from error


def to_number(text: str, path: Path, line: int, field: str, scale: tuple[float, float]) -> float:
    """Return a number on a scale; NaN where it is left out."""
    text = text.strip()
    if text.lower() in ("", "nan"):
        return np.nan
    if not NUMBER.fullmatch(text) or not text.isascii():
        raise fail(path, line, f"expected a number for {field}, got {text!r}.")
    value = float(text)
    if not scale[0] <= value <= scale[1]:
        raise fail(path, line, f"expected {field} from {scale[0]:g} to {scale[1]:g}, got {text}.")
    return value


def find_files(folder: Path, suffix: str) -> dict[str, str]:
    """Return the path of every file with a suffix below a folder, by its name without the suffix."""
    return {
        name[: -len(suffix)]: os.path.join(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(suffix)
    }


def read_transcripts(files: Mapping[str, str], ids: Sequence[str]) -> dict[str, str]:
    """Return the words of the utterances that have a file of them."""
    return {each: " ".join(read_text(Path(files[each])).split()) for each in ids if each in files}


class Collected:
    """What a reader finds, line by line: utterances, ratings, and what was left out, and why."""

    def __init__(self) -> None:
        self.utterances: dict[str, dict[str, Any]] = {}
        self.ratings: list[tuple[str, str, float, float]] = []
        self.self_reports: list[tuple[str, str, float, float]] = []
        self.dropped: dict[str, int] = {}

    def add_utterance(self, path: Path, line: int, label: str, **columns: Any) -> None:
        """Keep an utterance, which may be there once."""
        if label in self.utterances:
            raise fail(path, line, f"the utterance {label!r} is there twice.")
        self.utterances[label] = columns

    def add_rating(self, label: str, annotator: str, values: tuple[float, float], *, by_self: bool = False) -> None:
        """Keep a rating which has both values."""
        if np.isnan(values).any():
            self.count("ratings without activation or valence")
        else:
            (self.self_reports if by_self else self.ratings).append((label, annotator, *values))

    def count(self, why: str, n: int = 1) -> None:
        """Count something that is left out."""
        self.dropped[why] = self.dropped.get(why, 0) + n

    def bunch(self, name: str, *, scale: tuple[float, float], missing: str, reference: str) -> Bunch:
        """Return the corpus: utterances, Ratings from -1 to 1, consensus, and a description."""
        if not self.utterances:
            raise CorpusError(f"there is no utterance in {name}.")
        table = pd.DataFrame.from_dict(self.utterances, orient="index").rename_axis("id").reset_index()
        table = table.reindex(columns=[*COLUMNS, *(c for c in table if c not in COLUMNS)])
        text = [column for column in COLUMNS if column != "duration"]
        table[text] = table[text].astype(object).where(table[text].notna(), None)
        table = self._without_missing(table, name, check_option("missing", missing, MISSING))
        long = self._table(self.ratings, table["id"])
        n_twice = int(long.duplicated(["utterance", "annotator"]).sum())
        if n_twice:
            self.count("second ratings by the same annotator, which are averaged", n_twice)
        if not len(long):
            raise CorpusError(f"there is no rating in {name}.")
        ratings = make_ratings(long, table["id"], scale)
        low, high = scale
        consensus = table.reindex(columns=[f"consensus_{output}" for output in OUTPUTS]).astype(float)
        consensus = (consensus - (low + high) / 2) / ((high - low) / 2)
        return Bunch(
            utterances=table.drop(columns=[f"consensus_{output}" for output in OUTPUTS], errors="ignore"),
            ratings=ratings,
            consensus=consensus.set_axis(OUTPUTS, axis=1),
            self_reports=self._table(self.self_reports, table["id"]),
            groups=table["group"].to_numpy(),
            scale=scale,
            DESCR=self._describe(name, ratings, reference),
        )

    def _without_missing(self, table: pd.DataFrame, name: str, missing: str) -> pd.DataFrame:
        """Return the utterances with audio and transcript, or all."""
        absent = {"audio": table["path"].isna(), "transcript": table["transcript"].isna()}
        for kind, lacking in absent.items():
            if lacking.any() and missing == "raise":
                n, first = int(lacking.sum()), table.loc[lacking, "id"].iloc[0]
                raise CorpusError(
                    f"{n} of {len(table)} utterances of {name} have no {kind}, the first is {first!r}. "
                    'missing="keep" keeps them with None, missing="drop" leaves them out.'
                )
        lacking = absent["audio"] | absent["transcript"]
        if missing == "keep" or not lacking.any():
            return table
        self.count("utterances without audio or transcript", int(lacking.sum()))
        if lacking.all():
            raise CorpusError(f"no utterance of {name} has audio and transcript.")
        return table[~lacking].reset_index(drop=True)

    def _table(self, rows: list[tuple[str, str, float, float]], ids: pd.Series) -> pd.DataFrame:
        """Return ratings of the utterances that are left, as a long table with raw numbers."""
        long = pd.DataFrame(rows, columns=["utterance", "annotator", *OUTPUTS])
        return long[long["utterance"].isin(ids)].reset_index(drop=True)

    def _describe(self, name: str, ratings: Ratings, reference: str) -> str:
        """Return what the corpus is, in a few lines."""
        counts = (
            f"{ratings.n_samples:,} utterances, {ratings.n_ratings:,} ratings by {ratings.n_annotators:,} annotators."
        )
        dropped = [f"Left out: {n:,} {why}." for why, n in self.dropped.items()]
        return "\n".join([f"{name}: {counts}", *dropped, reference])


def make_ratings(long: pd.DataFrame, ids: Any, scale: tuple[float, float]) -> Ratings:
    """Return Ratings from -1 to 1 of a long table of raw numbers; second ratings are averaged."""
    ratings = Ratings.from_long(
        long,
        sample="utterance",
        annotator="annotator",
        outputs=[column for column in long.columns if column not in ("utterance", "annotator")],
        samples=ids,
        duplicates="mean",
        scale=scale,
    )
    return ratings.rescaled()

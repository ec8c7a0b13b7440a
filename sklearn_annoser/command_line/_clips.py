"""Samples of any kind: files of a folder, texts of a table, rows of features; found by their labels."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser.command_line._features import read_features
from sklearn_annoser.command_line._tables import (
    PARQUET,
    SAMPLE_NAMES,
    Corpus,
    columns_of,
    find_column,
    read_columns,
)
from sklearn_annoser.datasets import CorpusError

TEXT_NAMES = ("text", "transcript", "transcription", "sentence")
SOUNDS = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".w64", ".rf64", ".sph", ".nist", ".mp2"),
)
TABLES = (".csv", ".tsv", ".txt", ".tab", *PARQUET)
ARRAYS = (".npy", ".npz")


@dataclass(frozen=True)
class Clips:
    """Samples as a model takes them, and what they are called."""

    labels: np.ndarray  # text
    X: Any  # a DataFrame with the model's columns, or an array of features
    audio: tuple[str, ...] | None = None  # their files
    texts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)


class SoundFolder:
    """The sound files below a folder, found by what they are called."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"--audio: there is no folder {str(folder)!r}.")
        self.folder = folder
        below = (each for each in sorted(folder.rglob("*")) if each.suffix.lower() in SOUNDS)
        files = [each.relative_to(folder) for each in below if not _is_hidden(each.relative_to(folder))]
        self.files = [each.as_posix() for each in files if (folder / each).is_file()]
        # A label may be all of a file's path below the folder or its name, each with or without the suffix.
        by_name: list[dict[str, list[str]]] = [{} for _ in range(4)]
        for path, name in zip(files, self.files, strict=False):
            forms = (name, path.with_suffix("").as_posix(), path.name, path.stem)
            for form, files_of in zip(forms, by_name, strict=True):
                files_of.setdefault(form, []).append(name)
        self._by_name = by_name

    def find(self, label: str) -> str | None:
        """Return the file of a label, None if there is none."""
        for files_of in self._by_name:
            found = files_of.get(label, [])
            if len(found) > 1:
                raise CorpusError(
                    f"sample {label!r}: two files could be meant, {found[0]!r} and {found[1]!r} of "
                    f"{str(self.folder)!r}. "
                    "Write the folder in the label, or keep one of them."
                )
            if found:
                return str(self.folder / found[0])
        return None


def _is_hidden(path: Path) -> bool:
    """Say whether a path has something hidden in it."""
    return any(part.startswith(".") for part in path.parts)


# ------------------------------------------------------------------------------------------ of a corpus


def kinds_of(corpus: Corpus, options: argparse.Namespace) -> dict[str, str]:
    """Return the columns that a new model takes -> "audio" or "text"; nothing if it takes features."""
    if options.features is not None or (corpus.features is not None and options.audio is None and options.text is None):
        return {}
    has_paths = "path" in corpus.items and corpus.items["path"].notna().any()
    audio = options.audio is not None or (options.text is None and has_paths and options.format != "table")
    if not audio and options.text is None:
        raise ValueError(
            "what are the samples? Give --audio DIR, --text COLUMN or both, or ready vectors with --features FILE."
        )
    return ({"path": "audio"} if audio else {}) | ({"text": "text"} if options.text is not None else {})


def clips_of_corpus(corpus: Corpus, kinds: Mapping[str, str], options: argparse.Namespace) -> tuple[Clips, Corpus]:
    """Return the samples of a corpus as a model takes them, and the corpus without those that are not there."""
    labels = [str(label) for label in corpus.labels]
    if not kinds:
        rows, X = _rows_of_features(corpus, labels, options)
        if len(rows) < len(labels):
            corpus = corpus.keep(rows)
        return Clips(corpus.labels, X), corpus
    files: list[str | None] = [None] * len(labels)
    if "audio" in kinds.values():
        files = _files_of(corpus, labels, options)
    texts: list[Any] = [None] * len(labels)
    if "text" in kinds.values():
        column = _text_column(list(corpus.items.columns), options)
        texts = [text if isinstance(text, str) and text.strip() else None for text in corpus.items[column]]
    there = np.ones(len(labels), dtype=bool)
    for kind, found in (("audio", files), ("text", texts)):
        if kind in kinds.values():
            there &= np.array([each is not None for each in found])
    rows = _only_there(there, labels, " and ".join(sorted(set(kinds.values()))), options)
    corpus = corpus if len(rows) == len(labels) else corpus.keep(rows)
    given = {"audio": [files[row] for row in rows], "text": [texts[row] for row in rows]}
    return _clips(corpus.labels, kinds, given), corpus


def _clips(labels: Any, kinds: Mapping[str, str], given: Mapping[str, Sequence[Any]]) -> Clips:
    """Return samples with the columns that a model takes."""
    X = pd.DataFrame({column: list(given[kind]) for column, kind in kinds.items()})
    audio, texts = (tuple(given[kind]) if kind in kinds.values() else None for kind in ("audio", "text"))
    return Clips(np.asarray(labels, dtype=object), X, audio, texts)


def _files_of(corpus: Corpus, labels: Sequence[str], options: argparse.Namespace) -> list[str | None]:
    """Return the sound file of each sample: what the reader found, or what is in the folder."""
    if options.audio is None:
        return [path if isinstance(path, str) else None for path in corpus.items["path"]]
    folder = SoundFolder(options.audio)
    return [folder.find(label) for label in labels]


def _text_column(columns: Sequence[str], options: argparse.Namespace) -> str:
    """Return the column with the text."""
    return find_column(columns, options.text, TEXT_NAMES, "where is the text", "--text")


def _rows_of_features(corpus: Corpus, labels: Sequence[str], options: argparse.Namespace) -> tuple[np.ndarray, Any]:
    """Return which samples have features, and these."""
    if options.features is None:
        if corpus.features is None:
            raise ValueError("this model takes features: give them with --features FILE.")
        return np.arange(len(labels)), corpus.features
    known, X = read_features(options.features, options, labels=labels)
    if known is None:  # rows in the order of the table of samples
        return np.arange(len(labels)), X
    places = {label: place for place, label in enumerate(known)}
    found = np.array([places.get(label, -1) for label in labels])
    rows = _only_there(found >= 0, labels, "features", options)
    return rows, X[found[rows]]


def _only_there(there: np.ndarray, labels: Sequence[str], what: str, options: argparse.Namespace) -> np.ndarray:
    """Return the rows that are there; the others are an error, or are left out with a warning."""
    lacking = [label for label, is_there in zip(labels, there, strict=True) if not is_there]
    if not lacking:
        return np.arange(len(labels))
    where = f" in {str(options.audio)!r}" if options.audio is not None else ""
    message = f"{len(lacking)} of {len(labels)} samples have no {what}{where}, for example {lacking[:3]}"
    if options.missing == "raise" or not there.any():
        raise CorpusError(f"{message}. --missing drop leaves them out.")
    warnings.warn(f"{message}: they are left out.", stacklevel=2)
    return np.flatnonzero(there)


# ------------------------------------------------------------------------------------------ of a folder or a table


def read_clips(source: Path, kinds: Mapping[str, str], options: argparse.Namespace) -> Clips:
    """Return samples that nobody has rated, as a model takes them: of a folder, a file, a table, or of features."""
    if not source.exists():
        raise FileNotFoundError(f"{str(source)!r} is not there.")
    if not kinds:
        labels, X = read_features(source, options)
        return Clips(np.asarray(labels, dtype=object), X)
    if source.suffix.lower() in TABLES and source.is_file():
        return _of_table(source, kinds, options)
    if "text" in kinds.values():
        raise ValueError(f"this model takes text: {str(source)!r} must be a table with a column of text.")
    if source.is_file():
        return _clips([source.name], kinds, {"audio": [str(source)], "text": ()})
    folder = SoundFolder(source)
    if not folder.files:
        raise CorpusError(f"there is no sound file in {str(source)!r}: their names end with {', '.join(SOUNDS)}.")
    files = [str(folder.folder / name) for name in folder.files]
    return _clips(folder.files, kinds, {"audio": files, "text": ()})


def _of_table(source: Path, kinds: Mapping[str, str], options: argparse.Namespace) -> Clips:
    """Return the samples of a table: a label each, and their text or the name of their file."""
    columns = columns_of(source, options, (*SAMPLE_NAMES, *TEXT_NAMES))
    sample = find_column(columns, options.sample, SAMPLE_NAMES, f"{source.name}: what is a sample", "--sample")
    needed = [sample]
    if "text" in kinds.values():
        needed.append(_text_column(columns, options))
    table = read_columns(source, needed, options)
    twice = table[sample].duplicated()
    if twice.any():
        raise CorpusError(f"{source.name}: sample {table[sample][twice].iloc[0]!r} is there twice.")
    if table.empty:
        raise CorpusError(f"{source.name}: there is no sample in it.")
    labels = table[sample].tolist()
    there = np.ones(len(labels), dtype=bool)
    files: list[str | None] = [None] * len(labels)
    if "audio" in kinds.values():
        folder = SoundFolder(options.audio or source.parent)
        files = [folder.find(label) for label in labels]
        there &= np.array([each is not None for each in files])
    texts = table[needed[-1]].tolist()
    if "text" in kinds.values():
        there &= np.array([bool(str(text).strip()) for text in texts])
    rows = _only_there(there, labels, " and ".join(sorted(set(kinds.values()))), options)
    given = {"audio": [files[row] for row in rows], "text": [texts[row] for row in rows]}
    return _clips([labels[row] for row in rows], kinds, given)

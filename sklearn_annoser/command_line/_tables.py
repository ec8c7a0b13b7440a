"""Ratings out of any file that a reader knows, on their own scale, with what is known of their samples."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser._optional import import_pyarrow
from sklearn_annoser.command_line._models import Model
from sklearn_annoser.datasets import (
    CorpusError,
    read_argilla,
    read_audformat,
    read_dataset,
    read_iemocap,
    read_label_studio,
    read_msp_improv,
    read_msp_podcast,
    read_mturk,
    read_muse,
    read_politeness,
    read_potato,
    read_qualtrics,
    read_ratings,
    read_speechocean762,
)
from sklearn_annoser.datasets._cells import Source
from sklearn_annoser.datasets._files import BadLines, headers_of
from sklearn_annoser.ratings import Ratings

SAMPLE_NAMES = ("sample", "utterance", "clip", "item", "item_id", "id", "file", "filename", "path", "audio")
ANNOTATOR_NAMES = ("annotator", "annotator_id", "rater", "rater_id", "worker", "user", "who")
OUTPUT_NAMES = ("activation", "arousal", "valence", "dominance")
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Corpus:
    """Ratings, and what their samples are."""

    ratings: Ratings  # of samples that have labels
    items: pd.DataFrame  # a row a sample
    column: str  # of the items: their labels
    groups: Any = None
    features: np.ndarray | None = None  # that came with it

    @property
    def labels(self) -> np.ndarray:
        """Labels of the samples, which are text."""
        return np.asarray(self.ratings.samples, dtype=object)

    def keep(self, rows: np.ndarray) -> Corpus:
        """Return some samples."""
        groups, features = (None if each is None else each[rows] for each in (self.groups, self.features))
        return Corpus(self.ratings[rows], self.items.iloc[rows], self.column, groups, features)

    def __str__(self) -> str:
        made = self.ratings
        scale = (
            "no declared scale" if made.scale is None else f"a scale of {made.scale[0, 0]:g} to {made.scale[0, 1]:g}"
        )
        return (
            f"{made.n_ratings:,} ratings of {made.n_samples:,} samples by {made.n_annotators:,} annotators: "
            f"{', '.join(made.outputs)}, on {scale}"
        )


def read_corpus(path: Path, options: argparse.Namespace, *, model: Model | None = None) -> Corpus:
    """Return the ratings of a file or folder, on the scale on which they were given, or on that of a model.

    Of a table the columns that are called as a model's outputs are the ratings, unless others are named.
    """
    to = None if model is None else model.scale
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} is not there.")
    if options.format == "table":
        refuse_other_tools(path)
        if model is not None and not options.outputs:
            options = argparse.Namespace(**vars(options) | {"outputs": list(model.outputs)})
    asked = tuple(options.scale) if options.scale else None
    bunch, column = FORMATS[options.format](path, options, asked or to)
    ratings: Ratings = bunch.ratings
    own = bunch.get("scale")  # of a corpus
    if own is not None and asked is not None and asked != tuple(own):
        raise ValueError(
            f"--scale: {options.format} was rated on {own[0]:g} to {own[1]:g}, not {asked[0]:g} to {asked[1]:g}."
        )
    target = to or own or asked  # readers bring ratings with a scale to -1 to 1
    if ratings.scale is not None and target is not None:
        ratings = on_scale(ratings, target)
    if ratings.classes is not None:
        raise ValueError("these ratings are classes: the command line is for ratings that are numbers.")
    features = bunch.get("X")
    return Corpus(ratings, bunch.utterances, column, bunch.get("groups"), features)


def on_scale(ratings: Ratings, scale: Any) -> Ratings:
    """Return ratings on another scale, without what that leaves behind the twelfth digit."""
    rescaled = ratings.rescaled((float(scale[0]), float(scale[1])))
    digits = 12 - int(np.ceil(np.log10(max(abs(each) for each in scale))))
    names: dict[str, Any] = {"annotators": ratings.annotators, "outputs": ratings.outputs, "samples": ratings.samples}
    values = np.clip(np.round(rescaled.values, digits), *scale)
    return Ratings(ratings.indptr, ratings.codes, values, **names, scale=rescaled.scale)


def refuse_other_tools(path: Path) -> None:
    """Say what to write if a file is no table."""
    if path.is_dir() or path.suffix.lower() in (".json", ".jsonl"):
        what = "a folder" if path.is_dir() else "JSON"
        raise CorpusError(f"{str(path)!r} is {what}, not a table: say what wrote it, --format {{{','.join(FORMATS)}}}.")


# ------------------------------------------------------------------------------------------ tables


def read_table(path: Path, options: argparse.Namespace, scale: Any) -> tuple[Any, str]:
    """Return the ratings of a table with a row a rating."""
    columns = columns_of(path, options, SAMPLE_NAMES)
    sample = find_column(columns, options.sample, SAMPLE_NAMES, f"{path.name}: what was rated", "--sample")
    annotator = find_column(
        columns, options.annotator_column, ANNOTATOR_NAMES, f"{path.name}: who rated", "--annotator-column"
    )
    outputs = options.outputs or [name for name in OUTPUT_NAMES if name in columns]
    if not outputs:
        raise ValueError(
            f"{path.name}: which columns are the ratings? Say it with --outputs; the columns are {columns}."
        )
    bunch = read_ratings(
        frame_of(path, [sample, annotator]),
        sample=sample,
        annotator=annotator,
        outputs=outputs,
        scale=scale,
        utterances=None if options.samples is None else frame_of(options.samples, [sample, options.group]),
        group=options.group,
        duplicates=options.duplicates,
        separator=options.separator,
        encoding=options.encoding,
        on_error=options.on_error,
    )
    if options.samples is None and options.text:
        texts = read_columns(path, [sample, options.text], options).drop_duplicates()
        twice = texts[sample].duplicated()
        if twice.any():
            raise CorpusError(f"{path.name}: sample {texts[sample][twice].iloc[0]!r} has two different texts.")
        bunch.utterances = bunch.utterances.merge(texts, on=sample, how="left", validate="one_to_one")
    return bunch, sample


def columns_of(path: Path, options: argparse.Namespace, wanted: Sequence[str]) -> list[str]:
    """Return the columns of a table, as the separator has them that gives most of those that are wanted."""
    if path.suffix.lower() in PARQUET:
        return [str(name) for name in frame_of(path, []).columns]
    given = [each for each in (options.sample, *(options.outputs or ())) if each]
    headers = headers_of(path, options.separator, options.encoding)
    return max(headers, key=lambda cells: (len({*wanted, *given} & set(cells)), len(cells)))


def find_column(columns: Sequence[str], given: str | None, names: Sequence[str], what: str, option: str) -> str:
    """Return the column that was named, or the first of the usual ones."""
    found = [name for name in ([given] if given else names) if name in columns]
    if not found:
        sought = f"there is no column {given!r}" if given else f"none of the columns is called {list(names)}"
        raise ValueError(f"{what}? {sought}; the columns are {list(columns)}. Say it with {option}.")
    return found[0]


def frame_of(path: Path, labels: Sequence[str | None]) -> Any:
    """Return a table as its readers take it: the path of text, a frame of Parquet, whose labels become text."""
    if path.suffix.lower() not in PARQUET:
        return path
    import_pyarrow()
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise CorpusError(f"{str(path)!r} cannot be read as Parquet: {error}.") from error
    there = [name for name in labels if name in frame.columns]
    return frame.assign(**{str(name): frame[name].map(str, na_action="ignore").astype(object) for name in there})


def read_columns(path: Path, columns: Sequence[str], options: argparse.Namespace) -> pd.DataFrame:
    """Return some columns of a table as text."""
    bad = BadLines(options.on_error)
    source = Source("the table", columns, (), options.separator, options.encoding)
    rows = source.read(frame_of(path, columns), bad)
    bad.warn(path.name, stacklevel=2)
    return rows.frame[list(columns)]


# ------------------------------------------------------------------------------------------ tools and corpora


def of_tool(reader: Callable[..., Any], **names: str) -> Callable[..., tuple[Any, str]]:
    """Return what reads the export of a tool; `names` are the reader's options -> those of the command line."""

    def read(path: Path, options: argparse.Namespace, scale: Any) -> tuple[Any, str]:
        given = {name: getattr(options, option) for name, option in names.items()}
        given = {name: value for name, value in given.items() if value is not None}
        outputs = renamed(options.outputs)
        more = {} if outputs is None else {"outputs": outputs}
        bunch = reader(path, **given, **more, scale=scale, duplicates=options.duplicates, on_error=options.on_error)
        if not isinstance(bunch.ratings.samples[0], str):
            raise CorpusError(f"{path.name}: the samples have no names.")
        return bunch, "sample"

    return read


def renamed(outputs: Sequence[str] | None) -> Mapping[str, str] | Sequence[str] | None:
    """Return outputs, or name -> question where they are written as name=question."""
    if outputs is None or not any("=" in each for each in outputs):
        return outputs
    pairs = [each.partition("=") for each in outputs]
    return {name: question or name for name, _, question in pairs}


def of_corpus(reader: Callable[..., Any], column: str, **names: str) -> Callable[..., tuple[Any, str]]:
    """Return what reads the folder of a corpus."""

    def read(path: Path, options: argparse.Namespace, scale: Any) -> tuple[Any, str]:
        given = {name: getattr(options, option) for name, option in names.items()}
        lacking = [f"--{names[name]}" for name, value in given.items() if value is None]
        if lacking:
            raise ValueError(f"{options.format} needs {lacking[0]}.")
        return reader(path, **given, on_error=options.on_error), column

    return read


def of_open(reader: Callable[..., Any], part: str, scale: tuple[float, float]) -> Callable[..., tuple[Any, str]]:
    """Return what reads an open corpus with ready features."""
    read = of_corpus(reader, "item_id", **{part: "part"})

    def with_scale(path: Path, options: argparse.Namespace, _: Any) -> tuple[Any, str]:
        bunch, column = read(path, options, None)
        bunch.scale = scale
        return bunch, column

    return with_scale


FORMATS: dict[str, Callable[..., tuple[Any, str]]] = {
    "table": read_table,
    "label-studio": of_tool(read_label_studio, sample="sample", annotator="annotator_column"),
    "argilla": of_tool(read_argilla, sample="sample"),
    "potato": of_tool(read_potato),
    "mturk": of_tool(read_mturk, sample="sample", annotator="annotator_column"),
    "qualtrics": of_tool(read_qualtrics, sample="sample", annotator="annotator_column"),
    "audformat": of_tool(read_audformat),
    "dataset": of_tool(read_dataset, sample="sample", annotator="annotator_column"),
    "msp-podcast": of_corpus(read_msp_podcast, "id", release="release", missing="missing"),
    "msp-improv": of_corpus(read_msp_improv, "id", missing="missing"),
    "iemocap": of_corpus(read_iemocap, "id", missing="missing"),
    "muse": of_corpus(read_muse, "id", missing="missing"),
    "speechocean762": of_open(read_speechocean762, "split", (0, 10)),
    "politeness": of_open(read_politeness, "corpus", (1, 25)),
}

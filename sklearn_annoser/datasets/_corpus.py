"""What all readers of corpora share: the corpus's folder, what they find in it, and the bunch that they return."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.datasets._files import (
    BadLines,
    CorpusError,
    Mend,
    Place,
    Table,
    as_path,
    check_text,
    read_text,
    read_words,
)
from sklearn_annoser.datasets._folder import Folder, has_near, same_content
from sklearn_annoser.ratings import Ratings

OUTPUTS = ["activation", "valence"]
MISSING = ("raise", "keep", "drop")
# Columns of every corpus; what one lacks is None.
COLUMNS = ["id", "path", "transcript", "speaker", "group", "split", "duration"]
CONSENSUS = [f"consensus_{output}" for output in OUTPUTS]


class Corpus(NamedTuple):
    """What is known of a corpus before it is read."""

    name: str
    scale: tuple[float, float]  # on which it was rated
    needed: Sequence[str]  # files or folders, one of which is in its folder
    reference: str

    def find(self, root: Any) -> Path:
        """Return the corpus's folder."""
        root = as_path("root", root)
        if not root.is_dir():
            what = "is a file, not the folder" if root.exists() else "is not there: there is no folder"
            raise CorpusError(f"{str(root)!r} {what} to read {self.name} from.")
        if not has_near(root, self.needed):
            neither = " nor ".join(map(repr, self.needed))
            raise CorpusError(
                f"{str(root)!r} is not the folder of {self.name}: it has neither {neither}, nor has a folder in it."
            )
        return root


class Collected:
    """What a reader finds in a corpus's folder: utterances and ratings, line by line, and what is on disk of them.

    First come the utterances, then their ratings, then audio and transcripts, then the `bunch`. What is read of a line
    is read in the context `bad`, which takes its errors.
    """

    def __init__(self, corpus: Corpus, root: Any, on_error: str = "raise") -> None:
        self.bad = BadLines(on_error)
        self.corpus = corpus
        self.root = corpus.find(root)
        self.folder = Folder(self.root)
        self.name = corpus.name
        self.utterances: dict[str, dict[str, Any]] = {}
        self.places: dict[str, Place] = {}  # of the utterances
        self.ratings: list[tuple[str, str, float, float]] = []
        self.self_reports: list[tuple[str, str, float, float]] = []
        self.audio: dict[str, str] = {}
        self.transcripts: dict[str, str] = {}
        self.dropped: dict[str, int] = {}  # why -> how many
        self.sought: dict[str, str] = {}  # audio or transcript -> where
        self.no_text: list[str] = []  # what is wrong with transcripts that cannot be read
        self.not_utf8: list[str] = []  # transcripts
        self.remarks: list[str] = []  # for DESCR

    def rows(
        self, path: Path, columns: Sequence[str], *, what: str, mend: Mend = lambda text: None
    ) -> Iterator[tuple[Place, dict[str, str]]]:
        """Yield the place of each line of a table, and its cells by column; there may be more columns than needed."""
        yield from Table(path, columns, what=what).rows(self.bad, mend)

    def lines(self, path: Path) -> Iterator[tuple[Place, str]]:
        """Yield each line of a text file with its place."""
        for line, text in enumerate(read_text(path).split("\n"), start=1):
            with self.bad:
                check_text(Place(path, line), text)
                yield Place(path, line), text

    def add_utterance(self, place: Place, label: str, *, consensus: tuple[float, float], **columns: Any) -> str:
        """Keep an utterance, which may be there once, and return its label."""
        if label in self.utterances:
            first = self.places[label]
            raise place.error(f"the utterance {label!r} is there twice, first in {first.path.name}, line {first.line}.")
        self.places[label] = place
        self.utterances[label] = columns | dict(zip(CONSENSUS, consensus, strict=True))
        return label

    def add_rating(self, label: str, annotator: str, values: tuple[float, float], *, by_self: bool = False) -> None:
        """Keep a rating which has both values."""
        if np.isnan(values).any():
            self.count("ratings without activation or valence")
        else:
            (self.self_reports if by_self else self.ratings).append((label, annotator, *values))

    def add_audio(self, folder: str) -> None:
        """Keep the paths of the utterances' sound files: those in a folder, or if it has none, those anywhere."""
        self.sought["audio"] = folder
        # Two names of one file are fine; to compare what thousands of recordings hold would take long.
        self.audio |= self.folder.of_each(self.utterances, ".wav", folder, Path.samefile)

    def add_transcripts(self, folder: str) -> None:
        """Keep the words of the utterances: those in a folder, or if it has none, those anywhere."""
        self.sought["transcript"] = folder
        for label, path in self.folder.of_each(self.utterances, ".txt", folder, same_content).items():
            text = self.read_words(Path(path))
            if text is not None:
                self.transcripts[label] = " ".join(text.split())

    def read_words(self, path: Path) -> str | None:
        """Return what a file of transcripts says, None if it is no text."""
        try:
            text, as_utf8 = read_words(path)
        except CorpusError as error:
            self.no_text.append(str(error).rstrip("."))
            return None
        if not as_utf8:
            self.not_utf8.append(path.name)
        return text

    def count(self, why: str, n: int = 1) -> None:
        """Count something that is left out."""
        self.dropped[why] = self.dropped.get(why, 0) + n

    def bunch(self, missing: str) -> Bunch:
        """Return the corpus: utterances, Ratings from -1 to 1, consensus, and a description."""
        for label, columns in self.utterances.items():
            columns |= {"path": self.audio.get(label), "transcript": self.transcripts.get(label)}
        first = f" The first line that is left out: {self.bad.first}" if self.bad.n else ""
        if not self.utterances:
            raise CorpusError(f"there is no utterance in {self.name}.{first}")
        table = pd.DataFrame.from_dict(self.utterances, orient="index").rename_axis("id").reset_index()
        table = table.reindex(columns=[*COLUMNS, *(c for c in table if c not in COLUMNS)])
        text = [column for column in COLUMNS if column != "duration"]
        table[text] = table[text].astype(object).where(table[text].notna(), None)
        table = self._without_missing(table, check_option("missing", missing, MISSING))
        long = self._table(self.ratings, table["id"])
        n_twice = int(long.duplicated(["utterance", "annotator"]).sum())
        if n_twice:
            self.count("second ratings by the same annotator, which are averaged", n_twice)
        if not len(long):
            raise CorpusError(f"there is no rating in {self.name}.{first}")
        ratings = make_ratings(long, samples=table["id"], scale=self.corpus.scale)
        self._warn()
        low, high = self.corpus.scale
        consensus = (table[CONSENSUS].astype(float) - (low + high) / 2) / ((high - low) / 2)
        return Bunch(
            utterances=table.drop(columns=CONSENSUS),
            ratings=ratings,
            consensus=consensus.set_axis(OUTPUTS, axis=1),
            self_reports=self._table(self.self_reports, table["id"]),
            groups=table["group"].to_numpy(),
            scale=self.corpus.scale,
            DESCR=self._describe(ratings),
        )

    def _without_missing(self, table: pd.DataFrame, missing: str) -> pd.DataFrame:
        """Return the utterances with audio and transcript, or all."""
        absent = {"audio": table["path"].isna(), "transcript": table["transcript"].isna()}
        lacking = absent["audio"] | absent["transcript"]
        if missing == "keep" or not lacking.any():
            return table
        lists = f"{self._tell(absent, table['id'])}."
        if missing == "raise":
            raise CorpusError(f'{lists} missing="keep" keeps them with None, missing="drop" leaves them out.')
        if lacking.all():
            raise CorpusError(
                f'no utterance of {self.name} has audio and transcript: {lists} missing="keep" keeps them.'
            )
        self.count("utterances without audio or transcript", int(lacking.sum()))
        return table[~lacking].reset_index(drop=True)

    def _tell(self, absent: dict[str, pd.Series], ids: pd.Series) -> str:
        """Return how many utterances have no audio, how many no transcript, and where these were sought."""
        told: list[str] = []
        for kind, lacking in absent.items():
            if lacking.any():
                of = f"of {len(ids)} utterances of {self.name} " if not told else ""
                sought = f"sought in {self.sought.get(kind, '.')}/ and elsewhere below {str(self.root)!r}"
                told.append(
                    f"{int(lacking.sum())} {of}have no {kind}, the first is {ids[lacking].iloc[0]!r} ({sought})"
                )
        if self.no_text:
            told.append(f"{len(self.no_text)} files of transcripts are no text, the first: {self.no_text[0]}")
        for what, paths in (("closed folders", self.folder.closed), ("links to nothing", self.folder.broken)):
            if paths:
                told.append(f"there are {what}: {', '.join(paths[:3])}{' ...' * (len(paths) > 3)}")
        return "; ".join(told)

    def _warn(self) -> None:
        """Count what is left out or read in another way than it says, and warn of it."""
        if self.bad.n:
            self.count(
                f"lines that are not as they should be, the first: {str(self.bad.first).rstrip('.')}", self.bad.n
            )
        if self.no_text:
            self.count(f"files of transcripts that are no text, the first: {self.no_text[0]}", len(self.no_text))
        self.bad.warn(self.name, stacklevel=4)
        if self.folder.closed:
            self.remarks.append(f"Not read, for they are closed: the folders {', '.join(self.folder.closed)}.")
        if self.not_utf8:
            self.remarks.append(
                f"Read as Windows-1252, because they are not UTF-8: {len(self.not_utf8):,} files of transcripts, "
                f"the first is {self.not_utf8[0]!r}."
            )
        for remark in self.remarks:
            warnings.warn(f"{self.name}: {remark}", stacklevel=4)

    def _table(self, rows: list[tuple[str, str, float, float]], ids: pd.Series) -> pd.DataFrame:
        """Return ratings of the utterances that are left, as a long table with raw numbers."""
        long = pd.DataFrame(rows, columns=["utterance", "annotator", *OUTPUTS])
        return long[long["utterance"].isin(ids)].reset_index(drop=True)

    def _describe(self, ratings: Ratings) -> str:
        """Return what the corpus is, in a few lines."""
        counts = (
            f"{ratings.n_samples:,} utterances, {ratings.n_ratings:,} ratings by {ratings.n_annotators:,} annotators."
        )
        dropped = [f"Left out: {n:,} {why}." for why, n in self.dropped.items()]
        return "\n".join([f"{self.name}: {counts}", *dropped, *self.remarks, self.corpus.reference])


def make_ratings(
    long: pd.DataFrame,
    *,
    samples: Any,
    scale: tuple[float, float] | None,
    sample: str = "utterance",
    annotator: str = "annotator",
    outputs: Sequence[str] = OUTPUTS,
) -> Ratings:
    """Return Ratings of a long table, rescaled from a scale to -1 to 1 if it is given; second ratings are averaged."""
    ratings = Ratings.from_long(
        long,
        sample=sample,
        annotator=annotator,
        outputs=list(outputs),
        samples=samples,
        duplicates="mean",
        scale=scale,
    )
    return ratings if scale is None else ratings.rescaled()

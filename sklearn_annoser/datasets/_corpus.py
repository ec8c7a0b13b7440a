"""What all readers of corpora share: the corpus's folder, what they find in it, and the bunch that they return."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.datasets._files import CorpusError, Place, find_files, read_text
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
        root = Path(root).expanduser()
        if not root.is_dir():
            raise CorpusError(f"there is no folder {str(root)!r} to read {self.name} from.")
        if not any((root / each).exists() for each in self.needed):
            neither = " nor ".join(map(repr, self.needed))
            raise CorpusError(f"{str(root)!r} is not the folder of {self.name}: it has neither {neither}.")
        return root


class Collected:
    """What a reader finds in a corpus's folder: utterances and ratings, line by line, and what is on disk of them.

    First come the utterances, then their ratings, then audio and transcripts, then the `bunch`.
    """

    def __init__(self, corpus: Corpus, root: Any) -> None:
        self.corpus = corpus
        self.root = corpus.find(root)
        self.name = corpus.name
        self.utterances: dict[str, dict[str, Any]] = {}
        self.ratings: list[tuple[str, str, float, float]] = []
        self.self_reports: list[tuple[str, str, float, float]] = []
        self.audio: dict[str, str] = {}
        self.transcripts: dict[str, str] = {}
        self.dropped: dict[str, int] = {}  # why -> how many

    def add_utterance(self, place: Place, label: str, *, consensus: tuple[float, float], **columns: Any) -> str:
        """Keep an utterance, which may be there once, and return its label."""
        if label in self.utterances:
            raise place.error(f"the utterance {label!r} is there twice.")
        self.utterances[label] = columns | dict(zip(CONSENSUS, consensus, strict=True))
        return label

    def add_rating(self, label: str, annotator: str, values: tuple[float, float], *, by_self: bool = False) -> None:
        """Keep a rating which has both values."""
        if np.isnan(values).any():
            self.count("ratings without activation or valence")
        else:
            (self.self_reports if by_self else self.ratings).append((label, annotator, *values))

    def add_audio(self, folder: Path) -> None:
        """Keep the paths of all sound files below a folder."""
        self.audio |= find_files(folder, ".wav")

    def add_transcripts(self, folder: Path) -> None:
        """Keep the words of the utterances that have a file of them below a folder."""
        files = find_files(folder, ".txt")
        for label in self.utterances:
            if label in files:
                self.transcripts[label] = " ".join(read_text(Path(files[label])).split())

    def count(self, why: str, n: int = 1) -> None:
        """Count something that is left out."""
        self.dropped[why] = self.dropped.get(why, 0) + n

    def bunch(self, missing: str) -> Bunch:
        """Return the corpus: utterances, Ratings from -1 to 1, consensus, and a description."""
        for label, columns in self.utterances.items():
            columns |= {"path": self.audio.get(label), "transcript": self.transcripts.get(label)}
        if not self.utterances:
            raise CorpusError(f"there is no utterance in {self.name}.")
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
            raise CorpusError(f"there is no rating in {self.name}.")
        ratings = make_ratings(long, samples=table["id"], scale=self.corpus.scale)
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
        for kind, lacking in absent.items():
            if lacking.any() and missing == "raise":
                n, first = int(lacking.sum()), table.loc[lacking, "id"].iloc[0]
                raise CorpusError(
                    f"{n} of {len(table)} utterances of {self.name} have no {kind}, the first is {first!r}. "
                    'missing="keep" keeps them with None, missing="drop" leaves them out.'
                )
        lacking = absent["audio"] | absent["transcript"]
        if missing == "keep" or not lacking.any():
            return table
        self.count("utterances without audio or transcript", int(lacking.sum()))
        if lacking.all():
            raise CorpusError(f"no utterance of {self.name} has audio and transcript.")
        return table[~lacking].reset_index(drop=True)

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
        return "\n".join([f"{self.name}: {counts}", *dropped, self.corpus.reference])


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

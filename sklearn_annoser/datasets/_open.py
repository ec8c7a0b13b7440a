"""Readers of two open corpora with identified raters, from tables of items and ratings and ready-made features."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.datasets._cells import Source, as_ratings, check_names, listed, once
from sklearn_annoser.datasets._corpus import make_ratings
from sklearn_annoser.datasets._files import BadLines, CorpusError, as_path
from sklearn_annoser.ratings import Ratings

__all__ = ["read_politeness", "read_speechocean762"]

SPEECH_SCORES = ("accuracy", "fluency", "prosodic")
POLITENESS_CORPORA = ("wikipedia", "stackexchange")
SPEECH_LABELS = ("item_id", "split", "speaker")
POLITENESS_LABELS = ("item_id", "corpus", "community")


def read_speechocean762(
    root: Any, *, split: str, outputs: Any = ("fluency", "prosodic"), on_error: str = "raise"
) -> Bunch:
    """Read speechocean762: English read speech by Mandarin speakers, scored 0 to 10 by five experts.

    The folder has `items.csv` (item_id, split, speaker, age, gender, group, text), `ratings.csv` (item_id,
    annotator_id, accuracy, fluency, prosodic) and `features_whisper_tiny_en.npz` (utt, mean of shape (n, 5 layers, 384)
    and std of shape (n, 384), from the Whisper tiny.en encoder).

    Parameters
    ----------
    root : path
        The folder.
    split : {"train", "test"}
        Which part; no speaker is in both.
    outputs : sequence of {"accuracy", "fluency", "prosodic"}, default=("fluency", "prosodic")
        Which scores.
    on_error : {"raise", "drop"}, default="raise"
        What becomes of a line that is not as it should be: an error, or it is left out, with a warning.

    Returns
    -------
    Bunch
        `X`, float32 of shape (n_samples, 2304): the mean of each layer, and the standard deviation of the last;
        `ratings`, on the scale 0 to 10 rescaled to -1 to 1; `groups`, the speakers; `utterances`, the items' table.

    References
    ----------
    J. Zhang et al., "speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation Assessment",
    Interspeech 2021, https://arxiv.org/abs/2104.01378
    """
    check_option("split", split, ("train", "test"))
    outputs = check_names(["item_id", "annotator_id"], outputs)
    for output in outputs:
        check_option("outputs", output, SPEECH_SCORES)
    part = Part(as_path("root", root), SPEECH_LABELS, "split", split)
    items, ratings = part.read(outputs, (0, 10), on_error)
    means, deviations = _read_features(
        part.root / "features_whisper_tiny_en.npz", items["item_id"], "utt", ["mean", "std"]
    )
    return Bunch(
        X=np.concatenate([means.reshape(len(items), -1), deviations], axis=1).astype(np.float32),
        ratings=ratings,
        utterances=items,
        groups=items["speaker"].to_numpy(),
    )


def read_politeness(root: Any, *, corpus: str, on_error: str = "raise") -> Bunch:
    """Read the Stanford politeness corpus: requests, each rated 1 to 25 by five crowd workers.

    The folder has `items.csv` (corpus, item_id, community, text), `ratings.csv` (corpus, item_id, annotator_id,
    politeness) and `embeddings_minilm.npz` (item_id, X of shape (n, 384), sentence embeddings).

    All other parameters are those of :func:`read_speechocean762`, with the same defaults.

    Parameters
    ----------
    corpus : {"wikipedia", "stackexchange"}
        Which part.

    Returns
    -------
    Bunch
        `X`, float32 of shape (n_samples, 384); `ratings`, on the scale 1 to 25 rescaled to -1 to 1; `utterances`,
        the items' table.

    References
    ----------
    C. Danescu-Niculescu-Mizil et al., "A computational approach to politeness with application to social factors", ACL
    2013, https://aclanthology.org/P13-1025
    """
    check_option("corpus", corpus, POLITENESS_CORPORA)
    part = Part(as_path("root", root), POLITENESS_LABELS, "corpus", corpus)
    items, ratings = part.read(["politeness"], (1, 25), on_error)
    (vectors,) = _read_features(part.root / "embeddings_minilm.npz", items["item_id"], "item_id", ["X"])
    return Bunch(X=vectors.astype(np.float32), ratings=ratings, utterances=items)


class Part(NamedTuple):
    """A part of a corpus: the items that have a value in a column."""

    root: Path
    labels: Sequence[str]  # columns of the items
    column: str
    value: str

    def read(self, outputs: Sequence[str], scale: tuple[int, int], on_error: str) -> tuple[pd.DataFrame, Ratings]:
        """Return the items, and their ratings from -1 to 1."""
        bad = BadLines(on_error)
        for name in ("items.csv", "ratings.csv"):
            if not (self.root / name).exists():
                raise FileNotFoundError(f"{self.root / name} is not there: {self.root} is not this corpus's folder.")
        items = once(Source("items", self.labels).read(self.root / "items.csv", bad), "item_id", bad)
        rows = Source("ratings", ["item_id", "annotator_id"], outputs).read(self.root / "ratings.csv", bad)
        rows = listed(rows, "item_id", items["item_id"], bad)
        items = items[items[self.column] == self.value].reset_index(drop=True)
        others = ~rows.frame["item_id"].isin(items["item_id"]).to_numpy()
        rows = as_ratings(rows.without(others), outputs, scale, bad)
        if rows.frame.empty:
            raise CorpusError(
                f"{self.root / 'ratings.csv'} has no rating of items whose {self.column} is {self.value!r}."
            )
        bad.warn(str(self.root), stacklevel=3)
        ratings = make_ratings(
            rows.frame,
            samples=items["item_id"],
            scale=scale,
            sample="item_id",
            annotator="annotator_id",
            outputs=outputs,
        )
        return items, ratings


def _read_features(path: Path, items: pd.Series, label: str, names: Sequence[str]) -> list[np.ndarray]:
    """Return arrays of a file in the order of the items, or say whose features are missing."""
    try:
        with np.load(path) as features:
            labels, arrays = features[label].astype(str), [features[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{str(path)!r} must have the arrays {[label, *names]}: {error}") from error
    if any(array.ndim == 0 or len(array) != len(labels) for array in arrays):
        raise CorpusError(f"{str(path)!r}: the arrays {[label, *names]} differ in length.")
    rows = pd.Index(labels).get_indexer(items)
    missing = items[rows < 0]
    if len(missing):
        raise ValueError(f"{len(missing)} items have no features, for example {missing.iloc[0]!r}.")
    return [array[rows] for array in arrays]

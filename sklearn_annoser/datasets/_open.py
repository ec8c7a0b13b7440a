"""Readers of two open corpora with identified raters, from tables of items and ratings and ready-made features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.ratings import Ratings

__all__ = ["read_politeness", "read_speechocean762"]

SPEECH_SCORES = ("accuracy", "fluency", "prosodic")
POLITENESS_CORPORA = ("wikipedia", "stackexchange")


def read_speechocean762(root: Any, *, split: str, outputs: Any = ("fluency", "prosodic")) -> Bunch:
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
    for output in outputs:
        check_option("outputs", output, SPEECH_SCORES)
    root = Path(root)
    items, ratings = _read_tables(root, "speaker")
    items = items[items["split"] == split].reset_index(drop=True)
    with np.load(root / "features_whisper_tiny_en.npz") as features:
        row = _rows_of(features["utt"], items["item_id"])
        means = features["mean"][row].reshape(len(row), -1)
        X = np.concatenate([means, features["std"][row]], axis=1).astype(np.float32)
    return _bunch(items, ratings, X, outputs, (0, 10), groups=items["speaker"].to_numpy())


def read_politeness(root: Any, *, corpus: str) -> Bunch:
    """Read the Stanford politeness corpus: requests, each rated 1 to 25 by five crowd workers.

    The folder has `items.csv` (corpus, item_id, community, text), `ratings.csv` (corpus, item_id, annotator_id,
    politeness) and `embeddings_minilm.npz` (item_id, X of shape (n, 384), sentence embeddings).

    Parameters
    ----------
    root : path
        The folder.
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
    root = Path(root)
    items, ratings = _read_tables(root, "community")
    items = items[items["corpus"] == corpus].reset_index(drop=True)
    with np.load(root / "embeddings_minilm.npz") as features:
        row = _rows_of(features["item_id"], items["item_id"])
        X = features["X"][row].astype(np.float32)
    return _bunch(items, ratings, X, ["politeness"], (1, 25))


def _read_tables(root: Path, group: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read items.csv and ratings.csv, ids as strings."""
    text = {"item_id": str, "annotator_id": str, group: str, "text": str}
    try:
        return pd.read_csv(root / "items.csv", dtype=text), pd.read_csv(root / "ratings.csv", dtype=text)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error.filename} is not there: {root} is not this corpus's folder.") from error


def _rows_of(labels: np.ndarray, items: pd.Series) -> np.ndarray:
    """Return the rows of the features in the order of the items, or say whose features are missing."""
    rows = pd.Index(labels.astype(str)).get_indexer(items)
    missing = items[rows < 0]
    if len(missing):
        raise ValueError(f"{len(missing)} items have no features, for example {missing.iloc[0]!r}.")
    return rows


def _bunch(
    items: pd.DataFrame, ratings: pd.DataFrame, X: np.ndarray, outputs: Any, scale: tuple[int, int], **more: Any
) -> Bunch:
    """Put a corpus together, keeping the ratings of its items."""
    long = ratings[ratings["item_id"].isin(items["item_id"])]
    made = Ratings.from_long(
        long,
        sample="item_id",
        annotator="annotator_id",
        outputs=list(outputs),
        samples=items["item_id"],
        duplicates="mean",
        scale=scale,
    )
    return Bunch(X=X, ratings=made.rescaled(), utterances=items, **more)

"""Readers of two open corpora with identified raters, from tables of items and ratings and ready-made features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.datasets._corpus import make_ratings
from sklearn_annoser.ratings import Ratings

__all__ = ["read_politeness", "read_speechocean762"]

SPEECH_SCORES = ("accuracy", "fluency", "prosodic")
POLITENESS_CORPORA = ("wikipedia", "stackexchange")
TEXT = dict.fromkeys(("item_id", "annotator_id", "speaker", "community", "text"), str)  # read as it is written


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
    items, ratings = _read_part(root, "split", split)
    features = Path(root) / "features_whisper_tiny_en.npz"
    means, deviations = _read_features(features, items["item_id"], "utt", ["mean", "std"])
    return Bunch(
        X=np.concatenate([means.reshape(len(items), -1), deviations], axis=1).astype(np.float32),
        ratings=_make_ratings(ratings, items, outputs, (0, 10)),
        utterances=items,
        groups=items["speaker"].to_numpy(),
    )


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
    items, ratings = _read_part(root, "corpus", corpus)
    (vectors,) = _read_features(Path(root) / "embeddings_minilm.npz", items["item_id"], "item_id", ["X"])
    made = _make_ratings(ratings, items, ["politeness"], (1, 25))
    return Bunch(X=vectors.astype(np.float32), ratings=made, utterances=items)


def _read_part(root: Any, column: str, value: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the items that have a value in a column, and their ratings; ids as strings."""
    root = Path(root)
    try:
        items, ratings = (pd.read_csv(root / f"{name}.csv", dtype=TEXT) for name in ("items", "ratings"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error.filename} is not there: {root} is not this corpus's folder.") from error
    items = items[items[column] == value].reset_index(drop=True)
    return items, ratings[ratings["item_id"].isin(items["item_id"])]


def _read_features(path: Path, items: pd.Series, label: str, names: Sequence[str]) -> list[np.ndarray]:
    """Return arrays of a file in the order of the items, or say whose features are missing."""
    with np.load(path) as features:
        rows = pd.Index(features[label].astype(str)).get_indexer(items)
        missing = items[rows < 0]
        if len(missing):
            raise ValueError(f"{len(missing)} items have no features, for example {missing.iloc[0]!r}.")
        return [features[name][rows] for name in names]


def _make_ratings(long: pd.DataFrame, items: pd.DataFrame, outputs: Any, scale: tuple[int, int]) -> Ratings:
    """Return the ratings of the items, from -1 to 1."""
    return make_ratings(
        long, samples=items["item_id"], scale=scale, sample="item_id", annotator="annotator_id", outputs=outputs
    )

"""Five protocols on real corpora: who is known, who is new, on which features, and how they are learned.

The corpora are in the folder that SKLEARN_ANNOSER_DATA names, or in ../shared/data beside the project.

speech        speechocean762; one expert left out; source: the train split, target: the test split (other speakers)
text          politeness; Wikipedia's raters with 30 ratings, and Stack Exchange's with 60 whom Wikipedia lacks
expressive    synthetic voices; one of 16 raters left out; source: 24 samples, target: the 30 others
odour         smells; source: keller2012, 391 raters; target: dream, 49 raters, molecules that keller2012 lacks
odour-within  smells; source: 29 raters of dream on half of its molecules; target: the 20 others on the other half
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.utils import Bunch

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from sklearn_annoser.datasets import read_politeness, read_speechocean762

WHISPER_LAYER = 2
N_KNOWN_VOICES = 24  # samples of "expressive" that known raters have rated
N_NEW_NOSES = 20  # raters of "odour-within" who are new


@dataclass(frozen=True)
class Protocol:
    """How a corpus is split and learned."""

    read: Callable[..., list[tuple[Bunch, Bunch]]]  # of a seed: sources and targets
    lr: float
    scaler: Any = field(default_factory=StandardScaler)
    sizes: tuple[int, ...] = (5, 10, 20, 30)
    n_reserved: int = 30  # ratings of each new annotator that are not scored
    few_annotators: bool = False  # too few to resample

    def make_estimator(self, kind: type = AnnotatorMappedRegressor, **parameters: Any) -> Pipeline:
        """Return the scaler and a regressor, with the protocol's learning rate and these parameters."""
        return make_pipeline(clone(self.scaler), kind(**{"lr": self.lr} | parameters))


def read_pairs(protocol: str, *, seed: int = 0, **options: Any) -> list[tuple[Any, Any]]:
    """Return sources and targets: one pair, or one for each annotator where one is left out.

    The seed is that of the random splits, where a protocol has some. Where known annotators have rated the samples of
    the target, too, `by_known` of the target has these ratings, which no strategy may read.
    """
    return PROTOCOLS[protocol].read(seed, **options)


def data_folder() -> Path:
    """Return the folder with the real corpora, or leave with a word on how to name it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SKLEARN_ANNOSER_DATA", default))
    if not folder.is_dir():
        sys.exit(f"There is no folder {folder}. Set SKLEARN_ANNOSER_DATA to the folder with the corpora.")
    return folder


# ---------------------------------------------------------------------- the corpora


def read_speech(**options: Any) -> tuple[Any, Any]:
    """Return speechocean762's train split as source and its test split as target."""
    root = data_folder() / "speechocean762"
    return tuple(read_speechocean762(root, split=split, **options) for split in ("train", "test"))  # type: ignore[return-value]


def read_text() -> tuple[Any, Any]:
    """Return politeness: Wikipedia's raters with 30 ratings, and Stack Exchange's with 60 whom Wikipedia lacks."""
    root = data_folder() / "stanford_politeness"
    source, target = (read_politeness(root, corpus=corpus) for corpus in ("wikipedia", "stackexchange"))
    everybody = target.ratings
    target.ratings = unknown_annotators(everybody, source.ratings).keep_annotators(min_ratings=60)
    target.by_known = everybody.keep_annotators(np.intersect1d(everybody.annotators, source.ratings.annotators))
    source.ratings = source.ratings.keep_annotators(min_ratings=30)
    return source, target


def read_voices() -> Bunch:
    """Return the synthetic voices, with means of a middle layer of Whisper."""
    root = data_folder() / "estonian_expressive_tts"
    items = pd.read_csv(root / "items.csv", dtype=str)
    with np.load(root / "features_whisper_tiny_en.npz") as features:
        X = features["mean"][_places(features["utt"], items), WHISPER_LAYER].astype(np.float32)
    return Bunch(X=X, ratings=_read_ratings(root, items, ["suitability"], (1, 7)))


def read_smells(corpus: str, features: str) -> Bunch:
    """Return a corpus of smells, with descriptors of the molecules or Morgan's fingerprints; groups are molecules."""
    root = data_folder() / "odour_pleasantness"
    items = pd.read_csv(root / "items.csv", dtype=str).query("corpus == @corpus").reset_index(drop=True)
    with np.load(root / "features_rdkit.npz") as arrays:
        places, X = _places(arrays["item_id"], items), arrays["X"]
        if features == "morgan":
            X = np.concatenate([arrays["morgan"], X[:, -1:]], axis=1)  # the dilution is the last descriptor
    ratings = _read_ratings(root, items, ["intensity", "pleasantness"], (0, 100))
    return Bunch(X=X[places].astype(np.float32), ratings=ratings, groups=items["cid"].to_numpy())


def unknown_annotators(ratings: Ratings, known: Ratings) -> Ratings:
    """Keep the annotators that another corpus does not have."""
    return ratings.keep_annotators([label for label in ratings.annotators if label not in set(known.annotators)])


def _read_ratings(root: Path, items: pd.DataFrame, outputs: list[str], scale: tuple[int, int]) -> Ratings:
    """Return the ratings of some items, from -1 to 1; second ratings are averaged."""
    frame = pd.read_csv(root / "ratings.csv", dtype={"item_id": str, "annotator_id": str})
    frame = frame[frame["item_id"].isin(items["item_id"])]
    names = {"sample": "item_id", "annotator": "annotator_id", "outputs": outputs, "samples": items["item_id"]}
    return Ratings.from_long(frame, **names, scale=scale, duplicates="mean").rescaled()


def _places(labels: np.ndarray, items: pd.DataFrame) -> np.ndarray:
    """Return where the features of the items are."""
    return pd.Index(labels.astype(str)).get_indexer_for(items["item_id"])


# ---------------------------------------------------------------------- the splits


def _pair(source: Bunch, known: Any, target: Bunch, new: Any) -> tuple[Bunch, Bunch]:
    """Return what known annotators rated in a corpus, and new ones in another."""
    by_known = target.ratings.keep_annotators(known)
    known, new = source.ratings.keep_annotators(known), target.ratings.keep_annotators(new)
    return Bunch(**source | {"ratings": known}), Bunch(**target | {"ratings": new, "by_known": by_known})


def _samples(corpus: Bunch, rows: np.ndarray) -> Bunch:
    return Bunch(**{name: corpus[name][rows] for name in corpus})


def _without(labels: np.ndarray, label: Any) -> np.ndarray:
    return labels[labels != label]


def _speech(seed: int, **options: Any) -> list[tuple[Bunch, Bunch]]:
    source, target = read_speech(**options)
    experts = source.ratings.annotators
    return [_pair(source, _without(experts, expert), target, [expert]) for expert in target.ratings.annotators]


def _text(seed: int) -> list[tuple[Bunch, Bunch]]:
    return [read_text()]


def _expressive(seed: int) -> list[tuple[Bunch, Bunch]]:
    corpus, rng, pairs = read_voices(), np.random.RandomState(seed), []
    raters = corpus.ratings.annotators
    for rater in raters:
        order = rng.permutation(len(corpus.X))
        first, rest = (_samples(corpus, rows) for rows in (order[:N_KNOWN_VOICES], order[N_KNOWN_VOICES:]))
        pairs.append(_pair(first, _without(raters, rater), rest, [rater]))
    return pairs


def _odour(seed: int, features: str = "morgan") -> list[tuple[Bunch, Bunch]]:
    source, target = (read_smells(corpus, features) for corpus in ("keller2012", "dream"))
    return [(source, _samples(target, ~np.isin(target.groups, source.groups)))]


def _odour_within(seed: int, features: str = "descriptors") -> list[tuple[Bunch, Bunch]]:
    corpus, rng = read_smells("dream", features), np.random.RandomState(seed)
    molecules, noses = (rng.permutation(labels) for labels in (np.unique(corpus.groups), corpus.ratings.annotators))
    first = np.isin(corpus.groups, molecules[: len(molecules) // 2])
    source, target = _samples(corpus, first), _samples(corpus, ~first)
    return [_pair(source, noses[N_NEW_NOSES:], target, noses[:N_NEW_NOSES])]


# Descriptors reach 20 standard deviations: of each, only the rank among the source's molecules counts.
RANKED = make_pipeline(QuantileTransformer(n_quantiles=50, random_state=0), StandardScaler())

# Rates and features of the last three: the best on held-out samples of the source, or .001 below it, see rates.py.
PROTOCOLS = {
    "speech": Protocol(_speech, lr=5e-3, few_annotators=True),
    "text": Protocol(_text, lr=1e-3),
    "expressive": Protocol(_expressive, lr=1e-2, sizes=(5, 10, 20), n_reserved=20),
    "odour": Protocol(_odour, lr=1e-2),
    "odour-within": Protocol(_odour_within, lr=1e-2, scaler=RANKED),
}
NAMES: Sequence[str] = tuple(PROTOCOLS)

"""Where the real corpora are: SKLEARN_ANNOSER_DATA, or ../shared/data beside the project."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser import Ratings
from sklearn_annoser.datasets import read_politeness, read_speechocean762


def data_folder() -> Path:
    """Return the folder with the real corpora, or leave with a word on how to name it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SKLEARN_ANNOSER_DATA", default))
    if not folder.is_dir():
        sys.exit(f"There is no folder {folder}. Set SKLEARN_ANNOSER_DATA to the folder with the corpora.")
    return folder


def read_speech(**options: Any) -> tuple[Any, Any]:
    """Return speechocean762's train split as source and its test split as target."""
    root = data_folder() / "speechocean762"
    return tuple(read_speechocean762(root, split=split, **options) for split in ("train", "test"))  # type: ignore[return-value]


def read_text() -> tuple[Any, Any]:
    """Return politeness: Wikipedia's raters with 30 ratings, and Stack Exchange's with 60 whom Wikipedia lacks."""
    root = data_folder() / "stanford_politeness"
    source, target = (read_politeness(root, corpus=corpus) for corpus in ("wikipedia", "stackexchange"))
    target.ratings = unknown_annotators(target.ratings, source.ratings).keep_annotators(min_ratings=60)
    source.ratings = source.ratings.keep_annotators(min_ratings=30)
    return source, target


def read_pairs(corpus: str, **options: Any) -> list[tuple[Any, Any]]:
    """Return sources and targets: of text one pair; of speech one for each expert, who is new to that of the others."""
    if corpus == "text":
        return [read_text()]
    source, target = read_speech(**options)
    pairs = []
    for expert in target.ratings.annotators:
        others = source.ratings.annotators[source.ratings.annotators != expert]
        known, new = source.ratings.keep_annotators(others), target.ratings.keep_annotators([expert])
        pairs.append((Bunch(**source | {"ratings": known}), Bunch(**target | {"ratings": new})))
    return pairs


def unknown_annotators(ratings: Ratings, known: Ratings) -> Ratings:
    """Keep the annotators that another corpus does not have."""
    return ratings.keep_annotators([label for label in ratings.annotators if label not in set(known.annotators)])

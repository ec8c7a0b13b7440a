"""A small invented corpus as a lab would have it in files, and a model of it that the command line has trained."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import AnnotatorCommittee
from sklearn_annoser.command_line import _models, main
from sklearn_annoser.datasets import make_corpora

OUTPUTS = ["activation", "valence"]
NAMES = ["007", 'Ann "A", the first', "Jürgen; Böll", "李雷", "NA", "o'neill"]


def whole_numbers(values):
    """Return ratings from -1 to 1 as whole numbers from 1 to 7."""
    return np.clip(np.round(4 + 3 * values), 1, 7)


def long_table(corpus, names, samples):
    """Return the ratings of a simulated corpus as a table of text labels."""
    table = corpus.ratings.to_long()
    people = dict(zip(corpus.ratings.annotators, names, strict=False))
    table = table[table["annotator"].isin(people)]
    table["annotator"] = table["annotator"].map(people)
    table["sample"] = [samples[row] for row in table["sample"]]
    table[OUTPUTS] = whole_numbers(table[OUTPUTS].to_numpy()).astype(int)
    return table


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A folder with ratings.csv, new.csv and their features; model.skops, that was trained on the first."""
    folder = tmp_path_factory.mktemp("lab")
    made = {"n_samples": 70, "n_features": 6, "n_annotators": 6, "n_targets": 6, "n_raters": 4, "random_state": 0}
    source, target = make_corpora(**made)
    known, new = ([f"{n:03d}" for n in range(first, first + 70)] for first in (0, 500))
    long_table(source, NAMES, known).to_csv(folder / "ratings.csv", index=False)
    long_table(target, [f"new {n}" for n in range(6)], new).to_csv(
        folder / "new.csv", index=False, sep=";", encoding="utf-8-sig"
    )
    np.savez(folder / "known.npz", labels=known, X=source.X.astype(np.float32))
    np.savez(folder / "new.npz", labels=new, X=target.X.astype(np.float32))
    words = ["train", folder / "ratings.csv", "--features", folder / "known.npz", "--scale", 1, 7, *QUICK]
    with pytest.MonkeyPatch.context() as patch:  # small: the tests are about files, not about scores
        patch.setattr(_models, "AnnotatorCommittee", SMALL)
        run(*words, folder / "model.skops")
    return SimpleNamespace(folder=folder, source=source, target=target, model=folder / "model.skops", new=new)


SMALL = partial(AnnotatorCommittee, n_hidden=16, n_members=2, n_consensus_members=1)
QUICK = ["--lr", 0.01, "--epochs", 6, "--out"]


def run(*words):
    """Run a command."""
    main([str(word) for word in words])


def read(path):
    """Return a CSV with labels as text."""
    return pd.read_csv(path, dtype={"sample": str, "annotator": str}, keep_default_na=False)

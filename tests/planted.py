"""A small pair of corpora whose truth is known, and a regressor trained on the first; both are made once."""

from copy import deepcopy
from functools import cache

import numpy as np

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora

ENROLLED, REST = slice(0, 250), slice(250, None)


@cache
def corpora():
    """Return source and target: 12 annotators each, of three types that disagree."""
    pair = make_corpora(
        n_samples=800,
        n_features=16,
        n_annotators=12,
        n_targets=12,
        n_types=3,
        n_raters=5,
        disagreement=2,
        random_state=0,
    )
    for corpus in pair:
        corpus.X.flags.writeable = False
    return pair


def quick(**changes):
    """Return an unfitted regressor that trains in a tenth of a second; it need not be good."""
    settings = {"n_hidden": 16, "lr": 0.05, "max_epochs": 4, "pretrain_epochs": 1, "random_state": 0}
    return AnnotatorMappedRegressor(**(settings | changes))


@cache
def _trained():
    source = corpora()[0]
    return quick(n_hidden=32, max_epochs=60, pretrain_epochs=5).fit(source.X, source.ratings, groups=source.groups)


def trained():
    """Return a copy of the regressor that learned the source well."""
    return deepcopy(_trained())


def ratings_of(corpus, annotator, rows=slice(None)):
    """Return features and values of what one annotator rated among some samples."""
    rated, values = corpus.ratings[np.arange(len(corpus.X))[rows]].of(annotator)
    return corpus.X[rows][rated], values

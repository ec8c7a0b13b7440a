"""Models of every kind, small and quickly trained."""

from functools import cache

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_annoser import AnnotatorCommittee, AnnotatorMappedClassifier, AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.datasets import make_corpora

SOURCE, TARGET = make_corpora(n_samples=120, n_annotators=6, random_state=0)
X, RATINGS = SOURCE.X, SOURCE.ratings.with_values(SOURCE.ratings.values.clip(-2, 2))
X_NEW, NEW_RATINGS = TARGET.X, TARGET.ratings.with_values(TARGET.ratings.values.clip(-2, 2))
QUICK = {"n_hidden": 6, "lr": 0.02, "max_epochs": 3, "random_state": 0}
LEVELS = np.digitize(RATINGS.values, [-0.3, 0.3])
NEW = "target_003"


def regressor(**params):
    return AnnotatorMappedRegressor(**QUICK | params)


def committee(**params):
    return AnnotatorCommittee(**QUICK | {"n_members": 2, "n_consensus_members": 2} | params)


def mapper(source, **params):
    return AnnotatorMapper(source, **{"n_bootstrap": 5, "n_folds": 2, "random_state": 0} | params)


def classifier(**params):
    return AnnotatorMappedClassifier(**QUICK | params)


def selected(model):
    """Return a model that a new annotator has enrolled with."""
    rows, values = NEW_RATINGS.of(NEW)
    model.select_annotator(TARGET.X[rows[:20]], values[:20], strategy="top-n", calibration="affine")
    return model


def classes(n_outputs=1):
    """Return Ratings of classes."""
    numbers = RATINGS.with_outputs(LEVELS[:, :n_outputs].astype(float), list(RATINGS.outputs)[:n_outputs])
    return numbers.with_values(numbers.values, classes=True)


def frame(data):
    """Return features as a table with a column of text."""
    table = pd.DataFrame(data, columns=[f"größe {column}" for column in range(data.shape[1])])
    return table.assign(art=np.where(data[:, 0] > 0, "hell", "dunkel"))


def table_model():
    """Return a pipeline whose features are columns of a table."""
    numbers = [f"größe {column}" for column in range(X.shape[1])]
    return make_pipeline(make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(), ["art"])), committee())


@cache
def one():
    """Return a fitted regressor."""
    return regressor().fit(X, RATINGS)


@cache
def table():
    """Return a fitted pipeline of columns of a table."""
    return table_model().fit(frame(X), RATINGS)


def serious(source, **params):
    """Return a mapper that new annotators have enrolled with."""
    return mapper(source, **params).fit(X_NEW, NEW_RATINGS)


MODELS = {
    "regressor": lambda: selected(regressor(verbose=1).fit(X, RATINGS)),
    "consensus and variance": lambda: regressor(variant="individual+consensus+variance").fit(X, RATINGS),
    "aggregate": lambda: regressor(variant="aggregate").fit(X, RATINGS),
    "committee": lambda: selected(committee().fit(X, RATINGS)),
    "no ridge": lambda: committee(ridge=False, n_consensus_members=0, early_stopping=False).fit(X, RATINGS),
    "pipeline": lambda: make_pipeline(StandardScaler(), regressor()).fit(X, RATINGS),
    "table": table,
    "classifier": lambda: classifier().fit(X, classes()),
    "ordered": lambda: classifier(ordered=True).fit(X, classes(2)),
    "mapper": lambda: serious(one(), strategy="separate", calibration="affine"),
    "fine-tuned": lambda: serious(one(), fine_tune="all"),
    "blend": lambda: serious(committee().fit(X, RATINGS), strategy="blend", calibration="affine"),
    "mapped table": lambda: mapper(FrozenEstimator(table()), strategy="top-n").fit(frame(X_NEW), NEW_RATINGS),
    "net": lambda: one().net_,
}


@cache
def fitted(name):
    """Return a fitted model, trained once, and what it predicts for."""
    data = frame(X_NEW) if "table" in name else X_NEW.astype(np.float32) if name == "net" else X_NEW
    return MODELS[name](), data

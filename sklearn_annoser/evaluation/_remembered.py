"""A source whose hidden features of a corpus are computed once, whatever it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.mapping import Enroller


class Remembered(BaseEstimator):
    """A source whose hidden features of a corpus are computed once: what it takes as X are row numbers."""

    def __init__(self, estimator: Any, X: Any) -> None:
        steps, source = split_source(estimator)
        self.X = X if steps is None else steps.transform(X)
        self.regressor = source
        self.hidden_ = np.concatenate([hidden for _, hidden in source.iter_hidden(self.X)])
        self.annotators_, self.outputs_, self.heads_ = source.annotators_, source.outputs_, source.heads_
        self.prior_ = source.prior_
        self.check_scale = source.check_scale

    def fit(self, X: Any, y: Any = None) -> Remembered:
        """Do nothing: it is fitted."""
        return self

    def enroller(self, mapper: Any) -> Enroller:
        """Return who makes heads as a mapper does, with all samples of the corpus seen."""
        prior = self.prior_.with_samples([self.hidden_])
        return Enroller(self.heads_, prior, mapper.strategy, mapper.n_heads, mapper.calibration, mapper.min_ratings)

    def iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Look the hidden features of some rows up."""
        yield slice(0, len(X)), self.hidden_[X[:, 0]]

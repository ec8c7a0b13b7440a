"""A source whose hidden features of a corpus are computed once, whatever it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from sklearn_annoser._validation import check_array_like
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.mapping import Enroller, score_heads
from sklearn_annoser.ratings import Ratings


class Remembered(BaseEstimator):
    """A source whose hidden features of a corpus are computed once: what it takes as X are row numbers."""

    def __init__(self, estimator: Any, X: Any) -> None:
        steps, source = split_source(estimator)
        self.X = X if steps is None else steps.transform(check_array_like("X", X))
        self.regressor = source
        self.hidden_ = np.concatenate([hidden for _, hidden in source.iter_hidden(self.X)])
        self.annotators_, self.outputs_, self.prior_ = source.annotators_, source.outputs_, source.prior_
        self._unit_heads, self._unit_scale = source._unit_heads, source._unit_scale

    def to_unit(self, ratings: Ratings) -> Ratings:
        """Return ratings of the corpus on the network's scale, for which the heads are."""
        return self._unit_scale.to_unit(self.regressor.check_ratings(ratings))

    def fit(self, X: Any, y: Any = None) -> Remembered:
        """Do nothing: it is fitted."""
        return self

    def enroller(self, mapper: Any) -> Enroller:
        """Return who makes heads as a mapper does, with all samples of the corpus seen."""
        prior = self.prior_.with_samples([self.hidden_])
        return Enroller(
            self._unit_heads, prior, mapper.strategy, mapper.n_heads, mapper.calibration, mapper.min_ratings
        )

    def random_scores(self, ratings: Ratings, rows: Any = slice(None)) -> pd.DataFrame:
        """Return what a random head gives on average for each annotator and output of ratings of some samples."""
        scores = score_heads(self.hidden_[rows], self._unit_heads, self.to_unit(ratings)).mean(axis=1)
        return pd.DataFrame(scores, index=ratings.annotators, columns=list(self.outputs_))

    def iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Look the hidden features of some rows up."""
        yield slice(0, len(X)), self.hidden_[X[:, 0]]

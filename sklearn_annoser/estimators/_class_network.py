"""The network of a classifier, as a regressor of logits or of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_annoser._features import Features
from sklearn_annoser.estimators._class_link import ClassLink
from sklearn_annoser.estimators._regressor import AnnotatorMappedRegressor
from sklearn_annoser.estimators._unit_scale import UnitScale
from sklearn_annoser.ratings import Ratings


class ClassRegressor(AnnotatorMappedRegressor):
    """The regressor whose predictions are logits, or scores: its loss is the cross entropy, of shares as they are."""

    link: ClassLink

    def _scale_of(self, given: Ratings, learned: Ratings) -> UnitScale:
        # Scores of ordered classes have another number of columns than shares; a single one fits all.
        return UnitScale.identity(1 if self.link.ordered else learned.n_outputs)

    def _warn_if_blown_up(self, X: np.ndarray | Features) -> None:
        """Logits have no scale to leave."""

    def _make_net(self, **changes: Any) -> Any:
        return super()._make_net(**self.link.settings(), **changes)

    def _learn_prior(self, X: np.ndarray | Features, ratings: Ratings, valid: Sequence[np.ndarray] = ()) -> Any:
        return super()._learn_prior(X, self.link.positions(ratings) if self.link.ordered else ratings, valid)

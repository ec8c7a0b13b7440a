"""Regressors that are trained once."""

import numpy as np
import pytest

from sklearn_annoser import Ratings
from tests.estimators.cases import SOURCE
from tests.planted import quick, trained


@pytest.fixture
def model():
    """Return a regressor that learned the planted source well."""
    return trained()


@pytest.fixture(scope="module")
def careful():
    """A regressor with variances of annotators of whom every second rates carelessly, on a scale of 1 to 7."""
    noise = np.where(np.arange(12) % 2, 1.2, 0.0)[SOURCE.ratings.codes, None]
    values = (
        4 + 0.6 * SOURCE.ratings.values + np.random.RandomState(0).normal(size=(SOURCE.ratings.n_ratings, 2)) * noise
    )
    ratings = Ratings(
        SOURCE.ratings.indptr,
        SOURCE.ratings.codes,
        values.clip(1, 7),
        annotators=SOURCE.ratings.annotators,
        outputs=SOURCE.ratings.outputs,
        scale=(1, 7),
    )
    model = quick(variant="individual+variance", lr=0.1, max_epochs=60, pretrain_epochs=5, early_stopping=False)
    return model.fit(SOURCE.X, ratings)

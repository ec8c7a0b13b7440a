"""What is no table of features is refused at once by every door: numpy would walk over a dataset without an end."""

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from sklearn_annoser import AnnotatorMappedClassifier, AnnotatorMapper
from sklearn_annoser.evaluation import check_forecasts, compare_strategies, leave_one_annotator_out
from tests.estimators.cases import RATINGS, TARGET, X
from tests.planted import quick

LABELS = np.arange(len(X)) % 3
NEW = TARGET.ratings.keep_annotators(["target_000"])


class Endless(torch.utils.data.Dataset):
    """A torch Dataset, which numpy would never get to the end of; who reads on fails, and does not hang."""

    def __init__(self):
        self.n_read = 0

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        self.n_read += 1
        if self.n_read > 10_000:
            raise AssertionError("somebody walks over the dataset")
        return torch.zeros(X.shape[1])


BAD = {
    "a dataset": Endless,
    "a generator": lambda: (row for row in X),
    "a dict": lambda: {"X": X},
    "text": lambda: "features.npy",
    "nothing": lambda: None,
}

DOORS = {
    "fit": lambda fitted, bad: quick().fit(bad, RATINGS),
    "fit on an array": lambda fitted, bad: quick().fit(bad, RATINGS.values[: len(X)]),
    "partial_fit": lambda fitted, bad: quick().partial_fit(bad, RATINGS),
    "fine_tune": lambda fitted, bad: fitted.regressor.fine_tune(bad, RATINGS),
    "predict": lambda fitted, bad: fitted.regressor.predict(bad),
    "select_annotator": lambda fitted, bad: fitted.regressor.select_annotator(bad, NEW),
    "suggest_enrollment": lambda fitted, bad: fitted.regressor.suggest_enrollment(bad),
    "classifier fit": lambda fitted, bad: AnnotatorMappedClassifier().fit(bad, LABELS),
    "classifier predict": lambda fitted, bad: fitted.classifier.predict(bad),
    "classifier select_annotator": lambda fitted, bad: fitted.classifier.select_annotator(bad, LABELS),
    "mapper fit": lambda fitted, bad: AnnotatorMapper(fitted.regressor).fit(bad, TARGET.ratings),
    "mapper of a pipeline fit": lambda fitted, bad: AnnotatorMapper(fitted.pipeline).fit(bad, TARGET.ratings),
    "mapper of a pipeline predict": lambda fitted, bad: fitted.mapper.predict(bad),
    "compare_strategies": lambda fitted, bad: compare_strategies(fitted.pipeline, bad, TARGET.ratings),
    "check_forecasts": lambda fitted, bad: check_forecasts(fitted.mapper, bad, TARGET.ratings),
    "leave_one_annotator_out": lambda fitted, bad: leave_one_annotator_out(
        fitted.pipeline, Bunch(X=bad, ratings=RATINGS), TARGET
    ),
}


@pytest.fixture(scope="module")
def fitted():
    """One of each estimator."""
    regressor = quick(max_epochs=1).fit(X, RATINGS)
    pipeline = make_pipeline(StandardScaler(), quick(max_epochs=1)).fit(X, RATINGS)
    classifier = AnnotatorMappedClassifier(n_hidden=8, max_epochs=1, random_state=0).fit(X, LABELS)
    mapper = AnnotatorMapper(pipeline, random_state=0).fit(TARGET.X, TARGET.ratings)
    return Bunch(regressor=regressor, pipeline=pipeline, classifier=classifier, mapper=mapper)


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_what_has_no_rows_is_refused_at_once(fitted, door, make):
    bad = make()
    with pytest.raises(TypeError, match=rf"X must be an array, a DataFrame or a list.*got {type(bad).__name__}\."):
        door(fitted, bad)
    assert not isinstance(bad, Endless) or bad.n_read <= 1


def test_masked_features_are_refused_at_prediction_too(fitted):
    masked = np.ma.masked_greater(X, 2.0)
    for estimator in (fitted.regressor, fitted.classifier, fitted.mapper):
        with pytest.raises(ValueError, match="X must not be masked"):
            estimator.predict(masked)

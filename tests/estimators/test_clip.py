"""Predictions within the scale, for those who ask for it, and only where there is one."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_annoser import AnnotatorCommittee, AnnotatorMapper, Ratings
from sklearn_annoser.metrics import ccc_score
from tests.estimators.cases import TARGET, X
from tests.planted import quick

LOW, HIGH = np.array([[1, 10], [7, 30]])


def scaled(ratings):
    """Return planted ratings on a scale of each output that predictions leave: nearly all of them are at an end."""
    unit = np.clip(ratings.values * 4, -1, 1)
    values = np.clip((unit + 1) / 2 * (HIGH - LOW) + LOW, LOW, HIGH)
    return declared(ratings, values, np.stack([LOW, HIGH], axis=1))


def declared(ratings, values, scale):
    """Return the same ratings with other values, and fewer outputs perhaps, and a scale."""
    outputs = ratings.outputs[: values.shape[1]]
    return Ratings(ratings.indptr, ratings.codes, values, annotators=ratings.annotators, outputs=outputs, scale=scale)


SOURCE_RATINGS = scaled(TARGET.ratings[:200])
FEATURES = TARGET.X[:200]


def predictions(estimator, ratings):
    """Return all that an estimator predicts, one output after the other in the last axis."""
    blocks = [block for _, block in estimator.iter_predict_annotators(FEATURES, max_bytes=1000)]
    first = estimator.annotators_[0]
    return [
        estimator.predict(FEATURES),
        estimator.predict(FEATURES, annotator=first),
        estimator.predict_annotators(FEATURES),
        np.concatenate(blocks),
        estimator.predict_ratings(FEATURES, ratings).values,
    ]


def check(estimator, plain, ratings):
    """Check that one predicts what the other does, within the scale, and that nothing else differs."""
    beyond = 0
    for clipped, free in zip(predictions(estimator, ratings), predictions(plain, ratings), strict=True):
        np.testing.assert_array_equal(clipped, np.clip(free, LOW, HIGH))
        beyond += int((clipped != free).sum())
    assert beyond > 100
    np.testing.assert_array_equal(estimator.heads_, plain.heads_)
    first = ratings.values[ratings.indptr[:-1]]
    assert estimator.score(FEATURES, first) == pytest.approx(ccc_score(first, estimator.predict(FEATURES)))


def far(model):
    """Return a fitted model with heads that reach beyond the scale."""
    return model.with_heads(model.annotators_, (model.heads_ - (LOW + HIGH)[:, None] / 2) * 3)


@pytest.mark.parametrize("kind", [quick, AnnotatorCommittee])
def test_all_predictions_are_within_the_scale(kind):
    options = {} if kind is quick else {"n_members": 2, "n_consensus_members": 0, "ridge": False, "max_epochs": 3}
    plain = far(kind(n_hidden=16, random_state=0, **options).fit(FEATURES, SOURCE_RATINGS))
    clipped = pickle.loads(pickle.dumps(plain)).set_params(clip=True)
    check(clipped, plain, SOURCE_RATINGS)
    again = clone(clipped).fit(FEATURES, SOURCE_RATINGS)
    assert again.clip is True
    assert (again.predict(FEATURES) >= LOW).all()


def test_the_mapper_has_its_own():
    source = far(quick().fit(FEATURES, SOURCE_RATINGS))
    mappers = [
        AnnotatorMapper(source, clip=clip, random_state=0).fit(FEATURES, SOURCE_RATINGS) for clip in (True, False)
    ]
    check(*mappers, SOURCE_RATINGS)
    assert mappers[0].mapping_.equals(mappers[1].mapping_)  # judged as it is without
    done = [mapper.complete(FEATURES, SOURCE_RATINGS).ratings for mapper in mappers]
    assert done[0] == done[1]
    mapper = AnnotatorMapper(source.set_params(clip=True), random_state=0).fit(FEATURES, SOURCE_RATINGS)
    np.testing.assert_array_equal(mapper.predict_annotators(FEATURES), mappers[1].predict_annotators(FEATURES))


def test_one_output_and_people_whom_nobody_serves():
    ratings = declared(SOURCE_RATINGS, SOURCE_RATINGS.values[:, :1], (1, 7))
    model = quick(clip=True).fit(FEATURES, ratings)
    assert model.predict(FEATURES).shape == (200,)
    mapper = AnnotatorMapper(model, clip=True, min_expected_score=1.0, fallback="nan", random_state=0)
    assert np.isnan(mapper.fit(FEATURES, ratings).predict_annotators(FEATURES)).all()


def test_without_a_scale_there_is_nothing_to_clip_to():
    rated = TARGET.ratings[:200].with_values(TARGET.ratings[:200].values)
    match = r"clip=True needs the scale .* they declare none: .* Ratings\.from_long\(table, scale=\(1, 7\), \.\.\.\)"
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=match):
            getattr(quick(clip=True), method)(FEATURES, rated)
    with pytest.raises(ValueError, match=match):
        quick(clip=True).fit(X, X[:, 0])
    plain = quick().fit(FEATURES, rated)
    with pytest.raises(ValueError, match=match):
        AnnotatorMapper(plain, clip=True).fit(FEATURES, rated)
    with pytest.raises(ValueError, match=match):
        plain.set_params(clip=True).predict(FEATURES)
    y = Ratings.from_rows(np.clip(X[:, 0], -1, 1), np.full(len(X), "ann"), scale=(-1, 1))
    assert np.abs(quick(clip=True).fit(X, y).predict(X)).max() <= 1


def test_clip_is_a_switch():
    with pytest.raises(ValueError, match="clip must be one of"):
        quick(clip="yes").fit(FEATURES, SOURCE_RATINGS)
    with pytest.raises(ValueError, match="clip must be one of"):
        AnnotatorMapper(quick().fit(FEATURES, SOURCE_RATINGS), clip=(1, 7)).fit(FEATURES, SOURCE_RATINGS)

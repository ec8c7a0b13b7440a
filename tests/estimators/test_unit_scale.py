"""Scales: ratings that cannot be on that of the model are refused, and where it lies changes nothing."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.estimators._unit_scale import UnitScale
from tests.estimators.cases import RATINGS, SOURCE, TARGET, X, enrollment
from tests.planted import quick, ratings_of


def moved(ratings, slope, offset):
    return ratings.with_values(slope * ratings.values.astype(np.float64) + offset)


@pytest.fixture(scope="module")
def plain():
    return {name: fitted(1, 0, **variant) for name, variant in FITTED.items()}


FITTED = {"plain": {}, "variances": {"variant": "individual+consensus+variance"}}
WHERE = [(1, 5_000), (1, 1e7), (1e7, 0), (1e-7, 0), (1e-7, 5_000), (1e7, -1e10)]


def fitted(slope, offset, **variant):
    return quick(n_hidden=8, max_epochs=3, **variant).fit(X, moved(RATINGS, slope, offset))


@pytest.mark.parametrize(("slope", "offset"), WHERE, ids=str)
@pytest.mark.parametrize("name", FITTED)
def test_where_the_ratings_lie_changes_nothing_but_where_the_predictions_lie(plain, name, slope, offset):
    model, before = fitted(slope, offset, **FITTED[name]), plain[name]
    close = {"rtol": 0, "atol": 2e-5}
    np.testing.assert_allclose((model.predict(X) - offset) / slope, before.predict(X), **close)
    np.testing.assert_allclose((model.predict_annotators(X) - offset) / slope, before.predict_annotators(X), **close)
    np.testing.assert_allclose(model.predict_distribution(X)[0], before.predict_distribution(X)[0], atol=1e-3)
    found, expected = model.predict_ratings(X, RATINGS), before.predict_ratings(X, RATINGS)
    np.testing.assert_allclose((found.values - offset) / slope, expected.values, **close)
    assert model.score(X, moved(RATINGS, slope, offset)) == pytest.approx(before.score(X, RATINGS), abs=1e-5)


@pytest.mark.parametrize(("slope", "offset"), WHERE, ids=str)
@pytest.mark.parametrize("strategy", ["joint", "separate", "blend"])
def test_a_new_annotator_is_served_alike_wherever_the_ratings_lie(plain, strategy, slope, offset):
    features, values = enrollment()
    options = {"strategy": strategy, "calibration": "affine", "n_bootstrap": 10}
    model, before = fitted(slope, offset), plain["plain"]
    assert model.select_annotator(features, slope * values.astype(float) + offset, **options) == (
        before.select_annotator(features, values, **options)
    )
    np.testing.assert_allclose((model.predict(X) - offset) / slope, before.predict(X), atol=1e-4)
    np.testing.assert_allclose(model.expected_score_, before.expected_score_, atol=1e-3)


@pytest.mark.parametrize("fine_tune", [None, "all"])
def test_a_corpus_is_enrolled_alike_wherever_the_ratings_lie(plain, fine_tune):
    options = {"calibration": "affine", "fine_tune": fine_tune, "random_state": 0, "n_bootstrap": 10}
    few = TARGET.ratings[:100]
    before = AnnotatorMapper(plain["plain"], **options).fit(TARGET.X[:100], few)
    mapper = AnnotatorMapper(fitted(10, 5_000), **options).fit(TARGET.X[:100], moved(few, 10, 5_000))
    pd.testing.assert_series_equal(mapper.mapping_["source"], before.mapping_["source"])
    np.testing.assert_allclose(mapper.mapping_["slope_valence"], before.mapping_["slope_valence"], rtol=1e-3)
    found = mapper.predict_annotators(TARGET.X[100:])
    np.testing.assert_allclose((found - 5_000) / 10, before.predict_annotators(TARGET.X[100:]), atol=1e-3)
    shown = mapper.mapping_.loc["target_000"]
    if fine_tune is None:  # what the table says of the calibration is on the scale of the ratings
        chosen = mapper.estimator.predict(TARGET.X, annotator=shown["source"])
        said = chosen * [shown["slope_activation"], shown["slope_valence"]]
        said += [shown["offset_activation"], shown["offset_valence"]]
        np.testing.assert_allclose(mapper.predict(TARGET.X, annotator="target_000"), said, rtol=1e-5)


def test_a_single_rating_is_compared_by_its_error_on_the_scale_of_the_ratings(plain):
    features, values = enrollment(n=1)
    model = fitted(10, 5_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.select_annotator(features, 10 * values.astype(float) + 5_000)
    errors = np.abs(model.predict_annotators(features)[0] - (10 * values + 5_000))
    np.testing.assert_allclose(model.selection_.loc[model.annotators_, ["activation", "valence"]], -errors, atol=1e-2)


# ---------------------------------------------------------------------- what cannot be on it

DECLARED = Ratings.from_rows(np.linspace(-1, 1, 50), "ann", scale=(-1, 1))
SEEN = Ratings.from_rows(np.linspace(-1, 1, 50), "ann")


@pytest.mark.parametrize("scale", [DECLARED, SEEN], ids=["declared", "seen"])
@pytest.mark.parametrize(
    "values",
    [[1, 4, 7, 2, 3, 5], [0, 100, 50, 20, 71], np.arange(2, 6), [3.0], [-3, 0.5, 0.5, 4.0], [1990, 2020]],
    ids=str,
)
def test_ratings_of_another_scale_are_refused(scale, values):
    low, high = min(values), max(values)
    with pytest.raises(ValueError, match=rf"go from {low:g} to {high:g}, those of the training go from -1 to 1: they"):
        UnitScale.of(scale).check(Ratings.from_rows(np.array(values, dtype=float), "bob"))


def test_a_little_beyond_a_declared_scale_is_a_warning_and_a_range_that_was_seen_may_be_exceeded():
    a_little, a_lot = (Ratings.from_rows([0.0, 0.5, 0.2, end], "bob") for end in (1.2, 2.5))
    with pytest.warns(UserWarning, match="go from 0 to 1.2, those of the training go from -1 to 1: 25% of them lie"):
        UnitScale.of(DECLARED).check(a_little)
    UnitScale.of(SEEN).check(a_little)
    with pytest.warns(UserWarning, match="25% of them lie outside"):
        UnitScale.of(SEEN).check(a_lot)


def test_ratings_of_a_finer_scale_that_lie_within_are_welcome():
    for scale in (DECLARED, SEEN):
        UnitScale.of(scale).check(Ratings.from_rows([-1.0, 0.33, 1.0], "bob"))


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), values=st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_what_is_on_a_scale_is_never_refused_nor_warned_of(low, width, values):
    for declared in ((low, low + width), None):
        ends = Ratings.from_rows([low, low + width], "ann", scale=declared)
        scale = UnitScale.of(ends)
        inside = np.clip(low + width * np.array(values), low, low + width)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scale.check(Ratings.from_rows(inside, "bob"))
        unit = scale.to_unit(Ratings.from_rows(inside, "bob")).values
        np.testing.assert_allclose(scale.from_unit(unit), inside[:, None], rtol=1e-9, atol=1e-9 * width)


DOORS = {
    "select_annotator": lambda model, y: model.select_annotator(X[:20], y[:20]),
    "select_annotator, Ratings": lambda model, y: model.select_annotator(X[:20], Ratings.from_rows(y[:20], "new")),
    "partial_fit": lambda model, y: model.partial_fit(X, y),
    "mapper": lambda model, y: AnnotatorMapper(model).fit(X, y),
    "mapper, Ratings": lambda model, y: AnnotatorMapper(model).fit(X, Ratings.from_rows(y, "new")),
    "score": lambda model, y: model.score(X, y),
    "score, Ratings": lambda model, y: model.score(X, Ratings.from_rows(y, "source_000")),
    "score of a mapper": lambda model, y: AnnotatorMapper(model).fit(X, RATINGS).score(X, Ratings.from_rows(y, "a")),
}


@pytest.mark.parametrize("name", DOORS)
def test_no_door_lets_another_scale_in(plain, name):
    model = fitted(1, 0)
    raw = np.clip(np.round(4 + 1.5 * RATINGS.consensus()), 1, 7) + 3
    with pytest.raises(ValueError, match="they are not on one scale"):
        DOORS[name](model, raw)


# ---------------------------------------------------------------------- names of outputs


@pytest.mark.parametrize("name", ["select_annotator", "partial_fit", "mapper", "score"])
def test_named_columns_are_put_in_the_order_of_the_model(name):
    y = RATINGS.consensus()
    frame = pd.DataFrame(y, columns=["activation", "valence"])
    models = [fitted(1, 0), fitted(1, 0)]
    found = [DOORS[name](model, y) for model, y in zip(models, (frame, frame[["valence", "activation"]]), strict=True)]
    if name == "score":
        assert found[0] == found[1]
    else:
        first, second = found if name == "mapper" else models
        np.testing.assert_array_equal(first.predict(X), second.predict(X))
    with pytest.raises(ValueError, match="'valence' is where 'activation' should be"):
        DOORS[name](models[0], frame.set_axis(["valence", "arousal"], axis=1))


def test_ratings_with_their_outputs_in_another_order_are_put_in_order():
    turned = TARGET.ratings.with_outputs(TARGET.ratings.values[:, ::-1], TARGET.ratings.outputs[::-1])
    model = fitted(1, 0)
    mappers = [AnnotatorMapper(model, random_state=0).fit(TARGET.X, each) for each in (TARGET.ratings, turned)]
    np.testing.assert_array_equal(mappers[0].heads_, mappers[1].heads_)
    predicted = mappers[0].predict_ratings(TARGET.X, TARGET.ratings)
    other = mappers[0].predict_ratings(TARGET.X, turned)
    assert other.outputs == turned.outputs
    np.testing.assert_array_equal(other.values[:, ::-1], predicted.values)
    assert mappers[0].score(TARGET.X, turned) == mappers[0].score(TARGET.X, TARGET.ratings)


def test_outputs_without_names_go_by_position():
    unnamed = SOURCE.ratings.with_outputs(SOURCE.ratings.values, ["rating_0", "rating_1"])
    model = fitted(1, 0)
    assert model.score(SOURCE.X, unnamed) == model.score(SOURCE.X, SOURCE.ratings)
    features, values = ratings_of(TARGET, "target_001")
    assert model.select_annotator(features, values) == model.select_annotator(
        features, pd.DataFrame(values, columns=list(model.outputs_))
    )


def test_only_the_error_of_a_single_rating_has_a_scale():
    scale = UnitScale(np.zeros(2), np.array([2.0, 0.5]), np.array([[-2.0, 2.0], [-0.5, 0.5]]), is_declared=True)
    scores = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    counts = np.array([[1, 4], [3, 3], [1, 1]])
    found = scale.scores_from_unit(scores, counts)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.where(counts[:, None] == 1, scores * scale.half, scores))
    np.testing.assert_array_equal(scores.ravel(), np.arange(12))
    assert scale.scores_from_unit(scores, counts + 1) is scores

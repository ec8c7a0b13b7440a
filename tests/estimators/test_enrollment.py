"""Serving one new annotator: which head, how sure, on which scale."""

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import Ratings
from sklearn_annoser.metrics import ccc_score
from tests.estimators.cases import CONSENSUS, RATINGS, SOURCE, STRATEGIES, TARGET, X, enrollment
from tests.planted import quick, ratings_of


@pytest.mark.parametrize("calibration", [None, "affine"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_arrays_and_ratings_enrol_alike(strategy, calibration, model):
    options = {"strategy": strategy, "calibration": calibration}
    own = TARGET.ratings.keep_annotators(["target_004"])
    rated = np.diff(own.indptr) > 0
    chosen = model.select_annotator(*ratings_of(TARGET, "target_004"), **options)
    predicted = model.predict(X)
    assert model.select_annotator(TARGET.X[rated], own[rated], **options) == chosen == model.selected_annotator_
    np.testing.assert_allclose(model.predict(X), predicted, atol=1e-6)


def test_the_strategies_predict_by_the_heads_they_name(model):
    features, values = enrollment(n=40)
    heads = {name: model.predict(X, annotator=name) for name in model.annotators_}

    best = model.select_annotator(features, values)
    assert best == model.selection_.index[0]
    np.testing.assert_allclose(model.predict(X), heads[best], atol=1e-5)

    one, other = model.select_annotator(features, values, strategy="separate")
    assert one == model.selection_["activation"].idxmax()
    assert other == model.selection_["valence"].idxmax()
    np.testing.assert_allclose(model.predict(X), np.c_[heads[one][:, 0], heads[other][:, 1]], atol=1e-5)

    top = model.select_annotator(features, values, strategy="top-n", n_heads=3)
    assert list(top) == model.selection_.index[:3].tolist()
    np.testing.assert_allclose(model.predict(X), np.mean([heads[name] for name in top], axis=0), atol=1e-5)

    assert model.select_annotator(features, values, strategy="all") is None
    np.testing.assert_allclose(model.predict(X), np.mean(list(heads.values()), axis=0), atol=1e-5)

    drawn = model.select_annotator(features, values, strategy="random")
    np.testing.assert_allclose(model.predict(X), heads[drawn], atol=1e-5)


def test_random_draws_every_annotator_at_some_time(model):
    drawn = set()
    for seed in range(80):
        drawn.add(model.set_params(random_state=seed).select_annotator(*enrollment(), strategy="random"))
    assert drawn == set(model.annotators_)


def test_the_score_table_holds_the_concordance_of_every_head_best_first(model):
    features, values = enrollment()
    model.select_annotator(features, values)
    table = model.selection_
    assert table.columns.tolist() == ["activation", "valence", "score", "wins"]
    assert table["score"].is_monotonic_decreasing
    assert table["wins"].sum() == pytest.approx(1)
    assert set(table.index) == set(model.annotators_)
    for name in table.index:
        expected = ccc_score(values, model.predict(features, annotator=name), multioutput="raw_values")
        np.testing.assert_allclose(table.loc[name, ["activation", "valence"]].to_numpy(float), expected, atol=1e-4)
    np.testing.assert_allclose(table["score"], table["activation"] + table["valence"], atol=1e-6)


def test_confidence_is_high_for_a_clear_choice_and_absent_for_none(model):
    model.select_annotator(*ratings_of(SOURCE, "source_003"))
    assert 0.9 < model.confidence_ <= 1
    model.select_annotator(*ratings_of(SOURCE, "source_003"), n_bootstrap=0)
    assert np.isnan(model.confidence_)
    model.select_annotator(*ratings_of(SOURCE, "source_003"), strategy="all")
    assert np.isnan(model.confidence_)


def test_calibration_moves_mean_and_spread_towards_the_enrollment_ratings(model):
    features, values = ratings_of(TARGET, "target_000")
    stretched = 1 + 1.3 * values
    model.select_annotator(features, stretched, strategy="all")
    plain = model.predict(features)
    model.select_annotator(features, stretched, strategy="all", calibration="affine")
    moved = model.predict(features)
    assert (abs(moved.mean(axis=0) - stretched.mean(axis=0)) < 0.1 * 1).all()
    assert (moved.std(axis=0) > plain.std(axis=0)).all()


def test_clearing_the_selection_predicts_the_consensus_again(model):
    before = model.predict(X)
    model.select_annotator(*enrollment())
    assert np.abs(model.predict(X) - before).max() > 0.01
    assert model.clear_selection() is model
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.selected_annotator_ is None
    assert not hasattr(model, "selection_")
    assert not hasattr(model, "confidence_")


@pytest.mark.parametrize("change", [lambda model: model.fit(X, RATINGS), lambda model: model.partial_fit(X, RATINGS)])
def test_training_forgets_the_selection(change):
    model = quick().fit(X, RATINGS)
    model.select_annotator(*enrollment())
    assert change(model).selected_annotator_ is None
    assert not hasattr(model, "selection_")


def test_a_single_enrollment_rating_picks_the_head_of_the_smallest_error(model):
    features, value = X[:1], np.array([[0.7, -0.2]])
    errors = np.abs(model.predict_annotators(features)[0] - value).sum(axis=1)
    assert model.select_annotator(features, value) == model.annotators_[errors.argmin()]


@pytest.mark.parametrize("seed", range(5))
def test_the_head_that_serves_is_the_first_of_the_table(model, seed):
    values = np.random.RandomState(seed).uniform(-1, 1, (7, 1, 2))
    values[1:, 0, 0] = np.nan  # an error stands beside a CCC
    ratings = Ratings.from_dense(values, outputs=["activation", "valence"])
    assert model.select_annotator(X[:7], ratings) == model.selection_.index[0]
    assert model.selection_.index[0] == model.selection_["valence"].idxmax()


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_equal_enrollment_ratings_do_as_on_unknown_says(model, strategy):
    before, equal = model.predict(X), np.full((5, 2), 0.5)
    with pytest.warns(
        UserWarning, match="enrollment ratings of .'activation', 'valence'. are missing or all equal"
    ) as caught:
        chosen = model.select_annotator(X[:5], equal, strategy=strategy)
    assert caught[0].filename == __file__
    assert chosen is None
    np.testing.assert_allclose(model.predict(X), before, atol=1e-5)
    assert model.set_params(on_unknown="consensus").select_annotator(X[:5], equal, strategy=strategy) is None
    with pytest.raises(ValueError, match=r"missing or all equal.*Enrol with samples"):
        model.set_params(on_unknown="raise").select_annotator(X[:5], equal, strategy=strategy)


def test_equal_ratings_of_one_output_leave_the_choice_to_the_other(model):
    features, values = enrollment()
    values[:, 0] = 0.5
    best = model.select_annotator(features, values)
    assert best == model.selection_["valence"].idxmax()
    with pytest.warns(UserWarning, match="enrollment ratings of .'activation'. are missing or all equal"):
        assert model.select_annotator(features, values, strategy="separate") == (None, best)


@pytest.mark.parametrize(
    ("features", "y", "error", "message"),
    [
        (X[:3], [0.1, 0.2, 0.3], ValueError, r"y must have 2 outputs, \['activation', 'valence'\], got shape \(3,\)"),
        (X[:3], np.ones((3, 3)), ValueError, "y must have 2 outputs"),
        (X[:3], np.ones((2, 2)), ValueError, r"inconsistent numbers of samples: \[3, 2\]"),
        (X[:3], [[1, 2], [3, np.nan], [5, 6]], ValueError, r"y must be finite, got nan at position \(1, 1\)"),
        (X[:3], [["a", "b"]] * 3, TypeError, "y must be numbers, got 'a'"),
        (X[:1], 3.0, ValueError, "y must be an array"),
        (X[:0], np.ones((0, 2)), ValueError, "0 sample"),
        (X[:3, :5], np.ones((3, 2)), ValueError, "X has 5 features, but .* is expecting 16 features"),
        (X[:200], RATINGS, ValueError, "y must be the ratings of one new annotator, got 12"),
        (X[:3], Ratings.from_rows([1.0, 2.0, 3.0], "x"), ValueError, "ratings must have 2 outputs"),
        (X[:2], Ratings.from_rows(np.eye(3)[:, :2], "x"), ValueError, "inconsistent numbers of samples"),
        (
            X[:3],
            pd.DataFrame(np.eye(3)[:, :2], columns=["valence", "arousal"]),
            ValueError,
            "'valence' is where 'activation'",
        ),
    ],
)
def test_enrollment_that_does_not_fit_is_refused_and_changes_nothing(model, features, y, error, message):
    with pytest.raises(error, match=message):
        model.select_annotator(features, y)
    assert model.selected_annotator_ is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "best"}, "strategy must be one of"),
        ({"calibration": "linear"}, "calibration must be one of"),
        ({"n_heads": 0}, "n_heads must be >= 1"),
        ({"n_bootstrap": -1}, "n_bootstrap must be >= 0"),
    ],
)
def test_bad_options_of_the_selection_are_named(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.select_annotator(*enrollment(), **options)


def test_ratings_on_another_scale_or_in_another_order_are_refused():
    own = Ratings.from_rows(CONSENSUS.clip(-1, 1), "ann", outputs=["a", "b"], scale=(-1, 1))
    model = quick().fit(X, own)
    other = Ratings.from_rows(CONSENSUS.clip(1, 7), "bob", scale=(1, 7))
    for use in (model.select_annotator, model.partial_fit):
        with pytest.raises(ValueError, match=r"ratings are on the scale .*rescaled"):
            use(X, other)
    with pytest.raises(ValueError, match=r"has the outputs \['b', 'c'\], but \['a', 'b'\] are expected: 'b' is where"):
        model.predict_ratings(X, Ratings.from_rows(CONSENSUS, "ann", outputs=["b", "c"]))
    assert model.select_annotator(X, other.rescaled((-1, 1))) == "ann"

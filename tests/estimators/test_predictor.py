"""Predictions of one annotator, of all, of ratings, in blocks."""

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.metrics import ccc_score, individual_ccc_score
from tests import oracles
from tests.estimators.cases import CONSENSUS, RATINGS, SOURCE, TARGET, VARIANTS, X, enrollment
from tests.planted import quick


def test_the_ways_to_predict_one_and_all_annotators_agree(model):
    everyone = model.predict_annotators(TARGET.X)
    assert everyone.shape == (800, 12, 2)
    for code, name in enumerate(model.annotators_):
        np.testing.assert_allclose(model.predict(TARGET.X, annotator=name), everyone[:, code], atol=1e-5)


@pytest.mark.parametrize("max_bytes", [1, 1000, 2**26])
def test_blocks_of_predictions_make_up_the_whole(model, max_bytes):
    names = ["source_007", "source_001"]
    expected = model.predict_annotators(TARGET.X, names)
    found = np.full_like(expected, np.nan)
    for rows, block in model.iter_predict_annotators(TARGET.X, names, max_bytes=max_bytes):
        assert block.nbytes <= max_bytes or len(block) == 1
        found[rows] = block
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_many_samples_are_predicted_in_blocks_that_fit_together(model):
    many = np.resize(X, (9000, 16))  # more than two blocks of the net
    rows = np.arange(9000) % 200
    expected = model.predict_annotators(X)[rows]
    np.testing.assert_allclose(model.predict_annotators(many), expected, atol=1e-5)
    for part, block in model.iter_predict_annotators(many, max_bytes=10**5):
        np.testing.assert_allclose(block, expected[part], atol=1e-5)
    predicted = model.predict_ratings(many, RATINGS[rows])
    np.testing.assert_allclose(predicted.values, model.predict_ratings(X, RATINGS)[rows].values, atol=1e-5)


def test_no_annotators_give_no_predictions(model):
    assert model.predict_annotators(X, []).shape == (200, 0, 2)
    assert sum(block.size for _, block in model.iter_predict_annotators(X, [])) == 0


def test_each_rating_is_predicted_by_the_head_of_its_annotator(model):
    predicted = model.predict_ratings(X, RATINGS)
    everyone = model.predict_annotators(X)
    assert predicted.annotators.tolist() == RATINGS.annotators.tolist()
    np.testing.assert_allclose(predicted.values, everyone[RATINGS.rows, RATINGS.codes], atol=1e-5)


@pytest.mark.parametrize("n_hidden", [24, 29, 33, 256])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_prediction_does_not_depend_on_the_samples_beside_it(variant, n_hidden):
    model = quick(variant=variant, n_hidden=n_hidden, max_epochs=1).fit(X, RATINGS)
    order = np.random.RandomState(0).permutation(len(SOURCE.X))
    asked = [model.predict, model.predict_annotators, lambda X: model.predict_distribution(X)[0]]
    for predict in asked:
        whole = predict(SOURCE.X)
        for rows in ([5], [5, 0, 700], order[:127], order[:200], order):
            np.testing.assert_array_equal(predict(SOURCE.X[rows]), whole[rows])


def test_score_is_the_concordance(model):
    assert model.score(X, CONSENSUS) == ccc_score(CONSENSUS, model.predict(X))
    assert model.score(X, RATINGS) == individual_ccc_score(RATINGS, model.predict_ratings(X, RATINGS))
    weight = np.arange(200.0)
    assert model.score(X, CONSENSUS, weight) == ccc_score(CONSENSUS, model.predict(X), sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight cannot be used with Ratings"):
        model.score(X, RATINGS, sample_weight=weight)


def drawn_ratings(rng, annotators):
    """Draw ratings of some samples by some annotators, one of them unknown, with gaps and with equal ratings."""
    labels = [*rng.permutation(annotators)[: rng.integers(1, 6)].tolist(), "nobody"]
    values = rng.choice([-1.0, -0.5, 0.0, 0.25, 1.0], size=(rng.integers(3, 30), len(labels), 2))
    values[:, 0, 0] = rng.choice([values[0, 0, 0], np.nan])  # all equal, or none
    values[rng.random(values.shape) < rng.choice([0.0, 0.4])] = np.nan
    values[rng.random(values.shape[:2]) < rng.choice([0.0, 0.4, 0.9])] = np.nan
    return Ratings.from_dense(values, annotators=labels)


def plain_score(estimator, X, ratings):
    """Score each annotator who gave an output two ratings, one sample after the other, and average: people, outputs."""
    known, means = set(estimator.annotators_.tolist()), []
    for output in range(ratings.n_outputs):
        scores = []
        for label in ratings.annotators.tolist():
            rows, values = ratings.of(label)
            who = label if label in known else None
            pairs = [
                (float(value), float(estimator.predict(X[[row]], annotator=who)[0, output]))
                for row, value in zip(rows, values[:, output], strict=True)
                if value == value
            ]
            scores += [oracles.ccc(*zip(*pairs, strict=True))] if len(pairs) > 1 else []
        means.append(sum(scores) / len(scores) if scores else np.nan)
    return sum(means) / len(means)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("is_mapper", [False, True])
def test_score_on_drawn_ratings_is_that_of_a_loop(model, is_mapper, seed):
    rng = np.random.default_rng(seed)
    estimator = model.set_params(on_unknown="consensus")
    if is_mapper:
        estimator = AnnotatorMapper(model, on_unknown="consensus", random_state=0).fit(TARGET.X, TARGET.ratings)
    for _ in range(5):
        ratings = drawn_ratings(rng, estimator.annotators_)
        rows = rng.permutation(len(TARGET.X))[: ratings.n_samples]
        expected = plain_score(estimator, TARGET.X[rows], ratings)
        if np.isfinite(expected):
            assert estimator.score(TARGET.X[rows], ratings) == pytest.approx(expected, abs=1e-6)
        else:
            with pytest.warns(UndefinedMetricWarning, match="no annotator has 2 ratings"):
                assert np.isnan(estimator.score(TARGET.X[rows], ratings))


def test_ratings_by_unknown_annotators_are_predicted_as_on_unknown_says(model):
    with pytest.warns(UserWarning, match="12 of 12 annotators are unknown, for example .'target_000'"):
        predicted = model.predict_ratings(TARGET.X, TARGET.ratings)
    np.testing.assert_allclose(predicted.values, model.predict(TARGET.X)[TARGET.ratings.rows], atol=1e-5)
    with pytest.raises(ValueError, match="12 of 12 annotators are unknown"):
        model.set_params(on_unknown="raise").predict_ratings(TARGET.X, TARGET.ratings)
    quiet = model.set_params(on_unknown="consensus").predict_ratings(TARGET.X, TARGET.ratings)
    assert quiet == predicted


def test_a_selected_annotator_predicts_the_ratings_of_unknown_ones_without_a_warning(model):
    model.select_annotator(*enrollment())
    predicted = model.predict_ratings(TARGET.X, TARGET.ratings)
    np.testing.assert_allclose(predicted.values, model.predict(TARGET.X)[TARGET.ratings.rows], atol=1e-5)


@pytest.mark.parametrize(("variant", "y"), [("aggregate", RATINGS), ("individual", CONSENSUS)])
def test_a_model_of_the_consensus_alone_predicts_every_annotator_without_a_warning(variant, y):
    model = quick(variant=variant, on_unknown="raise").fit(X, y)
    assert np.isfinite(model.score(X, Ratings.from_rows(CONSENSUS, "somebody")))


def test_a_label_is_known_only_by_its_own_type():
    ratings = Ratings.from_rows(CONSENSUS, np.arange(200) % 3)
    model = quick().fit(X, ratings)
    assert model.predict(X, annotator=2).shape == (200, 2)
    assert type(model.select_annotator(X, CONSENSUS)) is int
    with pytest.raises(ValueError, match="annotator '2' is not in the fitted annotators"):
        model.predict(X, annotator="2")

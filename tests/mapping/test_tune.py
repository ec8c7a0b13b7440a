"""Fine-tuning after a mapping: the mapper whose predictions go through what was tuned."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMapper
from sklearn_annoser.metrics import ccc_scorers, individual_ccc_scorer
from tests.planted import ENROLLED, REST, corpora, quick, trained

SOURCE, TARGET = corpora()
X, RATINGS = TARGET.X[ENROLLED], TARGET.ratings[ENROLLED]
REST_RATINGS = TARGET.ratings[REST]
QUICK = {"calibration": "affine", "n_bootstrap": 0, "n_folds": 0, "random_state": 0}


def mapper_of(source, **changes):
    return AnnotatorMapper(FrozenEstimator(source), **(QUICK | changes))


@pytest.fixture(scope="module")
def source():
    return trained()


@pytest.fixture(scope="module")
def aggregate():
    return quick(variant="aggregate", n_hidden=32, max_epochs=60).fit(SOURCE.X, SOURCE.ratings)


# ---------------------------------------------------------------------- planted truth


def test_fine_tuning_finds_annotators_whom_the_aggregate_does_not_tell_apart(aggregate):
    scores = [
        mapper_of(aggregate, strategy="all", fine_tune=how).fit(X, RATINGS).score(TARGET.X[REST], REST_RATINGS)
        for how in (None, "all")
    ]
    assert scores[1] > scores[0] + 0.1


def test_fine_tuning_a_good_mapping_does_no_harm(source):
    scores = [
        mapper_of(source, fine_tune=how).fit(X, RATINGS).score(TARGET.X[REST], REST_RATINGS) for how in (None, "all")
    ]
    assert scores[1] > scores[0] - 0.02


# ---------------------------------------------------------------------- laws


def test_the_source_is_never_changed():
    source = trained()
    before = deepcopy(source)
    mapper = mapper_of(source, fine_tune="all").fit(X, RATINGS)
    np.testing.assert_array_equal(source.heads_, before.heads_)
    np.testing.assert_array_equal(source.predict(X), before.predict(X))
    start = mapper_of(source).fit(X, RATINGS)
    assert mapper.mapping_["source"].equals(start.mapping_["source"])
    assert np.abs(mapper.predict_annotators(X) - start.predict_annotators(X)).max() > 1e-3


@pytest.mark.parametrize("calibration", [None, "affine"])
def test_all_ways_to_predict_agree(source, calibration):
    mapper = mapper_of(source, fine_tune="all", calibration=calibration).fit(X, RATINGS)
    label = mapper.annotators_[3]
    expected = mapper.predict(TARGET.X, annotator=label)
    np.testing.assert_allclose(mapper.predict_annotators(TARGET.X)[:, 3], expected, atol=1e-5)
    rows, values = mapper.predict_ratings(TARGET.X, TARGET.ratings).of(label)
    np.testing.assert_allclose(values, expected[rows], atol=1e-5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mapper)).predict(TARGET.X, annotator=label), expected)
    np.testing.assert_allclose(mapper.to_regressor().predict(TARGET.X, annotator=label), expected, atol=1e-5)


def test_the_steps_of_a_pipeline_stay_as_they_are():
    pipeline = make_pipeline(StandardScaler(), quick(max_epochs=20)).fit(SOURCE.X, SOURCE.ratings)
    gaps = RATINGS.keep_ratings(RATINGS.rows % 3 > 0)
    whole = mapper_of(pipeline, fine_tune="all").fit(X, gaps)
    last = mapper_of(pipeline[-1], fine_tune="all").fit(pipeline[:-1].transform(X), gaps)
    np.testing.assert_allclose(whole.heads_, last.heads_, atol=1e-5)
    expected = last.predict_annotators(pipeline[:-1].transform(TARGET.X))
    np.testing.assert_allclose(whole.predict_annotators(TARGET.X), expected, atol=1e-5)


def test_a_seed_makes_it_repeatable(source):
    first, second = (mapper_of(source, fine_tune="all").fit(X, RATINGS).heads_ for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_refit_without_fine_tuning_forgets_it(source):
    mapper = mapper_of(source, fine_tune="all").fit(X, RATINGS)
    assert len(mapper.tuned_.tuning_scores_) > 1
    assert mapper.set_params(fine_tune=None).fit(X, RATINGS).tuned_ is None
    np.testing.assert_array_equal(mapper.heads_, mapper_of(source).fit(X, RATINGS).heads_)


@pytest.mark.parametrize("strategy", ["joint", "top-n", "blend", "all"])
def test_what_is_held_out_has_had_no_part_in_the_start(source, strategy):
    chance = RATINGS.with_values(np.random.RandomState(0).uniform(-1, 1, size=RATINGS.values.shape))
    mapper = mapper_of(source, strategy=strategy, fine_tune="all").fit(X[:60], chance[:60])
    assert mapper.tuned_.tuning_scores_[0] < 0.12  # less than none: what is above the mean leaves the others below it


@pytest.mark.parametrize("strategy", ["joint", "blend"])
def test_without_an_epoch_nothing_changes(strategy):
    source = trained().set_params(patience=1, lr=1e-9)  # too small a step to be better
    mapper = mapper_of(source, strategy=strategy, fine_tune="all").fit(X, RATINGS)
    heads = mapper_of(source, strategy=strategy).fit(X, RATINGS).heads_
    np.testing.assert_allclose(mapper.heads_, heads, atol=1e-4)


def test_the_forecast_is_of_the_mapping_before(source):
    found, expected = (
        mapper_of(source, n_folds=3, fine_tune=how).fit(X, RATINGS).mapping_.filter(regex="expected|low|high")
        for how in ("all", None)
    )
    assert found.equals(expected)


@pytest.mark.parametrize("fine_tune", [None, "all"])
def test_training_on_leaves_the_steps_of_a_pipeline_and_the_source_alone(fine_tune):
    pipeline = make_pipeline(StandardScaler(), quick(max_epochs=5)).fit(SOURCE.X, SOURCE.ratings)
    before = pipeline.predict(TARGET.X)
    mapper = mapper_of(pipeline, fine_tune=fine_tune).fit(X * 3 + 5, RATINGS)
    predicted = mapper.predict_annotators(TARGET.X)
    other = clone(mapper.to_regressor()).steps[0][1]
    np.testing.assert_array_equal(other.mean_, pipeline[0].mean_)
    regressor = mapper.to_regressor()
    regressor[-1].set_params(warm_start=True)
    regressor.fit(X * 3 + 5, RATINGS)
    np.testing.assert_array_equal(pipeline.predict(TARGET.X), before)
    np.testing.assert_array_equal(mapper.predict_annotators(TARGET.X), predicted)


def test_training_on_from_an_aggregate_trains_those_who_were_mapped(aggregate):
    regressor = mapper_of(aggregate, strategy="all", calibration=None).fit(X, RATINGS).to_regressor()
    before = regressor.predict_annotators(X)
    regressor.set_params(warm_start=True).fit(X, RATINGS)
    assert regressor.annotators_.tolist() == RATINGS.annotators.tolist()
    assert np.ptp(regressor.predict_annotators(X), axis=1).max() > 0.1 > np.ptp(before, axis=1).max()


def test_unrated_samples_are_no_enrollment(source):
    gaps = RATINGS.keep_ratings(RATINGS.rows % 3 > 0)
    rated = np.flatnonzero(np.arange(len(X)) % 3 > 0)
    options = {"fine_tune": "all", "calibration": None}
    found = mapper_of(source, **options).fit(X, gaps).heads_
    np.testing.assert_allclose(mapper_of(source, **options).fit(X[rated], gaps[rated]).heads_, found, atol=1e-5)


# ---------------------------------------------------------------------- scikit-learn


def test_cross_validation_and_clone(source):
    mapper = clone(mapper_of(source, fine_tune="all"))
    scores = cross_validate(mapper, X, RATINGS, cv=2, scoring=ccc_scorers, error_score="raise")
    assert all(np.isfinite(scores[name]).all() for name in scores)


def test_what_to_train_can_be_searched(source):
    search = GridSearchCV(mapper_of(source), {"fine_tune": [None, "all"]}, cv=2, scoring=individual_ccc_scorer)
    assert search.fit(X, RATINGS).best_params_["fine_tune"] in (None, "all")


def test_a_regressor_is_fine_tuned_by_itself():
    little = quick(n_hidden=32, max_epochs=4).fit(SOURCE.X, SOURCE.ratings)
    regressor = mapper_of(little, calibration=None).fit(X, RATINGS).to_regressor()
    before = regressor.heads_
    assert regressor.fine_tune(X, RATINGS) is regressor
    assert regressor.tuning_scores_.argmax() > 0
    assert np.abs(regressor.heads_ - before).max() > 1e-4
    refit = regressor.set_params(warm_start=True, max_epochs=1).fit(X, RATINGS)
    assert not hasattr(refit, "tuning_scores_")


# ---------------------------------------------------------------------- doors


def test_groups_are_held_out_as_a_whole(source):
    with pytest.warns(UserWarning, match="nothing is fine-tuned: all ratings are of one group"):
        mapper = mapper_of(source, fine_tune="all", calibration=None).fit(X, RATINGS, groups=np.zeros(len(X)))
    np.testing.assert_allclose(mapper.heads_, mapper_of(source, calibration=None).fit(X, RATINGS).heads_, atol=1e-5)


def test_one_sample_is_not_enough(source):
    with pytest.warns(UserWarning, match="nothing is fine-tuned: all ratings are of one sample"):
        mapper_of(source, fine_tune="all", strategy="all", on_unknown="consensus").fit(X[:1], RATINGS[:1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fine_tune": "trunk"}, r"fine_tune must be one of .*None, 'all'.*got 'trunk'"),
        (
            {"fine_tune": "all", "min_expected_score": 0.2, "n_folds": 5},
            "min_expected_score judges the mapping, not what fine_tune='all' makes of it",
        ),
    ],
)
def test_parameters_are_checked(source, changes, message):
    with pytest.raises(ValueError, match=message):
        mapper_of(source, **changes).fit(X, RATINGS)


def test_groups_must_be_as_many_as_samples(source):
    with pytest.raises(ValueError, match="groups must have one label for each of"):
        mapper_of(source, fine_tune="all").fit(X, RATINGS, groups=[0, 1])


def test_only_known_annotators_can_be_fine_tuned(source):
    with pytest.raises(ValueError, match=r"annotator 'target_000' \(and 11 more\) is not in the fitted annotators"):
        deepcopy(source).fine_tune(X, RATINGS)

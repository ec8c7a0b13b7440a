import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings
from sklearn_annoser.annotators import embed_annotators
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.metrics import annotator_ccc, ccc_scorers, individual_ccc_scorer
from tests.planted import ENROLLED, REST, corpora, quick, ratings_of, trained

SOURCE, TARGET = corpora()
X, RATINGS = TARGET.X[ENROLLED], TARGET.ratings[ENROLLED]
REST_RATINGS = TARGET.ratings[REST]


@pytest.fixture(scope="module")
def source():
    return trained()


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(StandardScaler(), quick(max_epochs=20)).fit(SOURCE.X, SOURCE.ratings)


@pytest.fixture
def mapper(source):
    return AnnotatorMapper(FrozenEstimator(source), n_bootstrap=20, random_state=0)


# ---------------------------------------------------------------------- planted truth, and one by one


def test_annotators_are_mapped_to_their_own_type(mapper):
    types = dict(zip(SOURCE.ratings.annotators, SOURCE.types, strict=True))
    found = mapper.fit(X, RATINGS).mapping_["source"].map(types)
    assert (found.to_numpy() == TARGET.types).mean() >= 0.8


def test_mapping_predicts_better_than_all_heads_and_than_random_ones(mapper):
    scores = {
        strategy: mapper.set_params(strategy=strategy).fit(X, RATINGS).score(TARGET.X[REST], REST_RATINGS)
        for strategy in ("joint", "all", "random")
    }
    assert scores["joint"] > scores["all"] + 0.1
    assert scores["joint"] > scores["random"] + 0.1


@pytest.mark.parametrize("calibration", [None, "affine"])
@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n", "blend", "all"])
def test_mapping_a_corpus_is_selecting_for_each_annotator(mapper, strategy, calibration):
    options = {"strategy": strategy, "calibration": calibration, "n_heads": 3}
    mapper.set_params(**options).fit(X, RATINGS)
    one = trained()
    for name in RATINGS.annotators:
        own = RATINGS.keep_annotators([name])
        chosen = one.select_annotator(X, own, **options)
        if strategy == "blend":  # to whom it matters who else enrols
            mapper.fit(X, own)
        row = mapper.mapping_.loc[name]
        mapped = (row["source_activation"], row["source_valence"]) if strategy == "separate" else row["source"]
        assert mapped == chosen
        expected = one.predict(TARGET.X[REST])
        np.testing.assert_allclose(mapper.predict(TARGET.X[REST], annotator=name), expected, atol=1e-4)


def test_a_random_mapping_is_the_random_selection(mapper):
    own = RATINGS.keep_annotators(["target_005"])
    mapper.set_params(strategy="random").fit(X, own)
    assert mapper.mapping_.loc["target_005", "source"] == trained().select_annotator(X, own, strategy="random")


def test_frozen_bare_and_pickled_sources_map_alike(source):
    for fitted in (source, FrozenEstimator(source), pickle.loads(pickle.dumps(source))):
        mapper = AnnotatorMapper(fitted, n_bootstrap=20, random_state=0).fit(X, RATINGS)
        expected = AnnotatorMapper(source, n_bootstrap=20, random_state=0).fit(X, RATINGS).mapping_
        pd.testing.assert_frame_equal(mapper.mapping_, expected)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda steps: steps,
        FrozenEstimator,
        lambda steps: make_pipeline(FrozenEstimator(steps[0]), FrozenEstimator(steps[1])),
        lambda steps: make_pipeline(*steps),
    ],
    ids=["pipeline", "frozen pipeline", "pipeline of frozen steps", "another pipeline"],
)
def test_a_pipeline_maps_as_its_last_step_on_transformed_features(pipeline, wrap):
    mapper = AnnotatorMapper(wrap(pipeline), random_state=0).fit(X, RATINGS)
    last = AnnotatorMapper(pipeline[-1], random_state=0).fit(pipeline[:-1].transform(X), RATINGS)
    pd.testing.assert_frame_equal(mapper.mapping_, last.mapping_)
    expected = last.predict(pipeline[:-1].transform(X), annotator="target_000")
    np.testing.assert_array_equal(mapper.predict(X, annotator="target_000"), expected)
    assert mapper.n_features_in_ == 16


def test_one_rating_a_sample_by_annotators_is_the_same_as_ratings(mapper):
    annotators = np.array(["ann", "bob"])[np.arange(250) % 2]
    values = RATINGS.consensus()
    by_rows = mapper.fit(X, values, annotators=annotators).mapping_
    pd.testing.assert_frame_equal(by_rows, mapper.fit(X, Ratings.from_rows(values, annotators)).mapping_)


def test_a_plain_array_is_one_new_annotator(mapper):
    values = RATINGS.consensus()
    assert mapper.fit(X.tolist(), values.tolist()).annotators_.tolist() == ["consensus"]
    np.testing.assert_allclose(mapper.predict(X), mapper.predict(X, annotator="consensus"), atol=1e-6)


# ---------------------------------------------------------------------- what fit leaves

ALWAYS = ["ccc_activation", "ccc_valence", "confidence", "n_ratings"]


EXPECTED = [f"{kind}_{output}" for kind in ("expected", "low", "high") for output in ("activation", "valence")]


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({}, ["source", *ALWAYS, *EXPECTED]),
        ({"strategy": "separate"}, ["source_activation", "source_valence", *ALWAYS, *EXPECTED]),
        (
            {"strategy": "all", "calibration": "affine"},
            ["source", *ALWAYS, "slope_activation", "offset_activation", "slope_valence", "offset_valence", *EXPECTED],
        ),
        ({"n_folds": 0}, ["source", *ALWAYS]),
        ({"min_expected_score": 0.2}, ["source", *ALWAYS, *EXPECTED, "trusted"]),
    ],
)
def test_the_mapping_has_a_row_an_annotator_and_the_documented_columns(mapper, options, columns):
    table = mapper.set_params(**options).fit(X, RATINGS).mapping_
    assert table.columns.tolist() == columns
    assert table.index.tolist() == RATINGS.annotators.tolist() == mapper.annotators_.tolist()
    assert table.index.name == "annotator"
    assert table["n_ratings"].tolist() == RATINGS.counts().tolist()


def test_the_scores_are_those_of_the_selection(mapper, source):
    mapper.fit(X, RATINGS)
    one = trained()
    one.select_annotator(*ratings_of(TARGET, "target_007", ENROLLED))
    assert mapper.scores_.shape == (12, 12, 2)
    expected = one.selection_.loc[source.annotators_, ["activation", "valence"]]
    np.testing.assert_allclose(mapper.scores_[7], expected, atol=1e-5)
    row = mapper.mapping_.loc["target_007"]
    assert row[["ccc_activation", "ccc_valence"]].tolist() == pytest.approx(expected.loc[row["source"]].tolist())


def test_confidence_tells_a_clear_mapping_from_none(mapper):
    assert mapper.fit(X, RATINGS).mapping_["confidence"].between(0, 1).all()
    assert mapper.fit(SOURCE.X, SOURCE.ratings).mapping_["confidence"].mean() > 0.9
    for options in ({"n_bootstrap": 0}, {"strategy": "blend"}, {"strategy": "all"}, {"strategy": "random"}):
        assert clone(mapper).set_params(**options).fit(X, RATINGS).mapping_["confidence"].isna().all()


def test_the_source_is_not_trained(mapper, source):
    before, selected = source.heads_.copy(), source.selected_annotator_
    mapper.set_params(calibration="affine").fit(X, RATINGS).predict(X)
    np.testing.assert_array_equal(source.heads_, before)
    assert source.selected_annotator_ is selected is None


def test_the_labels_are_plain(mapper):
    table = mapper.set_params(strategy="top-n").fit(X, RATINGS).mapping_
    assert {type(label) for labels in table["source"] for label in labels} == {str}


def test_numbered_annotators_stay_numbers_beside_one_who_cannot_be_mapped():
    source = quick().fit(SOURCE.X, Ratings.from_rows(SOURCE.ratings.consensus(), np.arange(800) % 5))
    ratings = thin_ratings("equal")
    table = AnnotatorMapper(source, on_unknown="consensus", random_state=0).fit(X, ratings).mapping_
    assert [type(label) for label in table["source"][:5]] == [int, int, int, type(None), int]


def test_a_clone_keeps_the_frozen_fit_but_not_the_mapping(mapper, source):
    twin = clone(mapper.fit(X, RATINGS))
    assert not hasattr(twin, "mapping_")
    assert twin.estimator.estimator is source
    pd.testing.assert_frame_equal(twin.fit(X, RATINGS).mapping_, mapper.mapping_)
    with pytest.raises(NotFittedError, match=r"estimator is not fitted.*FrozenEstimator"):
        clone(AnnotatorMapper(source)).fit(X, RATINGS)


def test_a_pickled_mapper_predicts_the_same(mapper):
    mapper.set_params(calibration="affine").fit(X, RATINGS)
    twin = pickle.loads(pickle.dumps(mapper))
    np.testing.assert_array_equal(twin.predict(X, annotator="target_002"), mapper.predict(X, annotator="target_002"))


# ---------------------------------------------------------------------- thin, equal and unknown annotators


def thin_ratings(how):
    """Return ratings in which target_003 has a single one, or all of theirs are equal."""
    mine = np.flatnonzero(RATINGS.codes == 3)
    if how == "single":
        kept = np.ones(RATINGS.n_ratings, dtype=bool)
        kept[mine[1:]] = False
        return RATINGS.keep_ratings(kept)
    values = RATINGS.values.copy()
    values[mine] = 0.5
    return RATINGS.with_values(values)


@pytest.mark.parametrize("how", ["single", "equal"])
def test_an_annotator_who_cannot_be_mapped_is_served_as_on_unknown_says(mapper, source, how):
    ratings = thin_ratings(how)
    with pytest.warns(UserWarning, match=r"1 of 12 annotators, for example \['target_003'\], cannot be mapped") as seen:
        mapper.fit(X, ratings)
    assert seen[0].filename == __file__
    row = mapper.mapping_.loc["target_003"]
    assert row["source"] is None
    assert np.isnan(row["ccc_activation"])
    np.testing.assert_allclose(mapper.predict(X, annotator="target_003"), source.predict(X), atol=1e-5)
    with pytest.raises(ValueError, match=r"cannot be mapped.*on_unknown=\"consensus\""):
        clone(mapper).set_params(on_unknown="raise").fit(X, ratings)
    quiet = clone(mapper).set_params(on_unknown="consensus").fit(X, ratings)
    pd.testing.assert_frame_equal(quiet.mapping_, mapper.mapping_)


def test_an_annotator_never_enrolled_is_served_as_on_unknown_says(mapper):
    enrolled = RATINGS.keep_annotators(RATINGS.annotators[:6])
    mapper.fit(X, enrolled)
    assert mapper.annotators_.tolist() == RATINGS.annotators[:6].tolist()
    with pytest.warns(UserWarning, match="6 of 12 annotators are unknown, for example .'target_006'") as seen:
        predicted = mapper.predict_ratings(X, RATINGS)
    assert seen[0].filename == __file__
    unknown = RATINGS.codes >= 6
    mean = mapper.predict_annotators(X).mean(axis=1)
    np.testing.assert_allclose(predicted.values[unknown], mean[RATINGS.rows[unknown]], atol=1e-5)
    with pytest.raises(ValueError, match="6 of 12 annotators are unknown"):
        mapper.set_params(on_unknown="raise").predict_ratings(X, RATINGS)
    assert mapper.set_params(on_unknown="consensus").predict_ratings(X, RATINGS) == predicted


def test_with_min_ratings_of_one_a_single_rating_picks_the_head_of_the_smallest_error(mapper, source):
    ratings = thin_ratings("single")
    rows, values = ratings.of("target_003")
    errors = np.abs(source.predict_annotators(X[rows])[0] - values).sum(axis=1)
    mapper.set_params(min_ratings=1).fit(X, ratings)
    assert mapper.mapping_.loc["target_003", "source"] == source.annotators_[errors.argmin()]


def test_samples_without_a_rating_change_no_mapping(mapper):
    mapper.set_params(n_folds=0)
    gaps = RATINGS.keep_ratings(RATINGS.rows % 3 > 0)
    rated = gaps.counts("sample").to_numpy() > 0
    table = mapper.fit(X, gaps).mapping_
    pd.testing.assert_frame_equal(clone(mapper).fit(X[rated], gaps[rated]).mapping_, table)
    pd.testing.assert_frame_equal(clone(mapper).fit(X.tolist(), gaps).mapping_, table)


@pytest.mark.parametrize("strategy", ["blend", "all"])
def test_samples_without_a_rating_tell_where_the_predictions_lie(mapper, strategy):
    mapper.set_params(strategy=strategy, calibration="affine")
    few = RATINGS.keep_ratings(RATINGS.rows < 30)
    informed = mapper.fit(X, few).heads_.copy()
    assert np.abs(informed - mapper.fit(X[:30], few[:30]).heads_).max() > 1e-3


# ---------------------------------------------------------------------- forecast


def scores_on_the_rest(mapper):
    return annotator_ccc(REST_RATINGS, mapper.predict_ratings(TARGET.X[REST], REST_RATINGS))[["activation", "valence"]]


@pytest.mark.parametrize("strategy", ["joint", "blend"])
def test_the_expected_score_is_near_the_score_on_the_rest(mapper, strategy):
    mapper.set_params(strategy=strategy, calibration="affine").fit(X, RATINGS)
    true = scores_on_the_rest(mapper).loc[mapper.annotators_].to_numpy()
    expected, low, high = (
        mapper.mapping_[[f"{kind}_activation", f"{kind}_valence"]].to_numpy() for kind in ("expected", "low", "high")
    )
    assert abs(np.mean(true - expected)) < 0.08
    assert (low < expected).all()
    assert (expected < high).all()


def test_who_is_not_trusted_gets_the_consensus_or_nothing(mapper, source):
    mapper.fit(X, RATINGS)
    middle = mapper.mapping_[["expected_activation", "expected_valence"]].mean(axis=1).median()
    plain = mapper.heads_.copy()
    mapper.set_params(min_expected_score=middle).fit(X, RATINGS)
    trusted = mapper.mapping_["trusted"].to_numpy()
    assert 0 < trusted.sum() < len(trusted)
    np.testing.assert_array_equal(mapper.heads_[trusted], plain[trusted])
    everyone = source.heads_.mean(axis=0)
    np.testing.assert_allclose(
        mapper.heads_[~trusted], np.broadcast_to(everyone, mapper.heads_[~trusted].shape), atol=1e-6
    )

    mapper.set_params(fallback="nan").fit(X, RATINGS)
    predicted = mapper.predict_annotators(X)
    np.testing.assert_array_equal(np.isnan(predicted).any(axis=(0, 2)), ~trusted)
    assert np.isfinite(mapper.predict(X)).all()
    left = RATINGS.keep_annotators(mapper.annotators_[trusted])
    assert np.isfinite(mapper.predict_ratings(X, left).values).all()
    listed = RATINGS.keep_ratings(trusted[RATINGS.codes])  # the others are named, and have no rating
    assert np.isfinite(mapper.predict_ratings(X, listed).values).all()
    assert mapper.to_regressor().annotators_.tolist() == mapper.annotators_[trusted].tolist()
    with pytest.raises(ValueError, match="6 annotators of the mapper are not trusted and have no head"):
        embed_annotators(mapper, X)
    with pytest.raises(ValueError, match=r"6 annotators are not trusted, for example .*keep_annotators"):
        mapper.predict_ratings(X, RATINGS)


def test_if_nobody_is_trusted_nothing_is_predicted(mapper):
    mapper.set_params(min_expected_score=1.0, fallback="nan").fit(X, RATINGS)
    assert np.isnan(mapper.predict(X)).all()


def test_an_expected_score_needs_folds(mapper):
    with pytest.raises(ValueError, match="min_expected_score needs an expected score: n_folds must be at least 2"):
        mapper.set_params(n_folds=0, min_expected_score=0.3).fit(X, RATINGS)
    with pytest.raises(ValueError, match="n_folds must be 0, for no expected score, or at least 2, got 1"):
        mapper.set_params(n_folds=1).fit(X, RATINGS)


def test_min_ratings_do_not_take_the_ratings_from_the_forecast(mapper):
    found, expected = (
        mapper.set_params(min_ratings=n, n_folds=5).fit(X, RATINGS).mapping_["expected_activation"] for n in (20, 2)
    )
    pd.testing.assert_series_equal(found, expected)


def test_one_rating_has_no_ccc(mapper, source):
    values = RATINGS.values.copy()
    values[RATINGS.codes == 0, 0] = np.nan
    values[np.flatnonzero(RATINGS.codes == 0)[0], 0] = 0.5
    table = mapper.fit(X, RATINGS.with_values(values)).mapping_
    assert np.isnan(table["ccc_activation"].iloc[0])
    assert np.isfinite(table["ccc_valence"].iloc[0])


# ---------------------------------------------------------------------- doors


def test_a_mapper_knows_no_source_corpus(mapper):
    with pytest.raises(TypeError, match=r"must know a source corpus, got AnnotatorMapper: .*to_regressor"):
        AnnotatorMapper(mapper.fit(X, RATINGS)).fit(X, RATINGS)


@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        ("strategy", "best", ValueError),
        ("n_heads", 0, ValueError),
        ("calibration", "linear", ValueError),
        ("min_ratings", 0, ValueError),
        ("n_bootstrap", 1.5, TypeError),
        ("on_unknown", "ignore", ValueError),
        ("random_state", "seed", ValueError),
        ("estimator", 3, TypeError),
        ("estimator", LinearRegression(), TypeError),
    ],
)
def test_a_bad_parameter_is_named(mapper, parameter, value, error):
    found = type(value).__name__ if parameter == "estimator" else repr(value)
    with pytest.raises(error, match=rf"^{parameter}\b.*{found}"):
        mapper.set_params(**{parameter: value}).fit(X, RATINGS)


@pytest.mark.parametrize("estimator", [quick(), make_pipeline(StandardScaler(), quick()), FrozenEstimator(quick())])
def test_an_unfitted_source_says_what_to_do(estimator):
    with pytest.raises(NotFittedError, match=r"estimator is not fitted: fit it on the source corpus first.*Frozen"):
        AnnotatorMapper(estimator).fit(X, RATINGS)


@pytest.mark.parametrize(
    ("features", "y", "fit_params", "error", "message"),
    [
        (X, RATINGS[:100], {}, ValueError, r"inconsistent numbers of samples: \[250, 100\]"),
        (X, RATINGS, {"annotators": ["ann"] * 250}, ValueError, "annotators must be None if y is Ratings"),
        (X, RATINGS.keep_ratings(RATINGS.codes < 0), {}, ValueError, "y has no ratings: there is nobody to enrol"),
        (X, RATINGS.consensus()[:, 0], {}, ValueError, r"must have 2 outputs, \['activation', 'valence'\], got 1"),
        (X, np.full((250, 2), np.nan), {}, ValueError, "contains NaN"),
        (X, [["a", "b"]] * 250, {}, TypeError, "y must be numbers, got 'a'"),
        (X[:, :5], RATINGS, {}, ValueError, "X has 5 features, but .* is expecting 16 features"),
        (np.full_like(X, np.nan), RATINGS, {}, ValueError, "X contains NaN"),
    ],
)
def test_enrollment_that_does_not_fit_is_refused(mapper, features, y, fit_params, error, message):
    with pytest.raises(error, match=message):
        mapper.fit(features, y, **fit_params)
    with pytest.raises(NotFittedError, match="AnnotatorMapper instance is not fitted yet"):
        mapper.predict(X)


def test_ratings_on_another_scale_are_refused():
    own, other = (
        Ratings.from_rows(RATINGS.consensus().clip(*scale), "ann", scale=scale) for scale in ((-1, 1), (1, 7))
    )
    mapper = AnnotatorMapper(quick().fit(X, own), random_state=0)
    with pytest.raises(ValueError, match=r"ratings are on the scale .*rescaled"):
        mapper.fit(X, other)
    assert len(mapper.fit(X, other.rescaled((-1, 1))).mapping_) == 1


def test_bad_enrollment_of_a_pipeline_is_refused_too(pipeline):
    mapper = AnnotatorMapper(pipeline)
    with pytest.raises(ValueError, match="contains NaN"):
        mapper.fit(np.full_like(X, np.nan), RATINGS)
    with pytest.raises(ValueError, match="y must be finite"):
        mapper.fit(X, np.full((250, 2), np.nan))
    with pytest.raises(ValueError, match="X has 5 features"):
        mapper.fit(X, RATINGS).predict(X[:, :5])


# ---------------------------------------------------------------------- as an estimator of scikit-learn


def test_cross_validation_by_groups_enrols_and_scores_each_fold(mapper):
    mapper.set_params(on_unknown="consensus")
    folds = GroupKFold(3)
    results = cross_validate(
        mapper, TARGET.X, TARGET.ratings, groups=TARGET.groups, cv=folds, scoring=ccc_scorers, return_estimator=True
    )
    assert set(ccc_scorers) == {key.removeprefix("test_") for key in results if key.startswith("test_")}
    for fold, (train, test) in enumerate(folds.split(TARGET.X, groups=TARGET.groups)):
        mapper.fit(TARGET.X[train], TARGET.ratings[train])
        expected = individual_ccc_scorer(mapper, TARGET.X[test], TARGET.ratings[test])
        assert results["test_ccc_individual"][fold] == pytest.approx(expected)
        assert results["estimator"][fold].estimator.estimator.n_iter_ > 0


def test_a_grid_search_finds_a_mapping_better_than_all_heads(mapper):
    grid = {"strategy": ["all", "joint"], "calibration": [None, "affine"]}
    search = GridSearchCV(mapper, grid, cv=GroupKFold(3), scoring=individual_ccc_scorer, error_score="raise")
    search.fit(TARGET.X, TARGET.ratings, groups=TARGET.groups)
    assert search.best_params_["strategy"] == "joint"
    assert search.best_estimator_.mapping_["source"].notna().all()


def test_a_data_frame_goes_through_without_a_warning():
    columns = [f"f{index}" for index in range(16)]
    scaler = StandardScaler().set_output(transform="pandas")
    source = make_pipeline(scaler, quick()).fit(pd.DataFrame(SOURCE.X, columns=columns), SOURCE.ratings)
    frame = pd.DataFrame(X, columns=columns)
    mapper = AnnotatorMapper(FrozenEstimator(source), random_state=0).fit(frame, RATINGS)
    assert mapper.feature_names_in_.tolist() == columns
    assert np.isfinite(mapper.predict_ratings(frame, RATINGS).values).all()
    gaps = RATINGS.keep_ratings(RATINGS.rows % 3 > 0)
    assert len(mapper.fit(frame, gaps).mapping_) == 12
    with pytest.raises(ValueError, match="feature names should match"):
        mapper.predict(frame.rename(columns={"f0": "other"}))


@pytest.mark.parametrize("with_steps", [False, True])
def test_the_regressor_of_a_mapping_predicts_as_it_does_and_can_be_fine_tuned(with_steps):
    source, target = make_corpora(n_samples=400, n_annotators=8, random_state=0)
    regressor = AnnotatorMappedRegressor(n_hidden=16, lr=0.02, max_epochs=5, random_state=0)
    model = make_pipeline(StandardScaler(), regressor) if with_steps else regressor
    model.fit(source.X, source.ratings)
    mapper = AnnotatorMapper(FrozenEstimator(model), calibration="affine", n_bootstrap=0).fit(target.X, target.ratings)
    tuned = mapper.to_regressor()
    last = tuned[-1] if with_steps else tuned
    assert last.annotators_.tolist() == mapper.annotators_.tolist()
    label = mapper.annotators_[2]
    X = tuned[:-1].transform(target.X) if with_steps else target.X
    np.testing.assert_allclose(last.predict(X, annotator=label), mapper.predict(target.X, annotator=label), atol=1e-5)
    before = last.heads_
    last.set_params(warm_start=True, max_epochs=2).fit(X, target.ratings)
    assert np.abs(last.heads_ - before).max() > 1e-4
    np.testing.assert_allclose(mapper.heads_, before, atol=1e-5)  # the mapper is as it was

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.evaluation import (
    FINE_TUNED,
    STRATEGIES,
    compare_folds,
    compare_strategies,
    cross_corpus,
    draw_enrollment,
    grouped_folds,
    leave_one_annotator_out,
    summarize_strategies,
)
from sklearn_annoser.metrics import annotator_ccc, ccc_score

SMALL = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=25, random_state=0)


@pytest.fixture(scope="module")
def corpora():
    return make_corpora(n_samples=500, n_features=16, n_annotators=12, n_targets=6, n_types=3, random_state=0)


@pytest.fixture(scope="module")
def fitted(corpora):
    source, _ = corpora
    model = AnnotatorMappedRegressor(**SMALL.get_params()).fit(source.X, source.ratings)
    aggregate = AnnotatorMappedRegressor(**SMALL.get_params() | {"variant": "aggregate"}).fit(source.X, source.ratings)
    return model, aggregate


@pytest.fixture(scope="module")
def results(corpora, fitted):
    _, target = corpora
    model, aggregate = fitted
    return compare_strategies(
        model, target.X, target.ratings, aggregate=aggregate, enrollment=(5, 20), n_draws=3, random_state=0
    )


def test_every_strategy_size_draw_annotator_and_output_has_one_row(results):
    keys = ["strategy", "draw", "n_enrollment", "annotator", "output"]
    assert not results.duplicated(keys).any()
    assert len(results) == len(STRATEGIES) * 3 * 2 * 6 * 2
    assert results["ccc"].between(-1, 1).all()


def test_mapping_beats_random_and_the_oracle_beats_mapping(results):
    mean = results[results["n_enrollment"] == 20].groupby("strategy")["ccc"].mean()
    assert mean["random"] + 0.05 < mean["mapped"] < mean["oracle"]


def test_strategies_without_enrollment_do_not_depend_on_its_size(results):
    for name in ("random", "aggregate", "all heads", "oracle"):
        one = results[results["strategy"] == name]
        few, many = (one.loc[one["n_enrollment"] == n, "ccc"].to_numpy() for n in (5, 20))
        np.testing.assert_allclose(few, many)


def test_a_row_is_what_the_mapper_gives_on_the_same_draw(corpora, fitted):
    _, target = corpora
    results = compare_strategies(fitted[0], target.X, target.ratings, enrollment=10, n_draws=1, random_state=3)
    enrolled, rest = draw_enrollment(target.ratings, 10, random_state=3)
    mapper = AnnotatorMapper(fitted[0], n_bootstrap=0).fit(target.X, enrolled)
    expected = annotator_ccc(rest, mapper.predict_ratings(target.X, rest))["valence"]
    found = results[(results["strategy"] == "mapped") & (results["output"] == "valence")].set_index("annotator")
    np.testing.assert_allclose(found["ccc"], expected[found.index], atol=1e-6)
    assert found["source"].tolist() == mapper.mapping_["source"].tolist()


def test_random_is_the_mean_score_of_all_heads(corpora, fitted):
    _, target = corpora
    results = compare_strategies(fitted[0], target.X, target.ratings, n_draws=1, random_state=3)
    _, rest = draw_enrollment(target.ratings, 20, random_state=3)
    rows, values = rest.of("target_002")
    everyone = fitted[0].predict_annotators(target.X[rows])
    expected = np.mean([ccc_score(values[:, 0], everyone[:, head, 0]) for head in range(everyone.shape[1])])
    one = results.query("strategy == 'random' and annotator == 'target_002' and output == 'activation'")
    assert one["ccc"].item() == pytest.approx(expected, abs=1e-5)


def test_aggregate_strategies_need_an_aggregate(corpora, fitted):
    _, target = corpora
    results = compare_strategies(fitted[0], target.X, target.ratings, n_draws=1, random_state=0)
    assert not results["strategy"].str.contains("aggregate").any()


def test_the_draw_is_decided_by_the_seed(corpora, fitted):
    _, target = corpora
    one, same, other = (
        compare_strategies(fitted[0], target.X, target.ratings, n_draws=1, random_state=seed) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(one, same)
    assert not one["ccc"].equals(other["ccc"])


def test_enrollment_and_rest_are_all_ratings_once(corpora):
    ratings = corpora[1].ratings
    enrolled, rest = draw_enrollment(ratings, 7, random_state=0)
    assert (enrolled.counts() == 7).all()
    both = pd.concat([enrolled.to_long(), rest.to_long()]).sort_values(["sample", "annotator"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(both, ratings.to_long())


def test_too_few_ratings_to_score_are_said(corpora, fitted):
    _, target = corpora
    with pytest.raises(ValueError, match="no annotator has 100002 ratings: 100000 to enrol with"):
        compare_strategies(fitted[0], target.X, target.ratings, enrollment=100_000)
    with pytest.raises(ValueError, match="n_reserved must be >= 20"):
        compare_strategies(fitted[0], target.X, target.ratings, enrollment=20, n_reserved=10)
    with pytest.raises(TypeError, match=r"enrollment must be an integer, got 2.7"):
        compare_strategies(fitted[0], target.X, target.ratings, enrollment=2.7)


def test_the_summary_averages_annotators_then_draws(results):
    table = summarize_strategies(results, by=["strategy", "n_enrollment"])
    one = results.query("strategy == 'mapped' and n_enrollment == 5 and output == 'valence'").groupby("draw")["ccc"]
    assert table.loc[("mapped", 5), ("valence", "mean")] == pytest.approx(one.mean().mean())
    assert table.loc[("mapped", 5), ("valence", "std")] == pytest.approx(one.mean().std())
    assert summarize_strategies(results).index.tolist() == list(STRATEGIES)


def test_cross_corpus_trains_a_pipeline_for_each_seed(corpora):
    source, target = corpora
    estimator = make_pipeline(StandardScaler(), SelectKBest(f_regression, k=8), SMALL)
    source.ratings = source.ratings.with_values(source.ratings.values)
    with pytest.raises(ValueError, match="y should be a 1d array"):  # two outputs: the selector wants one
        cross_corpus(estimator, source, target)
    estimator = make_pipeline(StandardScaler(), SMALL)
    results = cross_corpus(estimator, source, target, seeds=(0, 1), n_draws=1, strategies={"mapped": ("source", {})})
    assert sorted(results["seed"].unique()) == [0, 1]
    assert results.groupby("seed")["ccc"].mean().nunique() == 2


def test_left_out_annotators_never_serve_themselves():
    source, _ = make_corpora(n_samples=200, n_features=8, n_annotators=4, n_targets=4, n_raters=4, random_state=0)
    target, _ = make_corpora(n_samples=200, n_features=8, n_annotators=4, n_targets=4, n_raters=4, random_state=0)
    results = leave_one_annotator_out(SMALL, source, target, n_draws=2, strategies={"mapped": ("source", {})})
    assert sorted(results["annotator"].unique()) == source.ratings.annotators.tolist()
    assert (results["annotator"] != results["source"]).all()
    assert results["source"].notna().all()


# ---------------------------------------------------------------------- folds


@pytest.fixture(scope="module")
def folds(corpora, fitted):
    _, target = corpora
    model, aggregate = fitted
    return compare_folds(
        model,
        target.X,
        target.ratings,
        groups=target.groups,
        aggregate=aggregate,
        strategies=STRATEGIES | FINE_TUNED,
        enrollment=(5, "all"),
        n_folds=3,
        min_ratings=10,
        random_state=0,
    )


def test_folds_keep_groups_apart_and_test_everything_once():
    groups = np.repeat(np.arange(13), 4)
    tested = []
    for train, validation, test in grouped_folds(groups, 4, random_state=1):
        parts = [set(groups[rows]) for rows in (train, validation, test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 13
        assert len(parts[1]) == int(0.25 * (13 - len(parts[2])))
        tested += test.tolist()
    assert sorted(tested) == list(range(52))


def test_folds_are_the_same_for_every_seed_but_their_validation_is_not():
    groups = np.arange(40)
    one, other = (list(grouped_folds(groups, random_state=seed)) for seed in (0, 1))
    for (_, held, test), (_, other_held, other_test) in zip(one, other, strict=True):
        np.testing.assert_array_equal(test, other_test)
        assert held.tolist() != other_held.tolist()


def test_sessions_are_folds():
    tests = [set(np.repeat(list("abcde"), 3)[test]) for _, _, test in grouped_folds(np.repeat(list("abcde"), 3))]
    assert sorted(map(sorted, tests)) == [["a"], ["b"], ["c"], ["d"], ["e"]]


@pytest.mark.parametrize(("n_groups", "n_folds"), [(4, 5), (2, 2)])
def test_too_few_groups_for_the_folds(n_groups, n_folds):
    with pytest.raises(ValueError, match=f"{n_folds} folds need as many groups, and three at least.*are {n_groups}"):
        next(grouped_folds(np.arange(n_groups), n_folds))


def test_every_cell_of_the_folds_has_one_row(folds, corpora):
    keys = ["strategy", "fold", "n_enrollment", "level", "annotator", "output"]
    assert not folds.duplicated(keys).any()
    consensus = folds[folds["level"] != "individual"]
    assert len(consensus) == 2 * 2 * 3 * (len(STRATEGIES) * 2 + len(FINE_TUNED))
    assert set(consensus["annotator"]) == {"consensus"}
    assert set(folds.loc[folds["level"] == "individual", "annotator"]) == set(corpora[1].ratings.annotators)


def test_mapping_beats_random_in_folds(folds):
    mean = folds[folds["n_enrollment"] == "all"].groupby(["strategy", "level"])["ccc"].mean()
    assert mean["mapped", "individual"] > mean["random", "individual"] + 0.05
    assert mean["oracle", "individual"] >= mean["mapped", "individual"]
    assert mean["mapped, fine-tuned", "individual"] > mean["random", "individual"] + 0.05


def test_the_aggregate_does_not_know_the_raters(folds):
    table = folds[folds["strategy"] == "aggregate"].set_index(["fold", "n_enrollment", "output"])
    named, blind = (table.loc[table["level"] == level, "ccc"] for level in ("consensus", "consensus, blind"))
    pd.testing.assert_series_equal(named, blind, rtol=1e-4)


def test_fine_tuning_takes_the_whole_training_split(folds):
    assert set(folds.loc[folds["strategy"].isin(FINE_TUNED), "n_enrollment"]) == {"all"}


def test_a_fold_is_scored_as_by_hand(folds, corpora, fitted):
    _, target = corpora
    model, _ = fitted
    train, _, test = next(grouped_folds(target.groups, 3, random_state=np.random.RandomState(0)))
    mapper = AnnotatorMapper(model, n_bootstrap=0).fit(target.X[train], target.ratings[train])
    predicted = mapper.predict_ratings(target.X[test], target.ratings[test])
    expected = annotator_ccc(target.ratings[test], predicted)["activation"]
    rows = folds.query("strategy == 'mapped' and fold == 0 and n_enrollment == 'all' and output == 'activation'")
    found = rows[rows["level"] == "individual"].set_index("annotator")["ccc"]
    np.testing.assert_allclose(found[expected.index], expected, atol=1e-6)
    sources = rows[rows["level"] == "individual"].set_index("annotator")["source"]
    assert sources[expected.index].tolist() == mapper.mapping_.loc[expected.index, "source"].tolist()


def test_annotators_with_too_few_ratings_in_training_are_left_out(corpora, fitted):
    _, target = corpora
    counts = target.ratings.counts()
    few = counts.index[0]
    keep = np.ones(target.ratings.n_ratings, dtype=bool)
    mine = np.flatnonzero(target.ratings.annotators[target.ratings.codes] == few)
    keep[mine[12:]] = False
    ratings = target.ratings.keep_ratings(keep)
    options = {"strategies": {"mapped": ("source", {})}, "n_folds": 3, "random_state": 0}
    found = compare_folds(fitted[0], target.X, ratings, min_ratings=12, **options)
    assert few not in set(found["annotator"])
    with pytest.raises(ValueError, match="no annotator has min_ratings=10000 ratings in the training split of fold 0"):
        compare_folds(fitted[0], target.X, ratings, min_ratings=10_000, **options)


def test_cross_corpus_in_folds_trains_for_each_seed(corpora):
    source, target = corpora
    estimator = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(n_hidden=8, max_epochs=1))
    options = {"strategies": {"mapped": ("source", {}), "tuned": ("source", {"fine_tune": True})}, "min_ratings": 5}
    results = cross_corpus(estimator, source, target, n_folds=3, seeds=(0, 1), **options)
    assert sorted(results["seed"].unique()) == [0, 1]
    assert sorted(results["fold"].unique()) == [0, 1, 2]

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.evaluation import (
    STRATEGIES,
    compare_strategies,
    cross_corpus,
    draw_enrollment,
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

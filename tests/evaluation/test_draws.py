"""Draws: mapping between random and oracle, and scores as by hand."""

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import AnnotatorMapper
from sklearn_annoser.evaluation import STRATEGIES, compare_strategies, draw_enrollment
from sklearn_annoser.metrics import annotator_ccc, ccc_score


def test_every_strategy_size_draw_annotator_and_output_has_one_row(compared):
    keys = ["strategy", "draw", "n_enrollment", "annotator", "output"]
    assert not compared.duplicated(keys).any()
    assert len(compared) == len(STRATEGIES) * 3 * 2 * 6 * 2
    assert compared["ccc"].between(-1, 1).all()


def test_mapping_beats_random_and_the_oracle_beats_mapping(compared):
    mean = compared[compared["n_enrollment"] == 20].groupby("strategy")["ccc"].mean()
    assert mean["random"] + 0.05 < mean["mapped"] < mean["oracle"]


def test_strategies_without_enrollment_do_not_depend_on_its_size(compared):
    for name in ("random", "aggregate", "all heads", "oracle"):
        one = compared[compared["strategy"] == name]
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

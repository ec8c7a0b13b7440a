"""Tests and intervals: against scipy, worked examples, and data without any difference."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sklearn_annoser.evaluation import bootstrap_interval, paired_ttest
from tests.evaluation.made_up import make_results, scores_of, two


def test_the_plain_test_is_that_of_scipy_over_seeds_and_folds(results):
    table = paired_ttest(results, "mapped", "random")
    assert table.columns.tolist() == ["n_enrollment", "level", "output", "mean_difference", "t", "p", "n_runs"]
    assert len(table) == 2 * 2 * 2
    for row in table.to_dict("records"):
        same = (
            results[["n_enrollment", "level", "output"]] == [row[k] for k in ("n_enrollment", "level", "output")]
        ).all(axis=1)
        means = results[same].pivot_table(index=["seed", "fold"], columns="strategy", values="ccc")
        expected = stats.ttest_rel(means["mapped"], means["random"])
        assert row["t"] == pytest.approx(expected.statistic, rel=1e-10)
        assert row["p"] == pytest.approx(expected.pvalue, rel=1e-10)
        assert row["mean_difference"] == pytest.approx((means["mapped"] - means["random"]).mean(), rel=1e-10)
        assert row["n_runs"] == 6


def test_both_tests_of_a_worked_example():
    results = two([0.4, 0.5, 0.6], [0.3, 0.3, 0.3])
    # differences 0.1, 0.2, 0.3: mean 0.2, variance (0.01 + 0 + 0.01) / 2 = 0.01, n = 3
    # plain: 0.2 / sqrt(0.01 / 3) = 2 sqrt(3); corrected, three folds: n_test / n_train = (1/3) / (2/3) = 1/2, so
    # 0.2 / sqrt(0.01 (1/3 + 1/2)) = 2 / sqrt(5/6); a fifth for testing: 1/4, so 2 / sqrt(1/3 + 1/4) = 2 / sqrt(7/12)
    # two degrees of freedom: p = 1 - t / sqrt(t^2 + 2)
    for options, t in [
        ({}, 2 * 3**0.5),
        ({"corrected": True}, 2 / (5 / 6) ** 0.5),
        ({"corrected": True, "test_fraction": 0.2}, 2 / (7 / 12) ** 0.5),
    ]:
        row = paired_ttest(results, "one", "other", **options).iloc[0]
        assert row["mean_difference"] == pytest.approx(0.2)
        assert row["t"] == pytest.approx(t)
        assert row["p"] == pytest.approx(1 - t / np.sqrt(t**2 + 2))


def test_five_folds_are_corrected_by_a_quarter(results):
    results = make_results(n_seeds=5, n_folds=5)
    plain, corrected, said = (
        paired_ttest(results, "mapped", "random", **options)
        for options in ({}, {"corrected": True}, {"corrected": True, "test_fraction": 0.2})
    )
    # variance 1/25 + 1/4 in place of 1/25: t shrinks by sqrt(1 + 25/4)
    assert_allclose(plain["t"] / corrected["t"], np.sqrt(7.25), rtol=1e-12)
    assert (corrected["p"] > plain["p"]).all()
    assert (corrected["n_runs"] == 25).all()
    pd.testing.assert_frame_equal(corrected, said)


def test_swapping_the_strategies_changes_the_sign_only(results):
    there, back = paired_ttest(results, "mapped", "random"), paired_ttest(results, "random", "mapped")
    assert_allclose(there["t"], -back["t"])
    assert_allclose(there["p"], back["p"])
    assert_allclose(there["mean_difference"], -back["mean_difference"])


def test_the_order_of_the_rows_does_not_matter(results):
    shuffled = results.sample(frac=1, random_state=0)
    keys = ["level", "output"]
    expected = paired_ttest(results, "mapped", "random").astype({"n_enrollment": str})
    found = paired_ttest(shuffled, "mapped", "random").astype({"n_enrollment": str})
    pd.testing.assert_frame_equal(
        found.set_index(["n_enrollment", *keys]).sort_index(), expected.set_index(["n_enrollment", *keys]).sort_index()
    )


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "t", "p"),
    [
        ([0.1, 0.2, 0.7], [0.1, 0.2, 0.7], 0, 1),
        ([0.6, 0.7, 0.8], [0.5, 0.6, 0.7], np.inf, 0),  # 0.1 each, but not to the last digit
        ([0.5, 0.6, 0.7], [0.6, 0.7, 0.8], -np.inf, 0),
        ([0.1 + 0.2, 0.3, 0.3], [0.3, 0.3, 0.3], 0, 1),  # rounding is no difference
    ],
)
def test_differences_without_variance_need_no_test(one, other, t, p, corrected):
    row = paired_ttest(two(one, other), "one", "other", corrected=corrected).iloc[0]
    assert (row["t"], row["p"]) == (t, p)


def test_annotators_are_paired_and_scores_that_are_nan_on_both_sides_are_left_out():
    results = two([0.4, np.nan, 0.9, 0.6], [0.3, np.nan, 0.7, 0.5]).assign(
        fold=[0, 0, 1, 1] * 2, annotator=["ann", "bob"] * 4
    )
    row = paired_ttest(results, "one", "other").iloc[0]
    # fold 0: 0.1 of ann alone; fold 1: (0.2 + 0.1) / 2 = 0.15
    assert row["mean_difference"] == pytest.approx(0.125)
    assert row["n_runs"] == 2


def test_the_corrected_test_keeps_its_level_where_runs_overlap():
    # One data set of 50 samples and two features that are worth the same; 15 random splits with a fifth to test on;
    # a line is fitted to either feature. No strategy is better, so 5 % of the data sets may be called significant.
    rng = np.random.default_rng(0)
    n_sets, n_splits, n_samples, n_test = 200, 15, 50, 10
    frames = []
    for number in range(n_sets):
        X = rng.normal(size=(n_samples, 2))
        y = X.sum(axis=1) + rng.normal(size=n_samples)
        order = rng.permuted(np.tile(np.arange(n_samples), (n_splits, 1)), axis=1)
        train, test = order[:, n_test:], order[:, :n_test]  # (n_splits, n_samples)
        slope = (X[train] * y[train][..., None]).sum(axis=1) / (X[train] ** 2).sum(axis=1)  # (n_splits, 2)
        score = -((y[test][..., None] - slope[:, None] * X[test]) ** 2).mean(axis=1)
        frames.append(two(*score.T, data=number).rename(columns={"fold": "draw"}))
    results = pd.concat(frames, ignore_index=True)
    plain = paired_ttest(results, "one", "other", by=["data"])
    corrected = paired_ttest(results, "one", "other", by=["data"], corrected=True, test_fraction=n_test / n_samples)
    assert len(plain) == len(corrected) == n_sets
    false_plain, false_corrected = ((table["p"] < 0.05).mean() for table in (plain, corrected))
    assert abs(false_corrected - 0.05) < 0.05 < 0.2 < false_plain


def test_the_mean_is_over_annotators_each_averaged_over_runs(results):
    table = bootstrap_interval(results, "mapped", random_state=0)
    assert table.columns.tolist() == ["n_enrollment", "output", "mean", "low", "high", "n_annotators"]
    assert len(table) == 2 * 2
    part = results.query("strategy == 'mapped' and level == 'individual' and output == 'valence'")
    expected = part[part["n_enrollment"] == "all"].groupby("annotator")["ccc"].mean().mean()
    row = table[(table["n_enrollment"] == "all") & (table["output"] == "valence")].iloc[0]
    assert row["mean"] == pytest.approx(expected)
    assert row["n_annotators"] == 3
    assert (table["low"] <= table["mean"]).all()
    assert (table["mean"] <= table["high"]).all()


def test_an_annotator_with_more_runs_does_not_count_more():
    # ann: (0.2 + 0.4) / 2 = 0.3; bob: 0.9. Mean 0.6, not (0.2 + 0.4 + 0.9) / 3 = 0.5
    results = scores_of("mapped", [0.2, 0.4, 0.9]).assign(annotator=["ann", "ann", "bob"])
    assert bootstrap_interval(results, "mapped", random_state=0)["mean"].item() == pytest.approx(0.6)


def test_two_annotators_have_three_possible_means():
    # Of 0 and 1, drawn twice: mean 0 with probability 1/4, 1/2 with 1/2, 1 with 1/4. So the middle 40 % are 1/2
    # throughout, the middle 60 % reach from 0 to 1.
    results = scores_of("mapped", [0.0, 1.0]).assign(annotator=["ann", "bob"], fold=0)
    for confidence, ends in [(0.4, [0.5, 0.5]), (0.6, [0, 1])]:
        table = bootstrap_interval(results, "mapped", confidence=confidence, random_state=0)
        assert table[["low", "high"]].iloc[0].tolist() == ends


def test_the_interval_of_many_annotators_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(0.4, 0.1, size=400)
    results = scores_of("mapped", values).assign(annotator=range(400), fold=0)
    row = bootstrap_interval(results, "mapped", random_state=0).iloc[0]
    half = 1.96 * values.std() / np.sqrt(400)
    assert_allclose([row["low"], row["high"]], [values.mean() - half, values.mean() + half], atol=half / 10)


def test_a_difference_is_paired_by_annotator():
    # Annotators differ a lot, but "one" is better by 0.1 for each: the interval has no width.
    base = np.array([-0.5, 0.0, 0.3, 0.8])
    results = two(base + 0.1, base).assign(annotator=list("abcd") * 2, fold=0)
    row = bootstrap_interval(results, "one", "other", random_state=0).iloc[0]
    assert_allclose([row["mean"], row["low"], row["high"]], 0.1)
    swapped = bootstrap_interval(results, "other", "one", random_state=0).iloc[0]
    assert_allclose([swapped["mean"], swapped["low"], swapped["high"]], -0.1)
    alone = bootstrap_interval(results, "one", random_state=0).iloc[0]
    assert alone["high"] - alone["low"] > 0.5


def test_the_interval_is_decided_by_the_seed_and_widens_with_the_confidence():
    results = make_results(annotators=list("abcdefgh"))
    one, same, other = (bootstrap_interval(results, "mapped", "random", random_state=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)
    wide = bootstrap_interval(results, "mapped", "random", confidence=0.999, random_state=0)
    assert (wide["high"] - wide["low"] > one["high"] - one["low"]).all()


def test_an_interval_a_corpus(results):
    both = pd.concat([results.assign(corpus="near"), results.assign(corpus="far", ccc=results["ccc"] / 2)])
    means = bootstrap_interval(both, "mapped", by=["corpus"], random_state=0).set_index("corpus")["mean"]
    assert_allclose(means["far"], means["near"] / 2)


@pytest.mark.parametrize("test", [paired_ttest, bootstrap_interval])
def test_cells_that_do_not_match_are_refused(test, results):
    lacking = results[~((results["strategy"] == "random") & (results["fold"] == 1) & (results["annotator"] == "bob"))]
    match = "'mapped' and 'random' must be scored in the same cells, but 8 have 'mapped' only, .*fold 1, annotator bob"
    with pytest.raises(ValueError, match=match):
        test(lacking, "mapped", "random")
    with pytest.raises(ValueError, match="but 8 have 'mapped' only"):
        test(lacking, "random", "mapped")
    one_sided = results.assign(ccc=results["ccc"].where(results.index > 0))
    with pytest.raises(ValueError, match=r"but 1 have 'random' only, .*n_enrollment 5.*seed 0, fold 0, annotator ann"):
        test(one_sided, "mapped", "random")


def test_one_annotator_cannot_be_resampled():
    with pytest.raises(ValueError, match="resampling needs two annotators at least, but output valence has 1"):
        bootstrap_interval(scores_of("mapped", [0.5, 0.4]), "mapped")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"test_fraction": 0.2}, ValueError, "test_fraction=0.2 is for the corrected test: give corrected=True"),
        ({"corrected": True, "test_fraction": 0}, ValueError, "test_fraction must be between 0 and 1, got 0"),
        ({"corrected": True, "test_fraction": 1}, ValueError, "test_fraction must be between 0 and 1, got 1"),
        ({"corrected": True, "test_fraction": "1/5"}, TypeError, "test_fraction must be a number, got '1/5'"),
    ],
)
def test_the_fraction_to_correct_for(options, error, match, results):
    with pytest.raises(error, match=match):
        paired_ttest(results, "mapped", "random", **options)


@pytest.mark.parametrize("change", [{"columns": {"fold": "draw"}}, None])
def test_without_folds_the_fraction_must_be_given(change, results):
    results = results[results["fold"] == 0] if change is None else results.rename(**change)
    with pytest.raises(ValueError, match="the corrected test needs test_fraction: the results are not of several fold"):
        paired_ttest(results, "mapped", "random", corrected=True)
    assert len(paired_ttest(results, "mapped", "random", corrected=True, test_fraction=0.5)) == 8


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"n_resamples": 0}, ValueError, "n_resamples must be >= 1, got 0"),
        ({"n_resamples": 9.5}, TypeError, "n_resamples must be an integer"),
        ({"confidence": 1}, ValueError, "confidence must be between 0 and 1, got 1"),
        ({"confidence": 95}, ValueError, "confidence must be between 0 and 1, got 95"),
    ],
)
def test_options_of_the_interval(options, error, match, results):
    with pytest.raises(error, match=match):
        bootstrap_interval(results, "mapped", **options)


def test_one_run_is_not_enough():
    with pytest.raises(ValueError, match="a t-test needs two runs at least, but output valence has 1: add seeds"):
        paired_ttest(two([0.5], [0.4]), "one", "other")

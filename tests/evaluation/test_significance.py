import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sklearn_annoser.evaluation import bootstrap_interval, mapping_stability, paired_ttest, summarize_runs


def make_results(*, n_seeds=2, n_folds=3, sizes=(5, "all"), annotators=("ann", "bob", "cid"), seed=0):
    """Return random scores and sources of two strategies in the shape of the protocol's results."""
    rng = np.random.default_rng(seed)
    runs = [
        {"strategy": strategy, "seed": number, "fold": fold, "n_enrollment": size}
        for strategy in ("mapped", "random")
        for number in range(n_seeds)
        for fold in range(n_folds)
        for size in sizes
    ]
    rows = []
    for run in runs:
        cells = [("individual", name) for name in annotators] + [("consensus", "consensus")]
        for level, name in cells:
            served = f"s{rng.integers(3)}" if run["strategy"] == "mapped" and level == "individual" else None
            for output in ("activation", "valence"):
                ccc = rng.uniform(-1, 1)
                rows.append(run | {"level": level, "annotator": name, "output": output, "ccc": ccc, "source": served})
    return pd.DataFrame(rows)


def scores_of(strategy, ccc, **columns):
    """Return the scores of one annotator and output, one a fold."""
    table = {"strategy": strategy, "fold": range(len(ccc)), "annotator": "ann", "output": "valence", "ccc": ccc}
    return pd.DataFrame(table | columns)


def two(one, other, **columns):
    """Return scores of the strategies "one" and "other", one a fold."""
    return pd.concat([scores_of("one", one, **columns), scores_of("other", other, **columns)], ignore_index=True)


@pytest.fixture
def results():
    return make_results()


# ---------------------------------------------------------------------- summarize_runs


def test_annotators_are_averaged_before_runs():
    # run 0: (0.1 + 0.3) / 2 = 0.2; run 1, where bob is missing: 0.6. Mean 0.4, not (0.1 + 0.3 + 0.6) / 3;
    # std over two runs: |0.6 - 0.2| / sqrt(2)
    results = pd.DataFrame({"seed": [0, 0, 1], "annotator": ["ann", "bob", "ann"], "ccc": [0.1, 0.3, 0.6]})
    table = summarize_runs(results.assign(strategy="mapped", output="valence"))
    assert table.loc["mapped", ("valence", "mean")] == pytest.approx(0.4)
    assert table.loc["mapped", ("valence", "std")] == pytest.approx(0.4 / np.sqrt(2))


def test_a_score_that_is_nan_does_not_count():
    results = scores_of("mapped", [0.2, np.nan, 0.4]).assign(annotator=["ann", "bob", "ann"], fold=[0, 0, 1])
    assert summarize_runs(results).loc["mapped", ("valence", "mean")] == pytest.approx(0.3)


def test_sizes_and_levels_are_rows_of_their_own_in_the_order_of_the_results(results):
    table = summarize_runs(results)
    assert table.index.names == ["strategy", "n_enrollment", "level"]
    assert table.index.tolist() == [
        (strategy, size, level)
        for strategy in ("mapped", "random")
        for size in (5, "all")
        for level in ("individual", "consensus")
    ]
    assert table.columns.tolist() == [
        (output, number) for output in ("activation", "valence") for number in ("mean", "std")
    ]
    part = results.query("strategy == 'random' and level == 'individual' and output == 'valence'")
    each = part[part["n_enrollment"] == "all"].groupby(["seed", "fold"])["ccc"].mean()
    assert len(each) == 6
    found = table.loc[("random", "all", "individual"), "valence"]
    assert_allclose(found, [each.mean(), each.std()], rtol=1e-12)


def test_the_rows_may_be_told_apart_by_more_columns(results):
    both = pd.concat([results.assign(corpus="near"), results.assign(corpus="far", ccc=results["ccc"] / 2)])
    table = summarize_runs(both, by=["corpus", "strategy"])
    assert_allclose(table.loc["far"], table.loc["near"] / 2, rtol=1e-12)
    by_seed = summarize_runs(results, by=["strategy", "seed"])  # then a run is a fold
    part = results.query("strategy == 'mapped' and seed == 1 and level == 'individual' and output == 'valence'")
    each = part[part["n_enrollment"] == 5].groupby("fold")["ccc"].mean()
    found = by_seed.loc[("mapped", 1, 5, "individual"), "valence"]
    assert_allclose(found, [each.mean(), each.std()], rtol=1e-12)


def test_draws_are_runs_as_folds_are(results):
    draws = results.rename(columns={"fold": "draw"})
    pd.testing.assert_frame_equal(summarize_runs(draws), summarize_runs(results))


def test_a_single_run_has_no_standard_deviation():
    table = summarize_runs(scores_of("mapped", [0.5]))
    assert table["valence"].loc["mapped"].isna().tolist() == [False, True]


# ---------------------------------------------------------------------- paired_ttest


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


# ---------------------------------------------------------------------- bootstrap_interval


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


# ---------------------------------------------------------------------- mapping_stability


def sources_of(sources, **columns):
    """Return results in which an annotator was served by the given sources."""
    table = scores_of("mapped", [0.5] * len(sources)).assign(source=sources)
    return table.assign(**columns)


def test_stability_of_a_worked_example():
    # seed 0: s1 s1 s2; seed 1: s1 s3 s3, over folds 0, 1, 2
    results = sources_of(["s1", "s1", "s2", "s1", "s3", "s3"], seed=[0, 0, 0, 1, 1, 1], fold=[0, 1, 2] * 2)
    table = mapping_stability(results, n_source=20).set_index("over")
    assert table.columns.tolist() == ["annotator", "agreement", "share", "n_runs", "n_left_out", "chance"]
    assert table.index.tolist() == ["runs", "seeds", "folds"]
    # any two of the six: s1 three times, s2 once, s3 twice: (3*2 + 1*0 + 2*1) / (6*5) = 8/30; most frequent 3/6
    # folds, in each seed one pair of three: (2 + 2) / (6 + 6); most frequent (2 + 2) / 6
    # seeds: fold 0 agrees, folds 1 and 2 do not: 2 / (2 + 2 + 2); most frequent (2 + 1 + 1) / 6
    assert_allclose(table["agreement"], [8 / 30, 1 / 3, 1 / 3])
    assert_allclose(table["share"], [3 / 6, 4 / 6, 4 / 6])
    assert table["n_runs"].tolist() == [6, 6, 6]
    assert table["n_left_out"].tolist() == [0, 0, 0]
    assert table["chance"].tolist() == [1 / 20] * 3


def test_enrollment_sizes_are_rows_or_what_varies():
    # size 5: s1, s2; size 10: s1, s1; "all": s1, s2
    results = sources_of(
        ["s1", "s2", "s1", "s1", "s1", "s2"], n_enrollment=[5, 5, 10, 10, "all", "all"], fold=[0, 1] * 3
    )
    table = mapping_stability(results)
    assert table["over"].tolist() == ["runs"] * 3 + ["folds"] * 3 + ["sizes"]
    assert table["n_enrollment"].tolist() == [5, 10, "all"] * 2 + [None]
    # sizes: in fold 0 all three agree, 6 of 6 ordered pairs; in fold 1 s2, s1, s2: 2 of 6
    assert_allclose(table["agreement"], [0, 1, 0, 0, 1, 0, 8 / 12])
    assert_allclose(table["share"], [1 / 2, 1, 1 / 2] * 2 + [5 / 6])
    assert table["n_runs"].tolist() == [2] * 6 + [6]
    assert table["chance"].isna().all()


def test_sizes_alone_can_vary():
    table = mapping_stability(sources_of(["s1", "s1"], n_enrollment=[5, 10], fold=0))
    assert table[["over", "agreement", "n_runs"]].to_numpy().tolist() == [["sizes", 1, 2]]


def test_runs_without_a_single_source_are_left_out_and_counted():
    results = sources_of(["s1", None, "s1", "s2", None, None, None, "s1"])
    results = results.assign(fold=[0, 1, 2, 3] * 2, annotator=["ann"] * 4 + ["bob"] * 4)
    table = mapping_stability(results).query("over == 'folds'").set_index("annotator")
    # ann: s1, s1, s2: one pair of three; bob was served by one annotator once: nothing to compare
    assert_allclose(table["agreement"], [1 / 3, np.nan])
    assert_allclose(table["share"], [2 / 3, np.nan])
    assert table["n_runs"].tolist() == [3, 0]
    assert table["n_left_out"].tolist() == [1, 3]


def test_levels_and_outputs_do_not_count_as_runs(results):
    table = mapping_stability(results)
    assert set(table["annotator"]) == {"ann", "bob", "cid"}
    assert set(table.query("over == 'runs'")["n_runs"]) == {6}
    one_output = results[results["output"] == "valence"]
    pd.testing.assert_frame_equal(mapping_stability(one_output), table)


def test_agreement_by_chance_is_the_chance_level():
    rng = np.random.default_rng(0)
    n = 2000
    results = sources_of(rng.integers(10, size=3 * n), annotator=np.repeat(np.arange(n), 3), fold=[0, 1, 2] * n)
    table = mapping_stability(results, n_source=10).query("over == 'folds'")
    # the probability does not depend on the number of runs; the share of the most frequent source does
    assert table["agreement"].mean() == pytest.approx(0.1, abs=0.02)
    assert table["share"].mean() > 0.35


def test_stability_is_that_of_all_pairs(results):
    part = results.query("strategy == 'mapped' and level == 'individual' and output == 'valence'")
    part = part[part["annotator"] == "bob"]
    runs = part.to_dict("records")
    factors = {"seeds": "seed", "folds": "fold", "sizes": "n_enrollment"}
    table = mapping_stability(results).query("annotator == 'bob'")
    for over, factor in factors.items():
        others = set(factors.values()) - {factor}
        for row in table[table["over"] == over].to_dict("records"):
            pairs = [
                one["source"] == other["source"]
                for one in runs
                for other in runs
                if one is not other
                and all(one[name] == other[name] for name in others)
                and row["n_enrollment"] in (None, one["n_enrollment"])
            ]
            assert row["agreement"] == pytest.approx(np.mean(pairs))


def test_stability_a_corpus(results):
    table = mapping_stability(pd.concat([results.assign(corpus=name) for name in ("near", "far")]), by=["corpus"])
    near, far = (
        table[table["corpus"] == name].drop(columns="corpus").reset_index(drop=True) for name in ("near", "far")
    )
    pd.testing.assert_frame_equal(near, far)
    pd.testing.assert_frame_equal(near, mapping_stability(results))


# ---------------------------------------------------------------------- what is refused

EVERY = {
    "summary": lambda results, **options: summarize_runs(results, **({"by": ["strategy"]} | options)),
    "ttest": lambda results, **options: paired_ttest(results, "mapped", "random", **options),
    "interval": lambda results, **options: bootstrap_interval(results, "mapped", "random", **options),
    "stability": lambda results, **options: mapping_stability(results, **options),
}
every = pytest.mark.parametrize("of", EVERY.values(), ids=EVERY)


@every
def test_results_without_a_column_are_refused(of, results):
    with pytest.raises(ValueError, match=r"results lack the columns \['output'\]: they have \['strategy', 'seed'"):
        of(results.drop(columns="output"))
    with pytest.raises(ValueError, match=r"results lack the columns \['corpus'\]"):
        of(results, by=["corpus"])
    with pytest.raises(ValueError, match=r"column that tells runs apart: one of \['seed', 'fold', 'draw'\]"):
        of(results.drop(columns=["seed", "fold"]))
    with pytest.raises(ValueError, match=r"column that tells runs apart.*not in by"):
        of(results, by=["seed", "fold"])


@every
def test_results_of_two_kinds_are_refused(of, results):
    mixed = pd.concat([results, results.rename(columns={"fold": "draw"})])
    with pytest.raises(ValueError, match=r"missing values in \['fold', 'draw'\]: take results of one kind at a time"):
        of(mixed)


@every
def test_several_scores_of_a_cell_are_refused(of, results):
    again = pd.concat([results, results])
    match = "several scores for .*seed 0, fold 0, annotator ann, output activation: name the column .* in by"
    with pytest.raises(ValueError, match=match):
        of(again)


@every
def test_by_is_not_a_string(of, results):
    with pytest.raises(TypeError, match=r"by must be a sequence of columns, got the string 'seed': write \['seed'\]"):
        of(results, by="seed")


def test_a_summary_needs_rows(results):
    with pytest.raises(ValueError, match="by must name one column at least, such as 'strategy'"):
        summarize_runs(results, by=[])


@pytest.mark.parametrize(
    "call",
    [
        lambda results: paired_ttest(results, "mapped", "oracle"),
        lambda results: paired_ttest(results, "oracle", "mapped"),
        lambda results: bootstrap_interval(results, "oracle"),
        lambda results: bootstrap_interval(results, "mapped", "oracle"),
        lambda results: mapping_stability(results, "oracle"),
    ],
)
def test_a_strategy_that_is_not_there_is_refused(call, results):
    with pytest.raises(ValueError, match=r"strategy 'oracle' is not in the results. It has 2, for example \['mapped'"):
        call(results)


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


def test_one_run_is_not_enough():
    with pytest.raises(ValueError, match="a t-test needs two runs at least, but output valence has 1: add seeds"):
        paired_ttest(two([0.5], [0.4]), "one", "other")
    with pytest.raises(ValueError, match="strategy 'mapped' was run once: stability needs several seeds, folds"):
        mapping_stability(sources_of(["s1"]))


def test_one_annotator_cannot_be_resampled():
    with pytest.raises(ValueError, match="resampling needs two annotators at least, but output valence has 1"):
        bootstrap_interval(scores_of("mapped", [0.5, 0.4]), "mapped")


@pytest.mark.parametrize("test", [bootstrap_interval, mapping_stability])
def test_results_of_the_consensus_have_no_annotators(test, results):
    with pytest.raises(
        ValueError, match=r"level 'individual' is not in the results. It has 1, for example \['consensus'"
    ):
        test(results[results["level"] == "consensus"], "mapped")


def test_a_strategy_without_sources_has_no_stability(results):
    with pytest.raises(ValueError, match="strategy 'random' has no single source annotator in any run"):
        mapping_stability(results, "random")


def test_outputs_with_different_sources_are_refused(results):
    results["source"] = results["source"].where(results["output"] == "valence", "s9")
    with pytest.raises(
        ValueError, match=r"outputs have different sources for n_enrollment 5, .*ann.*: keep one output"
    ):
        mapping_stability(results)


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


@pytest.mark.parametrize(("n_source", "error"), [(0, ValueError), (2.5, TypeError)])
def test_the_number_of_source_annotators(n_source, error, results):
    with pytest.raises(error, match="n_source must be"):
        mapping_stability(results, n_source=n_source)

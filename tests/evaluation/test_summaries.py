"""Averages of results: against their definition."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from sklearn_annoser.evaluation import STRATEGIES, summarize_runs, summarize_strategies
from tests.evaluation.made_up import scores_of


def test_the_summary_averages_annotators_then_draws(compared):
    table = summarize_strategies(compared, by=["strategy", "n_enrollment"])
    one = compared.query("strategy == 'mapped' and n_enrollment == 5 and output == 'valence'").groupby("draw")["ccc"]
    assert table.loc[("mapped", 5), ("valence", "mean")] == pytest.approx(one.mean().mean())
    assert table.loc[("mapped", 5), ("valence", "std")] == pytest.approx(one.mean().std())
    assert summarize_strategies(compared).index.tolist() == list(STRATEGIES)


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


def test_a_summary_needs_rows(results):
    with pytest.raises(ValueError, match="by must name one column at least, such as 'strategy'"):
        summarize_runs(results, by=[])

"""How stable a mapping is: worked examples, chance, and all pairs of runs."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from sklearn_annoser.evaluation import mapping_stability
from tests.evaluation.made_up import sources_of


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


def test_a_strategy_without_sources_has_no_stability(results):
    with pytest.raises(ValueError, match="strategy 'random' has no single source annotator in any run"):
        mapping_stability(results, "random")


def test_outputs_with_different_sources_are_refused(results):
    results["source"] = results["source"].where(results["output"] == "valence", "s9")
    with pytest.raises(
        ValueError, match=r"outputs have different sources for n_enrollment 5, .*ann.*: keep one output"
    ):
        mapping_stability(results)


@pytest.mark.parametrize(("n_source", "error"), [(0, ValueError), (2.5, TypeError)])
def test_the_number_of_source_annotators(n_source, error, results):
    with pytest.raises(error, match="n_source must be"):
        mapping_stability(results, n_source=n_source)


def test_one_run_is_not_enough():
    with pytest.raises(ValueError, match="strategy 'mapped' was run once: stability needs several seeds, folds"):
        mapping_stability(sources_of(["s1"]))

"""Which results are refused, whoever reads them."""

import pandas as pd
import pytest

from sklearn_annoser.evaluation import bootstrap_interval, mapping_stability, paired_ttest, summarize_runs

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


@pytest.mark.parametrize("test", [bootstrap_interval, mapping_stability])
def test_results_of_the_consensus_have_no_annotators(test, results):
    with pytest.raises(
        ValueError, match=r"level 'individual' is not in the results. It has 1, for example \['consensus'"
    ):
        test(results[results["level"] == "consensus"], "mapped")

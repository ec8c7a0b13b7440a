"""Training on one corpus, comparing on another."""

import pytest
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.evaluation import cross_corpus, leave_one_annotator_out


def test_cross_corpus_trains_a_pipeline_for_each_seed(corpora, small):
    source, target = corpora
    estimator = make_pipeline(StandardScaler(), SelectKBest(f_regression, k=8), small)
    source.ratings = source.ratings.with_values(source.ratings.values)
    with pytest.raises(ValueError, match="y should be a 1d array"):  # two outputs: the selector wants one
        cross_corpus(estimator, source, target)
    estimator = make_pipeline(StandardScaler(), small)
    results = cross_corpus(estimator, source, target, seeds=(0, 1), n_draws=1, strategies={"mapped": ("source", {})})
    assert sorted(results["seed"].unique()) == [0, 1]
    assert results.groupby("seed")["ccc"].mean().nunique() == 2


def test_left_out_annotators_never_serve_themselves(small):
    source, _ = make_corpora(n_samples=200, n_features=8, n_annotators=4, n_targets=4, n_raters=4, random_state=0)
    target, _ = make_corpora(n_samples=200, n_features=8, n_annotators=4, n_targets=4, n_raters=4, random_state=0)
    results = leave_one_annotator_out(small, source, target, n_draws=2, strategies={"mapped": ("source", {})})
    assert sorted(results["annotator"].unique()) == source.ratings.annotators.tolist()
    assert (results["annotator"] != results["source"]).all()
    assert results["source"].notna().all()


def test_cross_corpus_in_folds_trains_for_each_seed(corpora):
    source, target = corpora
    estimator = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(n_hidden=8, max_epochs=1))
    options = {"strategies": {"mapped": ("source", {}), "tuned": ("source", {"fine_tune": True})}, "min_ratings": 5}
    results = cross_corpus(estimator, source, target, n_folds=3, seeds=(0, 1), **options)
    assert sorted(results["seed"].unique()) == [0, 1]
    assert sorted(results["fold"].unique()) == [0, 1, 2]

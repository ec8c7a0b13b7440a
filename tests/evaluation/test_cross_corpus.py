"""Training on one corpus, comparing on another."""

from typing import ClassVar

import pytest
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
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


class PressCtrlC(Callback):
    """Press Ctrl-C in the given epoch of the given training; copies for other trainings count with it."""

    trainings: ClassVar[list[int]] = []

    def __init__(self, training, epoch):
        self.training, self.epoch = training, epoch

    def on_train_begin(self, net, **kwargs):
        self.trainings.append(0)

    def on_epoch_begin(self, net, **kwargs):
        self.trainings[-1] += 1
        if (len(self.trainings), self.trainings[-1]) == (self.training, self.epoch):
            raise KeyboardInterrupt


@pytest.mark.parametrize("compare", [cross_corpus, leave_one_annotator_out])
@pytest.mark.parametrize("is_pipeline", [False, True])
@pytest.mark.parametrize(("training", "epoch"), [(1, 1), (1, 3), (2, 1), (2, 3), (3, 3)])
def test_ctrl_c_in_a_training_stops_all_others_too(monkeypatch, compare, is_pipeline, training, epoch):
    monkeypatch.setattr(PressCtrlC, "trainings", [])
    source, target = make_corpora(n_samples=60, n_features=8, n_annotators=4, n_targets=4, n_raters=4, random_state=0)
    callbacks = [PressCtrlC(training, epoch)]
    model = AnnotatorMappedRegressor(n_hidden=8, max_epochs=4, pretrain_epochs=0, callbacks=callbacks)
    estimator = make_pipeline(StandardScaler(), model) if is_pipeline else model
    with pytest.raises(KeyboardInterrupt):
        compare(estimator, source, target, seeds=(0, 1), n_draws=1, enrollment=(5,))
    assert len(PressCtrlC.trainings) == training
    assert PressCtrlC.trainings[-1] == epoch


@pytest.mark.parametrize("compare", [cross_corpus, leave_one_annotator_out])
def test_ctrl_c_while_strategies_are_scored_stops_the_comparison(monkeypatch, compare):
    fits = []

    def interrupted(self, *args, **kwargs):
        fits.append(self)
        raise KeyboardInterrupt

    source, target = make_corpora(n_samples=60, n_features=8, n_annotators=4, n_targets=4, n_raters=4, random_state=0)
    monkeypatch.setattr(AnnotatorMapper, "fit", interrupted)
    model = AnnotatorMappedRegressor(n_hidden=8, max_epochs=1, pretrain_epochs=0)
    with pytest.raises(KeyboardInterrupt):
        compare(model, source, target, seeds=(0, 1), n_draws=2, enrollment=(5,))
    assert len(fits) == 1

"""Training on one corpus, comparing on another."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.evaluation import STRATEGIES, cross_corpus, draw_enrollment, leave_one_annotator_out
from tests import oracles


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


def by_hand(model, X, enrolled, rest, strategy):
    """Score one new annotator: all heads are tried on the enrollment, one sample and one head after the other."""
    (mine, given), (others, true) = enrolled.of(enrolled.annotators[0]), rest.of(rest.annotators[0])
    predicted = {label: model.predict(X, annotator=label).astype(float) for label in model.annotators_.tolist()}

    def sum_of_ccc(rows, values, label):
        return sum(oracles.ccc(values[:, output], predicted[label][rows, output]) for output in range(2))

    if strategy == "mapped":
        chosen = [max(predicted, key=lambda label: sum_of_ccc(mine, given, label))]
    elif strategy == "oracle":
        chosen = [max(predicted, key=lambda label: sum_of_ccc(others, true, label))]
    else:
        chosen = list(predicted)
    if strategy == "random":
        each = [[oracles.ccc(true[:, k], predicted[label][others, k]) for label in chosen] for k in range(2)]
        return [sum(scores) / len(scores) for scores in each]
    mean = sum(predicted[label] for label in chosen) / len(chosen)
    return [oracles.ccc(true[:, k], mean[others, k]) for k in range(2)]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_left_out_annotators_are_scored_as_by_a_loop(seed):
    rng = np.random.RandomState(seed)
    sizes = {"n_samples": rng.randint(60, 100), "n_features": 5, "n_annotators": rng.randint(3, 6), "n_raters": 3}
    source, target = (make_corpora(**sizes, random_state=seed)[0] for _ in range(2))
    target.ratings = target.ratings.keep_annotators(target.ratings.annotators[:2])
    model, n_enrolled = AnnotatorMappedRegressor(n_hidden=4, lr=0.05, max_epochs=2), rng.randint(4, 12)
    strategies = {name: STRATEGIES[name] for name in ("mapped", "oracle", "all heads", "random")}
    options = {"seeds": (seed,), "n_draws": 1, "enrollment": n_enrolled, "strategies": strategies}
    found = leave_one_annotator_out(model, source, target, **options)
    for label in target.ratings.annotators.tolist():
        others = [other for other in source.ratings.annotators if other != label]
        fitted = clone(model).set_params(random_state=seed)
        fitted.fit(source.X, source.ratings.keep_annotators(others), groups=source.groups)
        own = target.ratings.keep_annotators([label])
        enrolled, rest = draw_enrollment(own, n_enrolled, random_state=seed)
        for name in strategies:
            expected = by_hand(fitted, target.X, enrolled, rest, name)
            scores = found.loc[(found["annotator"] == label) & (found["strategy"] == name), "ccc"]
            assert scores.tolist() == pytest.approx(expected, abs=1e-5), name


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

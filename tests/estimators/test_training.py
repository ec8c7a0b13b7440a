"""Training: in parts, interrupted, from where another left off, with gaps and weights."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.estimators import _fitted_prior
from sklearn_annoser.mapping import learn_prior
from sklearn_annoser.metrics import ccc_score
from tests.estimators.cases import CONSENSUS, RATINGS, SOURCE, TARGET, VARIANTS, X
from tests.planted import ENROLLED, REST, quick, ratings_of

# ---------------------------------------------------------------------- partial_fit


@pytest.mark.parametrize("variant", VARIANTS)
def test_partial_fit_alone_trains_epoch_by_epoch(variant):
    model = quick(variant=variant)
    losses = [model.partial_fit(X, RATINGS).history_["train_loss"].iloc[-1] for _ in range(8)]
    assert model.n_iter_ == 8
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "aggregate"])
def test_partial_fit_gives_new_annotators_a_head_and_leaves_the_others_nearly_alone(variant):
    model = quick(variant=variant, lr=0.01, max_epochs=20).fit(X, RATINGS)
    before, known = model.predict_annotators(X), model.annotators_
    mean = before.mean(axis=1)
    model.set_params(lr=1e-4).partial_fit(TARGET.X[:200], TARGET.ratings[:200])
    assert model.annotators_.tolist() == [*known, *TARGET.ratings.annotators]
    assert model.heads_.shape[0] == 24
    assert model.variance_heads_ is None or model.variance_heads_.shape == model.heads_.shape
    np.testing.assert_allclose(model.predict_annotators(X, known), before, atol=0.05)
    for name in TARGET.ratings.annotators:
        np.testing.assert_allclose(model.predict(X, annotator=name), mean, atol=0.1)


def test_new_annotators_are_learned_by_partial_fit(model):
    model.set_params(lr=0.001)
    ratings = TARGET.ratings.keep_annotators(["target_005"])
    features, values = ratings_of(TARGET, "target_005", REST)
    scores = []
    for _ in range(15):
        model.partial_fit(TARGET.X[ENROLLED], ratings[ENROLLED])
        scores.append(ccc_score(values, model.predict(features, annotator="target_005")))
    assert scores[-1] > scores[0] + 0.1


def test_heads_are_the_nets_own_and_those_handed_out_stay_while_it_is_trained_on():
    model = quick(max_epochs=2).fit(X, RATINGS)
    heads, person = model._unit_heads, model._head_of(RATINGS.annotators[0])
    assert np.shares_memory(heads, model.net_.module_.stacked_heads().numpy())  # no second copy: they may be large
    kept = heads.copy()
    model.partial_fit(X, RATINGS)
    np.testing.assert_array_equal(heads, kept)
    np.testing.assert_array_equal(person, kept[0])
    assert not np.array_equal(model._unit_heads, kept)
    assert np.shares_memory(model._unit_heads, model.net_.module_.stacked_heads().numpy())


def test_the_minimum_of_ratings_holds_for_the_first_partial_fit_but_not_for_new_annotators_later():
    model = quick(min_ratings=85).partial_fit(X, RATINGS)
    n_known = len(model.annotators_)
    assert 0 < n_known < 12
    assert len(model.partial_fit(X[:20], TARGET.ratings[:20]).annotators_) == n_known + 12


def test_partial_fit_continues_a_fit(model):
    n_before = model.n_iter_
    assert model.partial_fit(SOURCE.X, SOURCE.ratings) is model
    assert model.n_iter_ == len(model.history_) == n_before + 1
    assert model.score(SOURCE.X, SOURCE.ratings) > 0.7


def test_partial_fit_refuses_labels_of_another_type(model):
    with pytest.raises(TypeError, match="annotators must be all strings or all numbers"):
        model.partial_fit(X, Ratings.from_rows(CONSENSUS, 7))


# ---------------------------------------------------------------------- interruption


class Interrupt(Callback):
    """Press Ctrl-C in an epoch, at its begin or at its end."""

    def __init__(self, epoch, at="on_epoch_begin", error=KeyboardInterrupt):
        self.epoch, self.at, self.error = epoch, at, error

    def on_epoch_begin(self, net, **kwargs):
        self._press(net, "on_epoch_begin")

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self._press(net, "on_grad_computed")

    def on_epoch_end(self, net, **kwargs):
        self._press(net, "on_epoch_end")

    def _press(self, net, at):
        if self.at == at and len(net.history) == self.epoch:
            raise self.error


@pytest.mark.parametrize("at", ["on_epoch_begin", "on_grad_computed"])
def test_an_interrupted_fit_keeps_the_epochs_so_far(at):
    model = quick(max_epochs=10, callbacks=[Interrupt(4, at)])
    with pytest.raises(KeyboardInterrupt, match="training was interrupted after 3 of at most 10 epochs"):
        model.fit(X, RATINGS)
    assert model.n_iter_ == len(model.history_) == 3
    assert np.isfinite(model.predict(X)).all()


def test_a_fit_interrupted_before_the_end_of_its_first_epoch_is_no_fit():
    model = quick(callbacks=[Interrupt(1)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, RATINGS)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.predict(X)


@pytest.mark.parametrize("method", ["partial_fit", "fine_tune"])
@pytest.mark.parametrize("at", ["on_epoch_begin", "on_grad_computed", "on_epoch_end"])
def test_interrupted_or_failing_training_on_leaves_everything_as_it_was(method, at):
    model, never = (quick(random_state=0, callbacks=[Interrupt(1000)]).fit(X, RATINGS) for _ in range(2))
    data = (TARGET.X[:50], TARGET.ratings[:50]) if method == "partial_fit" else (X, RATINGS)
    for error in (KeyboardInterrupt, ZeroDivisionError):
        model.net_.set_params(callbacks=[Interrupt(model.n_iter_ + 1, at, error)])
        with pytest.raises(error):
            getattr(model, method)(*data)
        assert_as_before(model, never)
    model.net_.set_params(callbacks=[Interrupt(1000)])  # as the other: steps that are watched round otherwise
    for each in (model, never):
        getattr(each, method)(*data)
    assert_as_before(model, never)


def assert_as_before(model, never):
    """Compare with a twin to which it never happened."""
    assert model.annotators_.tolist() == never.annotators_.tolist()
    assert model.n_iter_ == never.n_iter_ == len(model.history_)
    for name in ("heads_", "prior_"):
        assert pickle.dumps(getattr(model, name)) == pickle.dumps(getattr(never, name))
    np.testing.assert_array_equal(model.predict_annotators(X), never.predict_annotators(X))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_refit_that_comes_to_nothing_leaves_the_old_fit(error):
    model, never = (quick(random_state=0).fit(X, RATINGS) for _ in range(2))
    other = RATINGS.with_values(RATINGS.values * 3)
    with pytest.raises(error):
        model.set_params(callbacks=[Interrupt(1, error=error)]).fit(X[:, :3], other)
    assert model.n_features_in_ == X.shape[1]
    assert_as_before(model, never)


def test_an_interruption_stops_the_search_that_called_the_fit():
    calls = []

    class Counted(Interrupt):
        def on_train_begin(self, net, **kwargs):
            calls.append(net)

    search = GridSearchCV(quick(max_epochs=10, callbacks=[Counted(4)]), {"lr": [0.01, 0.02]}, cv=2)
    with pytest.raises(KeyboardInterrupt, match="interrupted after 3"):
        search.fit(X, RATINGS)
    assert len(calls) == 1


# ---------------------------------------------------------------------- training on


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_warm_start_goes_on_from_the_last_fit(variant):
    source, _ = make_corpora(n_samples=300, n_annotators=8, random_state=0)
    settings = {"variant": variant, "n_hidden": 16, "lr": 0.01, "early_stopping": False, "random_state": 0}
    model = AnnotatorMappedRegressor(**settings, max_epochs=6, warm_start=True).fit(source.X, source.ratings)
    loss = model.history_["train_loss"].iloc[-1]
    model.set_params(max_epochs=1).fit(source.X, source.ratings)
    assert model.n_iter_ == 1
    assert model.history_["train_loss"].iloc[0] < loss + 0.02
    model.set_params(warm_start=False).fit(source.X, source.ratings)
    assert model.history_["train_loss"].iloc[0] > loss + 0.02


def test_a_warm_start_keeps_known_annotators_and_adds_new_ones():
    source, target = make_corpora(n_samples=300, n_annotators=8, random_state=0)
    model = AnnotatorMappedRegressor(n_hidden=16, lr=0.01, max_epochs=4, warm_start=True, random_state=0)
    model.fit(source.X, source.ratings)
    before = dict(zip(model.annotators_, model.heads_, strict=True))
    model.set_params(lr=1e-9, max_epochs=1).fit(target.X, target.ratings)
    assert model.annotators_.tolist() == [*before, *target.ratings.annotators]
    np.testing.assert_allclose(model.heads_[:8], list(before.values()), atol=1e-6)
    np.testing.assert_allclose(
        model.heads_[8:], np.broadcast_to(model.heads_[:8].mean(0), model.heads_[8:].shape), atol=1e-5
    )


def test_a_warm_start_checks_that_the_data_are_of_the_same_kind():
    source, _ = make_corpora(n_samples=100, n_annotators=6, random_state=0)
    model = AnnotatorMappedRegressor(n_hidden=8, max_epochs=1, warm_start=True, random_state=0)
    model.fit(source.X, source.ratings)
    with pytest.raises(ValueError, match="features"):
        model.fit(source.X[:, :3], source.ratings)
    with pytest.raises(ValueError, match="output"):
        model.fit(source.X, Ratings.from_dense(np.arange(100.0)[:, None]))
    with pytest.raises(ValueError, match="warm_start must be one of"):
        model.set_params(warm_start="yes").fit(source.X, source.ratings)


def test_a_copy_with_other_heads_predicts_by_them():
    source, _ = make_corpora(n_samples=200, n_annotators=6, random_state=0)
    model = AnnotatorMappedRegressor(n_hidden=8, max_epochs=2, random_state=0).fit(source.X, source.ratings)
    other = model.with_heads(["ann", "bob"], model.heads_[[4, 1]])
    np.testing.assert_allclose(
        other.predict(source.X, annotator="ann"), model.predict(source.X, annotator=model.annotators_[4]), atol=1e-5
    )
    assert model.annotators_.shape == (6,)
    with pytest.raises(
        ValueError, match=r"heads must have shape \(2, 2, 9\), a head for each annotator, got \(1, 2, 9\)"
    ):
        model.with_heads(["ann", "bob"], model.heads_[:1])


def test_a_given_validation_split_is_the_one_that_stops_the_training():
    source, _ = make_corpora(n_samples=200, n_annotators=6, random_state=0)
    validation = np.arange(200) % 4 == 0
    settings = {"n_hidden": 8, "max_epochs": 2, "pretrain_epochs": 0, "random_state": 0}
    model = AnnotatorMappedRegressor(**settings).fit(source.X, source.ratings, validation=validation)
    rows = np.flatnonzero(validation)
    unit = model.predict_ratings(source.X[rows], source.ratings[rows])
    losses = [1 - ccc_score(source.ratings[rows].values, unit.values)]
    best = model.history_["valid_loss"].min()
    assert min(losses) == pytest.approx(best, abs=1e-4)
    for wrong in (validation[:-1], np.zeros(200, dtype=bool), validation.astype(int)):
        with pytest.raises(ValueError, match="validation must be an array of 200 bools"):
            AnnotatorMappedRegressor(**settings).fit(source.X, source.ratings, validation=wrong)
    with pytest.raises(ValueError, match="early_stopping must be True"):
        AnnotatorMappedRegressor(**settings, early_stopping=False).fit(source.X, source.ratings, validation=validation)


def test_training_that_blew_up_says_so():
    source, _ = make_corpora(n_samples=600, random_state=0)
    model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
    with pytest.warns(UserWarning, match=r"training has blown up: predictions reach \d+ times the scale.*lr=0.02"):
        model.fit(source.X, source.ratings)


# ---------------------------------------------------------------------- missing outputs, weights, several scales


def with_gaps(ratings, share=0.3, seed=0):
    """Take some of the outputs' values away, never all of a rating."""
    values = ratings.values.copy()
    chosen = np.random.RandomState(seed).uniform(size=len(values)) < share
    values[chosen, np.random.RandomState(seed + 1).randint(values.shape[1], size=chosen.sum())] = np.nan
    return ratings.with_values(values)


@pytest.mark.parametrize("variant", ["individual", "individual+consensus+variance", "aggregate"])
def test_ratings_with_gaps_are_learned_almost_as_well(variant):
    gaps = with_gaps(SOURCE.ratings)
    scores = []
    for ratings in (SOURCE.ratings, gaps):
        model = quick(variant=variant, on_unknown="consensus", random_state=1).fit(SOURCE.X, ratings)
        assert np.isfinite(model.history_["valid_loss"]).all()
        scores.append(model.score(SOURCE.X, SOURCE.ratings))
    assert scores[1] > scores[0] - 0.1


def test_an_output_that_one_annotator_never_rated_leaves_the_others_as_they_are():
    values = SOURCE.ratings.values.copy()
    values[SOURCE.ratings.codes == 0, 1] = np.nan
    model = quick().fit(SOURCE.X, SOURCE.ratings.with_values(values))
    assert np.isfinite(model.heads_).all()
    assert len(model.annotators_) == SOURCE.ratings.n_annotators


def test_an_output_that_nobody_rated_is_refused():
    values = SOURCE.ratings.values.copy()
    values[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"nobody rated \['valence'\]: leave these outputs out"):
        quick().fit(SOURCE.X, SOURCE.ratings.with_values(values))


@pytest.mark.parametrize("strategy", ["joint", "separate", "blend", "all"])
def test_a_new_annotator_may_leave_outputs_out(strategy, model):
    own = with_gaps(TARGET.ratings.keep_annotators(["target_002"]))
    options = {"strategy": strategy, "calibration": "affine"}
    model.select_annotator(TARGET.X, own, **options)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.expected_score_.to_numpy()).all()
    mapper = AnnotatorMapper(model, **options, random_state=0).fit(TARGET.X, with_gaps(TARGET.ratings))
    assert np.isfinite(mapper.heads_).all()
    assert 0 < mapper.score(TARGET.X, with_gaps(TARGET.ratings, seed=5)) < 1


def test_equal_weights_train_as_none():
    plain, weighted = (
        quick(max_epochs=3).fit(SOURCE.X, SOURCE.ratings, sample_weight=weight)
        for weight in (None, np.full(len(SOURCE.X), 2.0))
    )
    np.testing.assert_allclose(weighted.heads_, plain.heads_, atol=1e-4)


def test_samples_without_weight_teach_nothing():
    weight = np.ones(len(SOURCE.X))
    weight[::2] = 0
    spoilt = SOURCE.ratings.with_values(
        np.where((SOURCE.ratings.rows % 2 == 0)[:, None], -SOURCE.ratings.values, SOURCE.ratings.values)
    )
    plain, weighted = (quick(max_epochs=10).fit(SOURCE.X, spoilt, sample_weight=given) for given in (None, weight))
    odd = np.arange(1, len(SOURCE.X), 2)
    assert weighted.score(SOURCE.X[odd], SOURCE.ratings[odd]) > plain.score(SOURCE.X[odd], SOURCE.ratings[odd]) + 0.1


@pytest.mark.parametrize("groups", [None, SOURCE.groups])
def test_samples_without_weight_are_not_there(groups):
    weight = np.random.RandomState(0).randint(3, size=len(SOURCE.X)).astype(float)
    wild = SOURCE.ratings.values * np.where(weight[SOURCE.ratings.rows] > 0, 1, 1000)[:, None]
    there = weight > 0
    spoilt, left = (None if groups is None else groups[rows] for rows in (slice(None), there))
    spoilt = quick().fit(SOURCE.X, SOURCE.ratings.with_values(wild), groups=spoilt, sample_weight=weight)
    without = quick().fit(SOURCE.X[there], SOURCE.ratings[there], groups=left, sample_weight=weight[there])
    np.testing.assert_array_equal(spoilt.predict(X), without.predict(X))
    np.testing.assert_array_equal(spoilt.prior_.second, without.prior_.second)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(3), r"sample_weight must have shape \(800,\), got \(3,\)"),
        (np.full(800, -1.0), "sample_weight must not be negative and not all zero"),
        (np.zeros(800), "sample_weight must not be negative and not all zero"),
        (np.full(800, np.nan), "sample_weight must be finite"),
    ],
)
def test_bad_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(SOURCE.X, SOURCE.ratings, sample_weight=weight)


def test_the_prior_tells_of_samples_that_were_not_trained_on(monkeypatch):
    monkeypatch.setattr(_fitted_prior, "BLOCK_ROWS", 7)
    validation = np.arange(200) % 4 == 0
    model = quick(max_epochs=3).fit(X, RATINGS, validation=validation)
    hidden = np.concatenate([block for _, block in model.iter_hidden(X[validation])])
    unit = model._unit_scale.to_unit(RATINGS)
    expected = learn_prior([hidden], model._unit_heads.mean(axis=0), unit[validation], unit)
    for name in ("mean", "second", "correlation", "variance"):
        np.testing.assert_allclose(getattr(model.prior_, name), getattr(expected, name), rtol=1e-4, atol=1e-5)


def test_outputs_of_several_scales_are_learned_alike_and_predicted_on_their_own():
    values = SOURCE.ratings.values * [1, 1000] + [0, 5000]
    model = quick().fit(SOURCE.X, SOURCE.ratings.with_values(values))
    plain = quick().fit(SOURCE.X, SOURCE.ratings.with_values(SOURCE.ratings.values))
    np.testing.assert_allclose(model.predict(X) * [1, 1e-3] - [0, 5], plain.predict(X), atol=1e-2)
    np.testing.assert_allclose(model.prior_.variance, plain.prior_.variance, rtol=1e-3)


def test_weights_are_routed_through_a_pipeline():
    weight = np.ones(len(SOURCE.X))
    pipeline = make_pipeline(StandardScaler(), quick(max_epochs=2))
    pipeline.fit(SOURCE.X, SOURCE.ratings, annotatormappedregressor__sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        routed = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            quick(max_epochs=2).set_fit_request(sample_weight=True),
        )
        routed.fit(SOURCE.X, SOURCE.ratings, sample_weight=weight)
    np.testing.assert_array_equal(routed.predict(X), pipeline.predict(X))

"""A committee is one estimator whose parts are what each would be alone."""

import pickle
import warnings
from copy import deepcopy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Checkpoint

from sklearn_annoser import AnnotatorCommittee, AnnotatorMappedRegressor, AnnotatorMapper, Ratings
from sklearn_annoser.metrics._within import within_correlation
from sklearn_annoser.network import _stack_training, seeded
from sklearn_annoser.network._member_splits import mean_where, member_seeds, member_splits, unseen_by
from tests.estimators.cases import SOURCE, TARGET, enrollment

X, RATINGS, GROUPS = SOURCE.X[:400], SOURCE.ratings[:400], SOURCE.groups[:400]
N_CONTENT = X.shape[1]
SEED = np.random.RandomState(0).randint(2**31 - 1)
SETTINGS = {"n_hidden": 16, "lr": 0.05, "max_epochs": 4, "pretrain_epochs": 1, "random_state": 0, "n_threads": 1}


def committee(**changes):
    return AnnotatorCommittee(**SETTINGS | {"n_members": 3, "n_consensus_members": 2} | changes)


@pytest.fixture(scope="module")
def fitted():
    return committee().fit(X, RATINGS, groups=GROUPS)


@pytest.fixture
def model(fitted):
    return deepcopy(fitted)


def parts_of(model, features):
    """Return the mean prediction of each network and of the ridge, (n_samples, n_outputs, n_parts)."""
    found = model.net_.module_.mean_predictions(torch.from_numpy(features.copy())).detach().numpy()
    return found.transpose(1, 0, 2)


# ---------------------------------------------------------------------- what it consists of


def seeds_of(n_networks):
    """Return the `random_state` of each network of a committee whose own is 0."""
    return [0, *(SEED + number for number in range(1, n_networks))]


def unequal(seed=0):
    """Groups of 1 to 60 samples."""
    return np.repeat(np.arange(20), np.random.default_rng(seed).integers(1, 60, 20))[: len(X)]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("groups", [np.arange(400) // 20, unequal()], ids=["equal groups", "unequal groups"])
def test_each_member_is_the_network_that_is_trained_alone(groups, n_threads):
    settings = SETTINGS | {"max_epochs": 20, "lr": 0.1, "patience": 1, "lr_patience": 0, "batch_size": 27}
    settings["weight_decay"] = 1e-3
    model = committee(**settings | {"n_threads": n_threads}).fit(X, RATINGS, groups=groups)
    lengths, steps = set(), set()
    for number, seed in enumerate(seeds_of(3)):
        one = AnnotatorMappedRegressor(**settings | {"random_state": seed}).fit(X, RATINGS, groups=groups)
        own = model.net_.module_.members.stacked_heads()[number].numpy()
        np.testing.assert_allclose(own, one._unit_heads, atol=1e-4)
        rows = model.history_[model.history_["member"] == f"network {number}"].drop(columns=["member", "dur"])
        np.testing.assert_allclose(rows, one.history_[rows.columns], rtol=1e-3, atol=1e-4)
        lengths.add(len(rows))
        train = one._validation_splits(np.random.RandomState(seed).randint(2**31 - 1))[0].rows(len(X), groups)[0]
        steps.add(-(-len(train) // 27))
    assert len(lengths) > 1
    assert (len(steps) > 1) == (len(np.unique(np.unique(groups, return_counts=True)[1])) > 1)


def test_a_network_of_the_consensus_is_the_aggregate_that_is_trained_alone():
    model = committee(n_members=1, n_consensus_members=1).fit(X, RATINGS, groups=GROUPS)
    seed = np.random.RandomState(seeds_of(2)[1]).randint(2**31 - 1)
    aggregate = AnnotatorMappedRegressor(**SETTINGS | {"variant": "aggregate"})
    alone = aggregate._make_net(train_split=aggregate._validation_split(seed))
    with seeded(seed):
        alone.fit(X, model._unit_scale.to_unit(RATINGS).as_consensus(), groups=GROUPS)
    np.testing.assert_allclose(
        model.net_.module_.consensus.stacked_heads()[0], alone.module_.stacked_heads(), atol=1e-5
    )


def test_members_share_a_validation_split_that_is_given():
    validation = np.isin(GROUPS, np.unique(GROUPS)[:3])
    model = committee(n_members=2, n_consensus_members=0, ridge=False).fit(X, RATINGS, validation=validation)
    for number, seed in enumerate(seeds_of(2)):
        one = AnnotatorMappedRegressor(**SETTINGS | {"random_state": seed}).fit(X, RATINGS, validation=validation)
        np.testing.assert_allclose(model.net_.module_.members.stacked_heads()[number], one._unit_heads, atol=1e-5)


def test_whoever_a_member_has_not_been_trained_on_has_the_mean_of_its_heads():
    dense = RATINGS.to_dense()
    dense[:, 0] = np.nan
    first = GROUPS[0]
    dense[first == GROUPS, 0] = 0.5
    rare = Ratings.from_dense(dense, annotators=RATINGS.annotators, scale=RATINGS.scale)
    model = committee(n_members=6, n_consensus_members=0).fit(X, rare, groups=GROUPS)
    splits = model._validation_splits(SEED)
    trained = [GROUPS[0] in GROUPS[split.rows(len(X), GROUPS)[0]] for split in splits]
    assert 0 < sum(trained) < 6
    for heads, known in zip(model.net_.module_.members.stacked_heads(), trained, strict=True):
        assert np.allclose(heads[0], heads[1:].mean(0), atol=1e-6) == (not known)


def test_predictions_are_the_weighted_mean_of_the_parts(model):
    module = model.net_.module_
    parts = parts_of(model, X)
    further = parts[:, :, 3:] * module.slope.numpy() + module.offset.numpy()  # weights are in them
    expected = (parts[:, :, :3] * module.weights.numpy()).sum(2) + further.sum(2)
    found = model._unit_scale.to_unit(Ratings.from_rows(model.predict(X), "mean", scale=RATINGS.scale)).values
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_all_kinds_have_the_mean_and_spread_of_the_members_on_samples_that_are_unseen(model):
    module = model.net_.module_
    splits = member_splits(model._validation_split(SEED), member_seeds(SEED, 5))
    unseen = unseen_by([split.rows(len(X), GROUPS)[1] for split in splits], len(X))
    rows = unseen[:, :3].any(axis=1) & unseen[:, 3:].any(axis=1)
    parts = parts_of(model, X[rows])
    own = mean_where(parts[:, :, :3].transpose(1, 0, 2), unseen[rows, :3]).T
    further = parts[:, :, 3:5] * module.slope.numpy()[:, :2] + module.offset.numpy()[:, :2]
    further = mean_where(further.transpose(1, 0, 2), unseen[rows, 3:]).T
    weight = further.std(0) / own.std(0)
    np.testing.assert_allclose(weight[0], weight[1], rtol=1e-4)
    np.testing.assert_allclose(further.mean(0), weight * own.mean(0), atol=1e-5)
    assert 0 < 2 * weight[0] + module.weights.sum() < 1


def test_the_prior_learns_its_correlation_from_samples_that_are_unseen(model):
    splits = model._validation_splits(SEED)
    valid = [split.rows(len(X), GROUPS)[1] for split in splits]
    unseen = unseen_by(valid, len(X))
    rows = unseen.any(axis=1)
    predicted = mean_where(parts_of(model, X)[:, :, :3].transpose(1, 0, 2), unseen).T
    told = RATINGS[rows]
    expected = within_correlation(predicted[rows][told.rows], told)
    np.testing.assert_allclose(model.prior_.correlation, expected, rtol=1e-3)
    hidden = np.concatenate([block for _, block in model.iter_hidden(X[rows])])
    np.testing.assert_allclose(model.prior_.mean[:, :-1], hidden.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_the_last_hidden_features_are_principal_components_of_the_input(model):
    n_content = model.prior_.n_content
    assert n_content == min(X.shape[1], 128)
    hidden = np.concatenate([block for _, block in model.iter_hidden(X)])[:, :, -n_content:]
    np.testing.assert_array_equal(hidden[:, 0], hidden[:, 1])
    found = PCA(n_content, svd_solver="full").fit_transform(X.astype(np.float64))
    found /= np.sqrt(found.var(axis=0).sum())
    np.testing.assert_allclose(np.abs(hidden[:, 0]), np.abs(found), atol=1e-4)
    assert (model.heads_[:, :, -n_content - 1 : -1] == 0).all()
    assert committee(ridge=False).fit(X, RATINGS).prior_.n_content == 0


def test_heads_stand_side_by_side(model):
    assert model.heads_.shape == (12, 2, 3 * 16 + 2 + 1 + N_CONTENT + 1)
    assert model.predict_annotators(X).shape == (400, 12, 2)
    _, hidden = next(model.iter_hidden(X[:5]))
    assert hidden.shape == (5, 2, 51 + N_CONTENT)


@pytest.mark.parametrize("makeup", [(2, 0, False), (1, 0, True), (1, 2, False), (2, 1, True)])
def test_every_part_can_be_left_out(makeup):
    names = ("n_members", "n_consensus_members", "ridge")
    model = committee(**dict(zip(names, makeup, strict=True))).fit(X, RATINGS, groups=GROUPS)
    assert model.heads_.shape[2] == 16 * makeup[0] + makeup[1] + makeup[2] * (1 + N_CONTENT) + 1
    assert np.isfinite(model.predict(X)).all()


def test_threads_do_not_matter(model):
    other = committee(n_threads=2).fit(X, RATINGS, groups=GROUPS)
    np.testing.assert_allclose(other.predict_annotators(X), model.predict_annotators(X), atol=1e-4)


def test_a_committee_predicts_the_consensus_better_than_its_network():
    settings = {"max_epochs": 30, "lr": 0.1, "n_hidden": 32}
    one = AnnotatorMappedRegressor(**SETTINGS | settings).fit(X, RATINGS, groups=GROUPS)
    many = committee(**settings).fit(X, RATINGS, groups=GROUPS)
    rest, truth = SOURCE.X[400:], SOURCE.ratings[400:].consensus()
    found = [[np.corrcoef(truth[:, k], model.predict(rest)[:, k])[0, 1] for k in range(2)] for model in (one, many)]
    assert np.mean(found[1]) > np.mean(found[0])


# ---------------------------------------------------------------------- as one estimator


def test_a_prediction_does_not_depend_on_the_samples_beside_it(model):
    whole = model.predict_annotators(X)
    for rows in (slice(0, 1), slice(7, 140), slice(128, 400)):
        np.testing.assert_array_equal(model.predict_annotators(X[rows]), whole[rows])


def test_clones_pickles_and_repeats_are_equal(model):
    again = clone(model).fit(X, RATINGS, groups=GROUPS)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    assert repr(AnnotatorCommittee(n_members=7)) == "AnnotatorCommittee(n_members=7)"
    assert repr(AnnotatorCommittee()) == "AnnotatorCommittee()"


def test_it_can_be_searched_over():
    search = GridSearchCV(committee(max_epochs=2), {"n_members": [1, 2], "ridge": [True, False]}, cv=2)
    assert search.fit(X, RATINGS).best_score_ > 0


def test_given_heads_are_what_it_predicts_by(model):
    heads = np.random.RandomState(0).normal(size=(2, *model.heads_.shape[1:])) / 10
    other = model.with_heads(["x", "y"], heads)
    np.testing.assert_allclose(other.heads_, heads, atol=1e-6)
    hidden = np.concatenate([block for _, block in model.iter_hidden(X)])
    expected = np.einsum("noh,aoh->nao", hidden, heads[:, :, :-1]) + heads[:, :, -1]
    np.testing.assert_allclose(other.predict_annotators(X), expected, atol=1e-5)
    other.partial_fit(X, RATINGS.keep_annotators(RATINGS.annotators[:1]))
    assert other.annotators_.tolist() == ["x", "y", RATINGS.annotators[0]]


def test_its_prior_is_light(model):
    assert model.prior_.second.dtype == np.float32
    assert model.partial_fit(X, RATINGS).prior_.second.dtype == np.float32


@pytest.mark.parametrize("strategy", ["joint", "blend"])
def test_new_annotators_are_mapped(model, strategy):
    features, values = enrollment()
    assert model.select_annotator(features, values) in model.annotators_
    mapper = AnnotatorMapper(model, strategy=strategy, calibration="affine").fit(TARGET.X[:250], TARGET.ratings[:250])
    assert mapper.score(TARGET.X[250:], TARGET.ratings[250:]) > 0.1
    np.testing.assert_allclose(mapper.to_regressor().predict_annotators(X), mapper.predict_annotators(X), atol=1e-4)


def test_the_distribution_is_predicted(model):
    mass, _ = model.predict_distribution(X[:4])
    np.testing.assert_allclose(mass.reshape(4, -1).sum(1), 1, rtol=1e-6)


# ---------------------------------------------------------------------- training on


def test_an_epoch_more_trains_all_networks_and_leaves_the_ridge(model):
    before = deepcopy(model.net_.module_.state_dict())
    model.partial_fit(X, RATINGS)
    after = model.net_.module_.state_dict()
    assert model.n_iter_ == 5
    assert all(
        bool((before[name][0] != after[name][0]).any()) for name in before if name.startswith(("members", "cons"))
    )
    assert (before["ridge"] == after["ridge"]).all()
    assert (before["weights"] == after["weights"]).all()


def test_two_epochs_more_are_those_of_the_network_alone():
    changes = {"early_stopping": False, "dropout": 0.0}
    one = AnnotatorMappedRegressor(**SETTINGS | changes).fit(X, RATINGS)
    many = committee(**changes).fit(X, RATINGS)
    for each in (one, many):
        each.partial_fit(X, RATINGS).partial_fit(X, RATINGS)
    own = many.net_.module_.members.stacked_heads()[0].numpy()
    np.testing.assert_allclose(own, one._unit_heads, atol=2e-5)


def test_it_may_begin_with_a_single_epoch():
    model = committee().partial_fit(X, RATINGS)
    assert model.n_iter_ == 1
    assert np.isfinite(model.partial_fit(X, RATINGS).predict(X)).all()


def test_a_new_annotator_gets_a_head(model):
    known = committee().fit(X, RATINGS.keep_annotators(RATINGS.annotators[:10]))
    known.partial_fit(X, RATINGS)
    assert known.heads_.shape[0] == 12


def test_it_goes_on_from_where_it_was(model):
    model.set_params(warm_start=True, lr=1e-6).fit(X, RATINGS, groups=GROUPS)
    again = committee().fit(X, RATINGS, groups=GROUPS)
    np.testing.assert_allclose(model.predict(X), again.predict(X), atol=0.1)
    assert (model.net_.module_.ridge == again.net_.module_.ridge).all()
    with pytest.raises(ValueError, match="were 3, 2 and True"):
        model.set_params(n_members=2).fit(X, RATINGS)
    with pytest.raises(ValueError, match="were 3, 2 and True"):
        model.partial_fit(X, RATINGS)


def test_it_cannot_be_fine_tuned(model):
    with pytest.raises(ValueError, match="a committee cannot be fine-tuned"):
        model.fine_tune(X, RATINGS)
    with pytest.raises(ValueError, match="a committee cannot be fine-tuned"):
        AnnotatorMapper(model, fine_tune="all").fit(TARGET.X[:100], TARGET.ratings[:100])


# ---------------------------------------------------------------------- what is refused, and told


@pytest.mark.parametrize("variant", ["individual+consensus", "individual+variance"])
def test_variants_with_more_heads_are_refused(variant):
    with pytest.raises(ValueError, match="a committee cannot have a consensus head or variance heads"):
        committee(variant=variant).fit(X, RATINGS)


def test_the_aggregate_may_be_a_committee():
    model = committee(variant="aggregate").fit(X, RATINGS)
    assert model.annotators_.tolist() == ["consensus"]


def test_callbacks_that_watch_one_network_are_refused():
    with pytest.raises(ValueError, match="the callback Checkpoint watches one network"):
        committee(callbacks=[Checkpoint()]).fit(X, RATINGS)


@pytest.mark.parametrize("name", ["n_members", "n_consensus_members", "ridge"])
def test_parameters_are_checked(name):
    with pytest.raises((ValueError, TypeError), match=name):
        committee(**{name: -1}).fit(X, RATINGS)


@pytest.mark.parametrize(("verbose", "stream", "text"), [(1, "err", "epochs"), (2, "out", "valid_loss")])
def test_progress_is_shown(verbose, stream, text, capsys):
    committee(verbose=verbose).fit(X, RATINGS)
    assert text in getattr(capsys.readouterr(), stream)


def test_one_warning_says_how_many_networks_learned_nothing():
    noise = RATINGS.with_values(np.random.RandomState(0).uniform(-1, 1, size=RATINGS.values.shape))
    with pytest.warns(ConvergenceWarning, match="of 5 networks have learned next to nothing") as found:
        committee(lr=1e-6, max_epochs=30, patience=2, pretrain_epochs=0).fit(X, noise)
    assert len(found) == 1


def test_a_training_that_did_not_end_is_told():
    with pytest.warns(ConvergenceWarning, match="5 of 5 networks ended at max_epochs=10"):
        committee(lr=0.002, max_epochs=10, patience=1).fit(X, RATINGS)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("epoch", [0, 2])
def test_an_interruption_keeps_the_best_weights_if_there_are_any(epoch, n_threads, monkeypatch):
    plain, calls = _stack_training.StackTraining._validate, []

    def interrupted(self):
        calls.append(1)
        if len(calls) > epoch * 2 * n_threads:
            raise KeyboardInterrupt
        return plain(self)

    monkeypatch.setattr(_stack_training.StackTraining, "_validate", interrupted)
    model = committee(n_threads=n_threads)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, RATINGS)
    assert hasattr(model, "heads_") == (epoch > 0)
    if epoch:
        assert model.n_iter_ == epoch
        assert np.isfinite(model.predict(X)).all()


def test_a_failed_epoch_leaves_it_as_it_was(model, monkeypatch):
    before = model.predict(X)

    def fails(self, members):
        raise MemoryError

    monkeypatch.setattr("sklearn_annoser.network._stack_heads.LazyHeads.finish", fails)
    with pytest.raises(MemoryError):
        model.partial_fit(X, RATINGS)
    np.testing.assert_array_equal(model.predict(X), before)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X, RATINGS)

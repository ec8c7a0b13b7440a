import copy

import numpy as np
import pytest
import torch

from sklearn_annoser import Ratings
from sklearn_annoser.network import MultiHeadNet, held_out_parts
from sklearn_annoser.network import tune as tune_net

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 6)).astype(np.float32)
CLEAN = np.tanh(X @ RNG.normal(size=(6, 4))).reshape(60, 2, 2)  # (n_samples, n_annotators, n_outputs)
RATINGS = Ratings.from_dense(CLEAN.astype(np.float32))
OTHERS = RATINGS.with_values(-RATINGS.values[:, ::-1])
PARTS = held_out_parts(OTHERS)


def tune(net, X, y, *, max_epochs=500, patience=10, **options):
    """Tune a net for so many epochs at most."""
    net.max_epochs, net.patience = max_epochs, patience
    return tune_net(net, X, y, **options)


def trained_net(**changes):
    """A net that learned RATINGS; one batch is everything and nothing is dropped, so no order or draw matters."""
    settings = {"module__n_hidden": 8, "module__dropout": 0.0, "batch_size": 64, "lr": 0.02, "max_epochs": 30}
    torch.manual_seed(0)
    return MultiHeadNet(**(settings | {"train_split": None} | changes)).fit(X, RATINGS)


def weights_of(net):
    return {name: weights.detach().clone() for name, weights in net.module_.state_dict().items()}


def changed(before, after):
    return {name.split(".")[0] for name, weights in before.items() if not torch.equal(weights, after[name])}


# ---------------------------------------------------------------------- parts


@pytest.mark.parametrize("groups", [None, np.arange(60) % 7])
def test_parts_hold_every_rated_sample_once_and_no_group_is_in_two(groups):
    ratings = RATINGS.keep_ratings(RATINGS.rows % 3 > 0)
    parts = held_out_parts(ratings, groups=groups)
    assert len(parts) == 5
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.flatnonzero(np.arange(60) % 3 > 0))
    if groups is not None:
        assert sum(len(set(groups[part])) for part in parts) == 7


def test_of_many_samples_one_part_is_held_out():
    many = Ratings.from_rows(np.arange(5000.0), "ann")
    (part,) = held_out_parts(many)
    assert len(part) == 1000
    assert len(held_out_parts(many[:4999])) == 5


def test_few_samples_make_few_parts_and_a_single_group_none():
    assert [part.tolist() for part in held_out_parts(RATINGS[:2])] in ([[0], [1]], [[1], [0]])
    assert held_out_parts(RATINGS[:1]) == []
    assert held_out_parts(RATINGS, groups=np.zeros(60)) == []


# ---------------------------------------------------------------------- training


def test_all_weights_are_trained():
    net = trained_net()
    before = weights_of(net)
    assert np.argmax(tune(net, X, OTHERS, held_out=PARTS, max_epochs=20)) > 0
    assert changed(before, weights_of(net)) == {"trunk", "towers", "heads"}


def test_it_learns_what_is_held_out():
    scores = tune(trained_net(), X, OTHERS, held_out=PARTS, max_epochs=60)
    assert scores[0] < 0 < 0.3 < scores.max()


def test_the_first_score_is_the_correlation_within_annotators():
    net = trained_net()
    scores = tune(net, X, RATINGS, held_out=PARTS, max_epochs=1)
    predicted = trained_net().predict_annotators(X)  # (60, 2, 2)
    expected = [
        np.corrcoef(*((each - each.mean(axis=0)).ravel() for each in (predicted[:, :, output], CLEAN[:, :, output])))
        for output in range(2)
    ]
    np.testing.assert_allclose(scores[0], np.mean([each[0, 1] for each in expected]), atol=1e-5)
    assert len(scores) == 2


@pytest.mark.parametrize("held_out", [PARTS, PARTS[:1]], ids=["in turn", "one part"])
def test_the_weights_are_those_of_the_best_number_of_epochs(held_out):
    net, plain = trained_net(), trained_net()
    scores = tune(net, X, OTHERS, held_out=held_out, max_epochs=40, patience=5)
    plain.initialize_optimizer()
    for _ in range(np.argmax(scores)):
        plain.train_epoch(X, OTHERS)
    np.testing.assert_allclose(net.predict_annotators(X), plain.predict_annotators(X), atol=1e-4)
    assert len(scores) == min(np.argmax(scores) + 6, 41)


def test_each_copy_starts_from_the_heads_given_for_its_part():
    net = trained_net()
    asked = []

    def nothing(rows):
        asked.append(rows)
        return np.zeros((2, 2, 9), dtype=np.float32)

    scores = tune(net, X, RATINGS, held_out=PARTS, start_without=nothing, max_epochs=1)
    assert scores[0] == 0 < tune(trained_net(), X, RATINGS, held_out=PARTS, max_epochs=1)[0]
    assert [rows.tolist() for rows in asked] == [part.tolist() for part in PARTS]


@pytest.mark.parametrize("held_out", [PARTS, PARTS[:1]], ids=["in turn", "one part"])
def test_ratings_that_tell_nothing_change_nothing(held_out):
    net = trained_net()
    before = weights_of(net)
    equal = RATINGS.with_values(np.zeros_like(RATINGS.values))
    scores = tune(net, X, equal, held_out=held_out)
    np.testing.assert_array_equal(scores, np.zeros(11))
    assert not changed(before, weights_of(net))


@pytest.mark.parametrize("extra", [{"consensus_head": True}, {"variance_heads": True}])
def test_extra_heads_are_trained_too(extra):
    net = trained_net(**extra)
    before = copy.deepcopy(net.module_.heads.detach())
    assert np.argmax(tune(net, X, OTHERS, held_out=PARTS, max_epochs=20)) > 0
    assert (net.module_.heads.detach() != before).any(dim=1).all()

"""Confidence: a clear choice is told from a lucky one."""

from itertools import pairwise

import numpy as np
import pytest

from sklearn_annoser.mapping import _confidence, bootstrap_heads, confidences
from sklearn_annoser.mapping._scores import score_one
from tests.mapping.cases import PRIOR, enrol, make_case, planted
from tests.oracles_network import plain_bootstrap, predictions_of


def make_bootstrap(n_ratings=20, n_known=8, noise=0.02, seed=0, n_outputs=2):
    hidden, heads, _ = make_case([n_ratings - 3], n_known=n_known, n_outputs=n_outputs, n_hidden=8, seed=seed)
    rng = np.random.RandomState(seed)
    values = predictions_of(hidden, heads[1]) if noise is not None else rng.normal(size=(n_ratings, n_outputs))
    return hidden, heads, values + rng.normal(scale=noise or 1, size=values.shape)


def confidence(case, seed=0, **kwargs):
    return bootstrap_heads(*case, rng=np.random.RandomState(seed), **kwargs)


@pytest.mark.parametrize("by_output", [False, True])
def test_a_clear_annotator_is_chosen_again_with_confidence(by_output):
    wins, sure = confidence(make_bootstrap(), by_output=by_output)
    assert wins.argmax() == 1
    assert wins[1] > 0.95
    assert sure > 0.98


@pytest.mark.parametrize("by_output", [False, True])
def test_ratings_of_pure_noise_give_a_confidence_of_a_half(by_output):
    sure = [
        confidence(make_bootstrap(noise=None, seed=seed), n_bootstrap=50, by_output=by_output)[1] for seed in range(150)
    ]
    assert np.mean(sure) == pytest.approx(0.5, abs=4 * np.std(sure) / np.sqrt(len(sure)) + 0.02)


def test_confidence_falls_with_the_noise_of_the_ratings():
    levels = [np.mean([confidence(make_bootstrap(noise=noise, seed=s))[1] for s in range(5)]) for noise in (0.1, 1, 5)]
    assert all(more > less for more, less in pairwise(levels))


@pytest.mark.parametrize("noise", [0.02, 1.0, None])
def test_wins_and_confidence_equal_those_of_a_loop_over_resamples(noise, monkeypatch):
    monkeypatch.setattr(_confidence, "BLOCK_HEADS", 3)
    case = make_bootstrap(noise=noise, n_ratings=12)
    wins, sure = confidence(case, n_bootstrap=40)
    plain_wins, plain_sure = plain_bootstrap(*case, 40, np.random.RandomState(0))
    np.testing.assert_allclose(wins, plain_wins, atol=1e-6)
    assert sure == pytest.approx(plain_sure, abs=1e-5)


@pytest.mark.parametrize("by_output", [False, True])
@pytest.mark.parametrize("noise", [0.02, 1.0, None])
def test_wins_are_shares(by_output, noise):
    wins, sure = confidence(make_bootstrap(noise=noise), by_output=by_output)
    assert wins.shape == (8,)
    assert wins.min() >= 0
    assert wins.sum() == pytest.approx(1)
    assert 0 <= sure <= 1


def test_the_resamples_depend_on_the_seed_only():
    case = make_bootstrap(noise=None)
    (first, sure), (again, sure_again), (other, _) = (confidence(case, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert sure == sure_again
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("n_ratings", "n_known", "n_bootstrap"), [(2, 8, 100), (20, 1, 100), (20, 8, 0)])
def test_confidence_is_nan_where_there_is_nothing_to_compare(n_ratings, n_known, n_bootstrap):
    hidden, heads, values = make_bootstrap(n_known=max(n_known, 2))
    wins, sure = confidence((hidden[:n_ratings], heads[:n_known], values[:n_ratings]), n_bootstrap=n_bootstrap)
    assert np.isnan(sure)
    np.testing.assert_array_equal(wins, np.zeros(n_known))


@pytest.mark.parametrize("value", [0.1, 3.0])
@pytest.mark.parametrize("by_output", [False, True])
def test_constant_ratings_tell_nothing(by_output, value):
    hidden, heads, values = make_bootstrap()
    wins, sure = confidence((hidden, heads, np.full_like(values, value)), by_output=by_output)
    assert np.isnan(sure)
    np.testing.assert_array_equal(wins, 0)


@pytest.mark.parametrize("by_output", [False, True])
def test_an_output_with_constant_ratings_is_passed_over(by_output):
    hidden, heads, values = make_bootstrap()
    values[:, 0] = 0.1
    wins, sure = confidence((hidden, heads, values), by_output=by_output)
    assert wins[1] > 0.95
    assert wins.sum() == pytest.approx(1)
    assert sure > 0.98


def test_equal_heads_are_luck():
    hidden, heads, values = make_bootstrap()
    heads[:] = heads[1]
    _, sure = confidence((hidden, heads, values))
    assert np.isnan(sure) or sure == pytest.approx(0.5, abs=0.1)


def test_permuting_the_heads_permutes_the_wins():
    hidden, heads, values = make_bootstrap(noise=1.0)
    order = np.random.RandomState(1).permutation(8)
    (wins, sure), (permuted, sure_permuted) = (confidence((hidden, each, values)) for each in (heads, heads[order]))
    np.testing.assert_allclose(permuted, wins[order])
    assert sure == pytest.approx(sure_permuted)


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n", "blend", "all", "random"])
def test_everybody_has_the_confidence_of_their_own_ratings(strategy):
    hidden, heads, _ = make_case([30], n_known=9)
    mapping = enrol(hidden, heads, planted(hidden, heads, [4, 1, 7]), strategy=strategy, prior=PRIOR)
    found = confidences(mapping, n_bootstrap=20, rng=np.random.RandomState(0))
    if strategy not in ("joint", "separate", "top-n"):  # nobody in particular was chosen
        assert np.isnan(found).all()
        return
    rng = np.random.RandomState(0)
    for target, label in enumerate(mapping.ratings.annotators):
        rows, values = mapping.ratings.of(label)
        by_output = strategy == "separate"
        _, sure = bootstrap_heads(hidden[rows], heads, values, by_output=by_output, n_bootstrap=20, rng=rng)
        assert found[target] == sure
    assert np.isnan(confidences(mapping, n_bootstrap=0, rng=rng)).all()


@pytest.mark.parametrize("by_output", [False, True])
def test_some_of_many_heads_judge_about_as_all_do(by_output, monkeypatch):
    whole, some = [], []
    for seed in range(30):
        case = make_bootstrap(n_known=200, noise=0.5, seed=seed)
        monkeypatch.setattr(_confidence, "MOST_JUDGES", 200)
        whole.append(confidence(case, by_output=by_output))
        monkeypatch.setattr(_confidence, "MOST_JUDGES", 50)
        some.append(confidence(case, by_output=by_output))
        np.testing.assert_array_equal(some[-1][0], whole[-1][0])  # all are chosen among
    whole, some = (np.array([sure for _, sure in each]) for each in (whole, some))
    assert np.abs(some - whole).max() < 0.1
    assert np.mean(some - whole) == pytest.approx(0, abs=0.01)
    assert (some != whole).any()


@pytest.mark.parametrize("by_output", [False, True])
def test_the_best_of_many_heads_compete_as_all_do(by_output, monkeypatch):
    whole, some = [], []
    for seed in range(30):
        hidden, heads, values = make_bootstrap(n_known=400, noise=0.5, seed=seed)
        scores = score_one(hidden, heads, values)
        whole.append(confidence((hidden, heads, values), by_output=by_output))
        monkeypatch.setattr(_confidence, "MOST_CONTENDERS", 60)
        some.append([confidence((hidden, heads, values), by_output=by_output, scores=each) for each in (None, scores)])
        monkeypatch.undo()
        np.testing.assert_array_equal(*(wins for wins, _ in some[-1]))
    found, expected = np.array([sure for (_, sure), _ in some]), np.array([sure for _, sure in whole])
    assert np.abs(found - expected).max() < 0.05
    assert np.mean(found - expected) == pytest.approx(0, abs=0.005)

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist, pdist
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.estimators import _enrollment
from sklearn_annoser.mapping import _suggest, comparison_axes, representative_rows, spread_rows
from tests.planted import corpora, quick, trained

SOURCE, TARGET = corpora()


def make_case(n_samples=40, n_known=6, n_outputs=2, n_hidden=4, seed=0):
    rng = np.random.RandomState(seed)
    hidden = np.maximum(rng.normal(size=(n_samples, n_outputs, n_hidden)), 0)
    return hidden, rng.normal(size=(n_known, n_outputs, n_hidden + 1))


def coordinates_of(hidden, heads):
    return hidden.reshape(len(hidden), -1) @ comparison_axes(hidden, heads)


def plain_energy(chosen, reference):
    """Return the energy distance between two samples, up to a constant of the reference."""
    return 2 * cdist(chosen, reference).mean() - cdist(chosen, chosen).mean()


def plain_choice(points, n, reference):
    """Choose greedily by the energy distance itself, computed anew for every candidate."""
    chosen = []
    for _ in range(n):
        rest = [row for row in range(len(points)) if row not in chosen]
        chosen.append(min(rest, key=lambda row: plain_energy(points[[*chosen, row]], reference)))
    return chosen


# ---------------------------------------------------------------------- oracles


@pytest.mark.parametrize("block", [2048, 7])
@pytest.mark.parametrize("n", [1, 5, 30])
def test_the_choice_is_that_of_the_printed_energy_distance(n, block, monkeypatch):
    monkeypatch.setattr(_suggest, "BLOCK_ROWS", block)
    points = np.random.RandomState(n).normal(size=(30, 3))
    reference = points[::2]
    assert representative_rows(points, n, reference).tolist() == plain_choice(points, n, reference)


@pytest.mark.parametrize("n_known", [2, 3, 9])
def test_distances_along_the_axes_are_those_between_the_predictions_of_all_heads(n_known, monkeypatch):
    monkeypatch.setattr(_suggest, "N_DISAGREEMENTS", 100)
    hidden, heads = make_case(n_known=n_known)
    predicted = np.einsum("noh,aoh->noa", hidden, heads[:, :, :-1]) + heads[:, :, -1].T
    consensus = predicted.mean(axis=2, keepdims=True)
    expected = []
    for part in (consensus, predicted - consensus):
        centred = part - part.mean(axis=0)
        scaled = centred / np.sqrt((centred**2).sum(axis=2).mean(axis=0))[None, :, None]
        expected.append(pdist(scaled.reshape(len(hidden), -1)))
    coordinates = coordinates_of(hidden, heads)
    np.testing.assert_allclose(pdist(coordinates[:, :2]), expected[0], rtol=1e-10)
    np.testing.assert_allclose(pdist(coordinates[:, 2:]), expected[1], rtol=1e-10)


def test_the_few_axes_are_the_main_ones():
    hidden, heads = make_case(n_known=9, n_hidden=8)
    axes = comparison_axes(hidden, heads)
    assert axes.shape == (2 * 8, 2 + _suggest.N_DISAGREEMENTS)
    variances = (hidden.reshape(len(hidden), -1) @ axes).var(axis=0)
    np.testing.assert_allclose(variances[:2], 1)
    assert (np.diff(variances[2:]) < 0).all()
    assert variances[2:].sum() <= 2 + 1e-10


# ---------------------------------------------------------------------- laws


def test_a_shorter_choice_is_the_beginning_of_a_longer_one():
    points = coordinates_of(*make_case())
    longest = representative_rows(points, 40, points)
    assert sorted(longest) == list(range(40))
    for n in (1, 3, 17):
        np.testing.assert_array_equal(representative_rows(points, n, points), longest[:n])


def test_the_first_choice_is_in_the_middle_and_the_next_ones_are_around_it():
    line = np.arange(101.0)[:, None]
    chosen = representative_rows(line, 3, line)
    assert chosen[0] == 50
    assert chosen[1] < 50 < chosen[2] or chosen[2] < 50 < chosen[1]


def test_the_order_of_the_pool_does_not_matter_nor_its_place_and_unit():
    points = coordinates_of(*make_case())
    chosen = representative_rows(points, 10, points)
    order = np.random.RandomState(0).permutation(len(points))
    np.testing.assert_array_equal(order[representative_rows(points[order], 10, points)], chosen)
    np.testing.assert_array_equal(representative_rows(3 * points + 7, 10, 3 * points + 7), chosen)


def test_a_constant_and_the_order_of_the_heads_and_the_unit_of_the_ratings_do_not_matter():
    hidden, heads = make_case()
    points = coordinates_of(hidden, heads)
    shifted = heads.copy()
    shifted[:, :, -1] += np.random.RandomState(0).normal(size=heads.shape[:2])
    for same in (shifted, heads[::-1], 5 * heads):
        np.testing.assert_allclose(pdist(coordinates_of(hidden, same)), pdist(points), rtol=1e-10)


def test_the_chosen_are_distributed_as_all_are_better_than_random_ones():
    points = coordinates_of(*make_case(n_samples=400))
    chosen = points[representative_rows(points, 20, points)]
    rng = np.random.RandomState(0)
    drawn = [plain_energy(points[rng.choice(400, size=20, replace=False)], points) for _ in range(200)]
    assert plain_energy(chosen, points) < min(drawn)


# ---------------------------------------------------------------------- edges


def test_of_equal_samples_none_is_chosen_twice():
    points = np.zeros((5, 2))
    assert sorted(representative_rows(points, 5, points)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n_known", [1, 2])
def test_heads_that_do_not_differ_are_compared_by_their_consensus_alone(n_known):
    hidden, heads = make_case(n_known=1)
    coordinates = coordinates_of(hidden, np.repeat(heads, n_known, axis=0))
    np.testing.assert_allclose(coordinates[:, :2].std(axis=0), 1)
    np.testing.assert_array_equal(coordinates[:, 2:], 0)


def test_samples_that_do_not_differ_have_no_coordinates():
    hidden, heads = make_case()
    np.testing.assert_array_equal(coordinates_of(np.repeat(hidden[:1], 5, axis=0), heads), 0)


def test_spread_rows_reach_from_the_first_to_the_last():
    assert spread_rows(9, 5).tolist() == [0, 2, 4, 6, 8]
    assert spread_rows(3, 5).tolist() == [0, 1, 2]
    assert spread_rows(10_000, 2048)[-1] == 9_999
    assert len(np.unique(spread_rows(2100, 2048))) == 2048


# ---------------------------------------------------------------------- suggest_enrollment


def test_the_suggested_rows_are_those_of_the_algorithm_on_the_hidden_features():
    model = trained()
    hidden = np.concatenate([hidden for _, hidden in model.iter_hidden(TARGET.X)])
    points = coordinates_of(hidden, model.heads_)
    rows = model.suggest_enrollment(TARGET.X)
    assert rows.tolist() == representative_rows(points, 20, points).tolist()


def test_a_reference_of_some_samples_serves_as_well_as_all(monkeypatch):
    model = trained()
    hidden = np.concatenate([hidden for _, hidden in model.iter_hidden(TARGET.X)])
    points = coordinates_of(hidden, model.heads_)
    best = plain_energy(points[model.suggest_enrollment(TARGET.X)], points)
    monkeypatch.setattr(_enrollment, "N_REFERENCE", 200)
    rng = np.random.RandomState(0)
    drawn = [plain_energy(points[rng.choice(800, size=20, replace=False)], points) for _ in range(100)]
    assert plain_energy(points[model.suggest_enrollment(TARGET.X)], points) < best + (np.mean(drawn) - best) / 4


def test_the_samples_that_stand_for_all_are_the_same_after_a_pipeline_and_from_a_frame():
    frame = pd.DataFrame(SOURCE.X[:200]).rename(columns=str)
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), quick())
    model.fit(frame, SOURCE.ratings[:200])
    rows = model[-1].suggest_enrollment(model[:-1].transform(frame), 10)
    plain = make_pipeline(StandardScaler(), quick()).fit(SOURCE.X[:200], SOURCE.ratings[:200])
    assert plain[-1].suggest_enrollment(plain[:-1].transform(SOURCE.X[:200]), 10).tolist() == rows.tolist()
    assert rows.dtype.kind == "i"
    assert len(set(rows.tolist())) == 10


def test_an_annotator_can_be_enrolled_with_what_was_suggested():
    model = trained()
    rows = model.suggest_enrollment(TARGET.X, 15)
    model.select_annotator(TARGET.X[rows], model.predict(TARGET.X[rows], annotator="source_005"))
    assert model.selected_annotator_ == "source_005"


def test_a_model_of_the_consensus_alone_suggests_by_its_one_head():
    model = quick(variant="aggregate").fit(SOURCE.X[:200], SOURCE.ratings[:200])
    predicted = model.predict(SOURCE.X)[model.suggest_enrollment(SOURCE.X, 20)]
    np.testing.assert_allclose(predicted.mean(axis=0), model.predict(SOURCE.X).mean(axis=0), atol=0.1)


@pytest.mark.parametrize(
    ("X", "n", "error", "message"),
    [
        (TARGET.X[:5], 6, ValueError, "n must be at most the number of samples in X, 5, got 6"),
        (TARGET.X, 0, ValueError, "n must be >= 1, got 0"),
        (TARGET.X, 2.5, TypeError, "n must be an integer, got 2.5"),
        (TARGET.X[:, 1:], 5, ValueError, "X has 15 features"),
    ],
)
def test_what_cannot_be_suggested_says_why(X, n, error, message):
    with pytest.raises(error, match=message):
        trained().suggest_enrollment(X, n)


def test_an_unfitted_regressor_suggests_nothing():
    with pytest.raises(NotFittedError):
        AnnotatorMappedRegressor().suggest_enrollment(TARGET.X)

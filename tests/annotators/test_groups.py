"""Groups and outliers: what was planted, and how often chance finds some."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import adjusted_rand_score

from sklearn_annoser.annotators import annotator_outliers, annotator_similarity, cluster_annotators
from sklearn_annoser.datasets import make_corpora
from tests.annotators.linear import Linear, equal_heads, linear, people
from tests.planted import quick


@pytest.fixture(scope="module")
def types_learned():
    """Return a model that has learned 36 annotators of three types, and their corpus."""
    settings = {"n_annotators": 36, "n_targets": 12, "n_types": 3, "n_raters": 10, "disagreement": 2}
    source, _ = make_corpora(n_samples=1000, n_features=16, random_state=0, **settings)
    return quick(n_hidden=32, max_epochs=40, pretrain_epochs=5).fit(source.X, source.ratings), source


@pytest.mark.parametrize("with_samples", [True, False])
def test_types_of_a_simulated_corpus_are_found_as_groups(types_learned, with_samples):
    model, source = types_learned
    X = source.X if with_samples else None
    table = cluster_annotators(model, X, random_state=0)
    assert adjusted_rand_score(source.types, table["cluster"]) == 1
    assert not annotator_outliers(model, X)["outlier"].any()
    similarity = annotator_similarity(model, X).to_numpy()
    same = source.types[:, None] == source.types
    assert similarity[same].mean() > similarity[~same].mean() + 0.4


def test_groups_are_found_with_their_number():
    X = np.random.default_rng(0).normal(size=(100, 20))
    weights, group = people(120, 0, groups=4, apart=6)
    table = cluster_annotators(linear(weights), X, random_state=0)
    assert adjusted_rand_score(group, table["cluster"]) == 1
    again = cluster_annotators(linear(weights), X, random_state=0)
    pd.testing.assert_frame_equal(table, again)


def test_clusters_are_numbered_by_size():
    weights, _ = people(30, 0)
    weights[:8, 0] += 40
    table = cluster_annotators(linear(weights), n_clusters=2, random_state=0)
    assert table["cluster"].tolist() == [1] * 8 + [0] * 22


def test_nobody_is_a_group_alone_unless_so_many_are_asked_for():
    group = np.arange(60) % 3
    weights = np.random.default_rng(0).normal(size=(60, 2)) + np.array([[0, 0], [20, 0], [0, 20]])[group]
    weights[11] = 20, 20  # as far from all as the groups are from each other
    assert not annotator_outliers(linear(weights))["outlier"].any()
    found = cluster_annotators(linear(weights), random_state=0)["cluster"]
    assert found.iloc[11] == -1
    assert adjusted_rand_score(np.delete(group, 11), found.drop("ann_011")) == 1
    alone = cluster_annotators(linear(weights[:3]), n_clusters=3, random_state=0)["cluster"]
    assert sorted(alone) == [0, 1, 2]


def test_of_many_annotators_some_decide_on_the_number_of_groups(monkeypatch):
    monkeypatch.setattr("sklearn_annoser.annotators._groups.MAX_JUDGED", 40)
    weights, group = people(120, 0, groups=3, apart=6)
    assert adjusted_rand_score(group, cluster_annotators(linear(weights), random_state=0)["cluster"]) == 1


def test_chance_finds_groups_as_rarely_as_it_says():
    found = [cluster_annotators(linear(people(24, seed)[0]), random_state=0)["cluster"].max() > 0 for seed in range(20)]
    assert np.mean(found) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20)


def test_a_planted_outlier_is_found_and_is_in_no_group():
    weights, _ = people(60, 0)
    weights[17, :2] += 9
    model = linear(weights)
    table = annotator_outliers(model)
    assert table.index[table["outlier"]].tolist() == ["ann_017"]
    assert table.index[0] == "ann_017"
    assert table["p"].iloc[0] == 1 / 100
    assert table["distance"].is_monotonic_decreasing
    clusters = cluster_annotators(model, random_state=0)
    assert clusters.index[clusters["cluster"] == -1].tolist() == ["ann_017"]
    assert clusters["silhouette"].isna().all()


@pytest.mark.parametrize("n_annotators", [5, 40])
def test_chance_flags_an_outlier_as_rarely_as_it_says(n_annotators):
    flagged = [annotator_outliers(linear(people(n_annotators, seed)[0]))["outlier"].any() for seed in range(30)]
    assert np.mean(flagged) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 30)


def test_the_distance_is_that_from_the_third_most_similar():
    weights, _ = people(30, 3, n_features=4)
    distance = annotator_outliers(linear(weights))["distance"]
    expected = np.sort(np.linalg.norm(weights[:, None] - weights, axis=2), axis=1)[:, 3]
    assert_allclose(distance.sort_index(), expected)


def test_four_who_agree_are_no_outliers():
    weights, _ = people(60, 0)
    weights[:4] = weights[:4] / 4 + 9 * (np.arange(20) < 2)
    weights[4, :2] -= 9
    table = annotator_outliers(linear(weights))
    assert table.index[table["outlier"]].tolist() == ["ann_004"]


def test_heads_that_say_the_same_everywhere(random_heads):
    _, X = random_heads
    same, two_places = equal_heads()
    assert not annotator_outliers(same, X)["outlier"].any()
    assert cluster_annotators(same, X)["cluster"].tolist() == [0] * 6
    assert cluster_annotators(two_places, X)["cluster"].tolist() == [0, 0, 1, 1]
    assert cluster_annotators(Linear(two_places.heads_[1:3]).fit(), X)["cluster"].tolist() == [0, 0]


def test_errors_say_what_is_expected(random_heads):
    model, X = random_heads
    with pytest.raises(ValueError, match="model must know two annotators at least to compare them, got 1"):
        annotator_outliers(Linear(model.heads_[:1]).fit())
    with pytest.raises(ValueError, match="n_clusters must be >= 1 and <= 4, got 5"):
        cluster_annotators(Linear(model.heads_[:4]).fit(), X, n_clusters=5)
    with pytest.raises(ValueError, match="n_clusters must be >= 1 and <= 2, got 3"):  # four, but two that differ
        cluster_annotators(Linear(model.heads_[[0, 1, 0, 1]]).fit(), X, n_clusters=3)
    with pytest.raises(ValueError, match="alpha must be > 0 and <= 1, got 0"):
        annotator_outliers(model, alpha=0)

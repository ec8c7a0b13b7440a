"""Who predicts like whom: against the predictions themselves, and what was planted."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.annotators import annotator_outliers, annotator_similarity, cluster_annotators, embed_annotators
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.estimators import AnnotatorPredictor
from tests import oracles
from tests.planted import corpora, quick


class Linear(AnnotatorPredictor):
    """Annotators whose heads see the features themselves."""

    def __init__(self, heads):
        self.heads = heads

    def fit(self):
        self.heads_ = np.asarray(self.heads)
        self.annotators_ = np.array([f"ann_{index:03d}" for index in range(len(self.heads_))])
        self.outputs_ = tuple(["activation", "valence"][: self.heads_.shape[1]])
        return self

    def iter_hidden(self, X):
        for start in range(0, len(X), 64):
            block = X[start : start + 64]
            yield slice(start, start + len(block)), np.stack([block] * len(self.outputs_), axis=1)


def linear(weights, n_outputs=1):
    """Return a model of annotators with the given weights, without bias, the same for each output."""
    heads = np.concatenate([weights, np.zeros((len(weights), 1))], axis=1)[:, None].repeat(n_outputs, axis=1)
    return Linear(heads).fit()


def people(n_annotators, seed, n_features=20, groups=1, apart=0.0):
    """Return normally distributed weights, in groups so far apart, and each one's group."""
    rng = np.random.default_rng(seed)
    centres = apart * rng.normal(size=(groups, n_features))
    group = np.arange(n_annotators) % groups
    spread = 1 / np.sqrt(1 + np.arange(n_features))
    return (rng.normal(size=(n_annotators, n_features)) + centres[group]) * spread, group


@pytest.fixture(scope="module")
def random_heads():
    rng = np.random.default_rng(0)
    return Linear(rng.normal(size=(300, 2, 7))).fit(), rng.normal(size=(200, 6)) + 1


@pytest.fixture(scope="module")
def types_learned():
    """Return a model that has learned 36 annotators of three types, and their corpus."""
    settings = {"n_annotators": 36, "n_targets": 12, "n_types": 3, "n_raters": 10, "disagreement": 2}
    source, _ = make_corpora(n_samples=1000, n_features=16, random_state=0, **settings)
    return quick(n_hidden=32, max_epochs=40, pretrain_epochs=5).fit(source.X, source.ratings), source


# ---------------------------------------------------------------------- twins and laws


def test_similarity_is_the_ccc_of_the_predictions(random_heads):
    model, X = random_heads
    predictions = model.predict_annotators(X)
    expected = np.stack([oracles.ccc_matrix(y[:, :9], y[:, :9]) for y in predictions.transpose(2, 0, 1)])
    similarity = annotator_similarity(model, X)
    assert_allclose(similarity.to_numpy()[:9, :9], expected.mean(axis=0), rtol=1e-10, atol=1e-12)
    assert_allclose(annotator_similarity(model, X, output="valence").to_numpy()[:9, :9], expected[1], atol=1e-12)
    assert_allclose(similarity, similarity.T, atol=1e-12)
    assert (np.diag(similarity) == 1).all()
    assert similarity.index.tolist() == similarity.columns.tolist() == model.annotators_.tolist()


def test_similarity_without_samples_is_the_cosine_of_the_weights_less_their_mean(random_heads):
    model, _ = random_heads
    weights = model.heads_[:, 0, :-1] - model.heads_[:, 0, :-1].mean(axis=0)
    one, other = weights[3], weights[280]
    expected = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert annotator_similarity(model, output="activation").iloc[3, 280] == pytest.approx(expected)


def test_distances_on_the_map_are_those_of_the_predictions(random_heads):
    model, X = random_heads
    few = Linear(model.heads_[:5]).fit()
    coordinates, explained = embed_annotators(few, X, n_components=4)
    predictions = few.predict_annotators(X)
    for one in range(5):
        for other in range(5):
            expected = np.sqrt(((predictions[:, one] - predictions[:, other]) ** 2).mean())
            assert np.linalg.norm(coordinates.iloc[one] - coordinates.iloc[other]) == pytest.approx(expected, abs=1e-9)
    pca = PCA(4).fit(predictions.transpose(1, 0, 2).reshape(5, -1))
    assert_allclose(explained, pca.explained_variance_ratio_)
    assert explained.index.tolist() == coordinates.columns.tolist() == [f"component_{k}" for k in (1, 2, 3, 4)]


def test_the_map_without_samples_is_that_of_the_weights(random_heads):
    model, _ = random_heads
    coordinates, _ = embed_annotators(model, output="valence")
    expected = PCA(2).fit_transform(model.heads_[:, 1, :-1])
    assert_allclose(np.abs(coordinates), np.abs(expected))


def test_heads_that_say_the_same_everywhere(random_heads):
    _, X = random_heads
    heads = np.zeros((4, 1, 7))
    heads[2:, 0, -1] = 1
    model = Linear(heads).fit()
    constant = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert_allclose(annotator_similarity(model, X), constant)
    assert_allclose(annotator_similarity(model), np.eye(4))
    same = Linear(np.ones((6, 1, 7))).fit()
    assert_allclose(embed_annotators(same, X)[0], 0)
    assert not annotator_outliers(same, X)["outlier"].any()
    assert cluster_annotators(same, X)["cluster"].tolist() == [0] * 6
    assert cluster_annotators(model, X)["cluster"].tolist() == [0, 0, 1, 1]
    assert cluster_annotators(Linear(heads[1:3]).fit(), X)["cluster"].tolist() == [0, 0]


def test_pipelines_mappers_and_their_regressors_will_do():
    source, target = corpora()
    model = make_pipeline(StandardScaler(), quick()).fit(source.X, source.ratings)
    X = model[0].transform(source.X)
    similarity = annotator_similarity(model, source.X)
    assert similarity.to_numpy().dtype == np.float32
    pd.testing.assert_frame_equal(similarity, annotator_similarity(model[-1], X))
    mapper = AnnotatorMapper(model, calibration="affine", n_bootstrap=0).fit(target.X, target.ratings)
    of_mapper = annotator_similarity(mapper, target.X)
    assert of_mapper.index.tolist() == target.ratings.annotators.tolist()
    predictions = mapper.predict_annotators(target.X).astype(np.float64)
    expected = np.mean([oracles.ccc(predictions[:, 1, k], predictions[:, 4, k]) for k in (0, 1)])
    assert of_mapper.iloc[1, 4] == pytest.approx(expected, abs=1e-5)
    assert cluster_annotators(mapper, target.X, n_clusters=3, random_state=0)["cluster"].nunique() == 3


# ---------------------------------------------------------------------- planted truth


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
    monkeypatch.setattr("sklearn_annoser.annotators._similarity.MAX_JUDGED", 40)
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


# ---------------------------------------------------------------------- doors


def test_errors_say_what_is_expected(random_heads):
    model, X = random_heads
    with pytest.raises(TypeError, match="must be an AnnotatorMappedRegressor"):
        annotator_similarity(StandardScaler())
    with pytest.raises(NotFittedError, match="not fitted"):
        embed_annotators(AnnotatorMappedRegressor(), X)
    with pytest.raises(ValueError, match="output 'anger' is not in the outputs of the ratings"):
        annotator_similarity(model, X, output="anger")
    with pytest.raises(ValueError, match="model must know two annotators at least to compare them, got 1"):
        annotator_outliers(Linear(model.heads_[:1]).fit())
    with pytest.raises(ValueError, match="n_components must be at most 2 for 3 annotators, got 3"):
        embed_annotators(Linear(model.heads_[:3]).fit(), X, n_components=3)
    with pytest.raises(ValueError, match="n_clusters must be >= 1 and <= 4, got 5"):
        cluster_annotators(Linear(model.heads_[:4]).fit(), X, n_clusters=5)
    with pytest.raises(ValueError, match="n_clusters must be >= 1 and <= 2, got 3"):  # four, but two that differ
        cluster_annotators(Linear(model.heads_[[0, 1, 0, 1]]).fit(), X, n_clusters=3)
    with pytest.raises(ValueError, match="alpha must be > 0 and <= 1, got 0"):
        annotator_outliers(model, alpha=0)

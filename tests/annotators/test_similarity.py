"""Who predicts like whom: against the predictions themselves."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.annotators import annotator_similarity, cluster_annotators, embed_annotators
from tests import oracles
from tests.annotators.linear import Linear, equal_heads
from tests.planted import corpora, quick


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
    same, two_places = equal_heads()
    constant = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert_allclose(annotator_similarity(two_places, X), constant)
    assert_allclose(annotator_similarity(two_places), np.eye(4))
    assert_allclose(embed_annotators(same, X)[0], 0)


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


def test_errors_say_what_is_expected(random_heads):
    model, X = random_heads
    with pytest.raises(TypeError, match="must be an AnnotatorMappedRegressor"):
        annotator_similarity(StandardScaler())
    with pytest.raises(NotFittedError, match="not fitted"):
        embed_annotators(AnnotatorMappedRegressor(), X)
    with pytest.raises(ValueError, match="output 'anger' is not in the outputs of the ratings"):
        annotator_similarity(model, X, output="anger")
    with pytest.raises(ValueError, match="n_components must be at most 2 for 3 annotators, got 3"):
        embed_annotators(Linear(model.heads_[:3]).fit(), X, n_components=3)

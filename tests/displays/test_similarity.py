import numpy as np
import pandas as pd
import pytest

from sklearn_annoser.annotators import annotator_similarity, cluster_annotators
from sklearn_annoser.displays import AnnotatorSimilarityDisplay
from tests.displays.cases import positions


def test_a_model_s_annotators_are_drawn_as_colours(model):
    estimator, source = model
    clusters = cluster_annotators(estimator, source.X, n_clusters=2, random_state=0)
    display = AnnotatorSimilarityDisplay.from_estimator(estimator, source.X, clusters=clusters, title="a title")
    similarity = annotator_similarity(estimator, source.X)
    pd.testing.assert_frame_equal(display.ordered_.loc[similarity.index, similarity.columns], similarity)
    np.testing.assert_array_equal(display.ax_.get_images()[0].get_array(), display.ordered_)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == display.ordered_.index.tolist()
    assert clusters["cluster"].reindex(display.ordered_.index).is_monotonic_increasing
    AnnotatorSimilarityDisplay.from_estimator(estimator, output="valence").figure_.canvas.draw()


def test_of_many_annotators_the_groups_are_named_and_the_outliers_come_last():
    coordinates, clusters = positions(80)
    distance = np.linalg.norm(coordinates.to_numpy()[:, None] - coordinates.to_numpy(), axis=2)
    similarity = pd.DataFrame(np.exp(-distance), index=coordinates.index, columns=coordinates.index)
    display = AnnotatorSimilarityDisplay(similarity, clusters).plot()
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == ["group 0 (40)", "group 1 (39)", "outliers (1)"]
    assert display.ordered_.index[-1] == "annotator 79"
    assert len(display.ax_.get_lines()) == 4


def test_few_annotators_and_many_groups_can_be_drawn():
    coordinates, clusters = positions(60)
    clusters["cluster"] = np.arange(60) % 20
    similarity = pd.DataFrame(np.eye(60), index=coordinates.index, columns=coordinates.index)
    ticks = AnnotatorSimilarityDisplay(similarity, clusters).plot().ax_.get_yticks()
    assert 1 < len(ticks) <= 20
    assert (np.diff(ticks) > 1.5).all()
    assert AnnotatorSimilarityDisplay(similarity.iloc[:2, :2]).plot().ordered_.shape == (2, 2)


def test_annotators_that_cannot_be_drawn(monkeypatch):
    coordinates, clusters = positions(10)
    similarity = pd.DataFrame(np.eye(10), index=coordinates.index, columns=coordinates.index)
    with pytest.raises(ValueError, match="clusters must be indexed by annotator, with each of them"):
        AnnotatorSimilarityDisplay(similarity, clusters.iloc[:5]).plot()
    monkeypatch.setattr("sklearn_annoser.displays._similarity.MOST_SHOWN", 9)
    with pytest.raises(ValueError, match="at most 9 annotators can be drawn, got 10: choose some"):
        AnnotatorSimilarityDisplay(similarity).plot()

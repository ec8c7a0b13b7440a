import numpy as np
import pytest

from sklearn_annoser.annotators import cluster_annotators, embed_annotators
from sklearn_annoser.displays import AnnotatorEmbeddingDisplay
from tests.displays.cases import positions


def test_a_model_s_annotators_are_drawn_as_dots(model):
    estimator, source = model
    clusters = cluster_annotators(estimator, source.X, n_clusters=2, random_state=0)
    display = AnnotatorEmbeddingDisplay.from_estimator(estimator, source.X, clusters=clusters, title="a title")
    coordinates, explained = embed_annotators(estimator, source.X)
    drawn = np.concatenate([line.get_xydata() for line in display.ax_.get_lines()])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(coordinates, axis=0))
    assert display.ax_.get_xlabel() == f"component 1 ({100 * explained.iloc[0]:.0f} % of the variance)"
    AnnotatorEmbeddingDisplay.from_estimator(estimator, output="valence").figure_.canvas.draw()


def test_of_many_annotators_the_outliers_have_their_names_and_the_groups_a_legend():
    coordinates, clusters = positions(80)
    display = AnnotatorEmbeddingDisplay(coordinates, None, clusters).plot()
    assert [text.get_text() for text in display.ax_.texts] == ["annotator 79"]
    names = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert names == ["group 0 (40)", "group 1 (39)", "outliers (1)"]


def test_names_on_the_map_do_not_overlap_and_stay_inside():
    coordinates, clusters = positions(300)
    clusters.iloc[::4] = -1
    display = AnnotatorEmbeddingDisplay(coordinates, None, clusters).plot()
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.texts]
    assert 5 < len(boxes) < 75
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    frame = display.ax_.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_few_annotators_can_be_drawn():
    coordinates, clusters = positions(60)
    clusters["cluster"] = np.arange(60) % 20
    AnnotatorEmbeddingDisplay(coordinates.iloc[:2], None, clusters).plot().figure_.canvas.draw()


def test_clusters_that_name_no_groups_are_refused():
    coordinates, _ = positions(10)
    with pytest.raises(ValueError, match="and have a column 'cluster'"):
        AnnotatorEmbeddingDisplay(coordinates, None, coordinates).plot()

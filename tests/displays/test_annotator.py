import numpy as np
import pytest

from sklearn_annoser.displays import AnnotatorDisplay
from sklearn_annoser.metrics import ccc_score


def test_the_dots_are_ratings_and_predictions_of_one_annotator(model):
    estimator, source = model
    label = source.ratings.annotators[3]
    display = AnnotatorDisplay.from_estimator(estimator, source.X, source.ratings, label, title="a title")
    rows, values = source.ratings.of(label)
    predicted = estimator.predict(source.X[rows], annotator=label)
    for output, ax in enumerate(display.axes_):
        dots = ax.get_lines()[0]
        np.testing.assert_allclose(dots.get_xdata(), values[:, output])
        np.testing.assert_allclose(dots.get_ydata(), predicted[:, output], atol=1e-5)
        assert (
            ax.get_title()
            == f"{source.ratings.outputs[output]}, CCC {ccc_score(values[:, output], predicted[:, output]):.2f}"
        )
    AnnotatorDisplay.from_predictions([1.0], [2.0]).figure_.canvas.draw()


def test_what_does_not_fit_is_not_drawn():
    with pytest.raises(ValueError, match=r"must have one shape, got \(2, 1\) and \(3, 1\)"):
        AnnotatorDisplay.from_predictions([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="outputs must name the 1 outputs"):
        AnnotatorDisplay.from_predictions([1.0, 2.0], [1.0, 2.0], outputs=["a", "b"])

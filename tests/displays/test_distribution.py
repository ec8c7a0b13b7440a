import numpy as np
import pytest

from sklearn_annoser.displays import DistributionDisplay


@pytest.mark.parametrize("outputs", [["valence"], ["activation", "valence"]])
def test_a_distribution_is_drawn_as_bars_or_colours_with_the_ratings(model, outputs):
    estimator, source = model
    mass, edges = estimator.predict_distribution(source.X[:3], outputs=outputs, n_cells=5)
    ratings = source.ratings[[0]].values[:, : len(outputs)]
    display = DistributionDisplay.from_grid(mass[0], edges, ratings=ratings, outputs=outputs, title="a title")
    drawn = (
        [bar.get_height() for bar in display.ax_.patches]
        if len(outputs) == 1
        else display.ax_.collections[0].get_array()
    )
    np.testing.assert_allclose(np.ravel(drawn), mass[0].T.ravel())
    np.testing.assert_allclose(display.ax_.get_lines()[0].get_xdata(), ratings[:, 0])
    display.figure_.canvas.draw()


def test_what_does_not_fit_is_not_drawn():
    with pytest.raises(ValueError, match=r"mass of shape \(3,\) and edges of shape \(3,\) do not fit"):
        DistributionDisplay.from_grid([0.2, 0.3, 0.5], [0, 1, 2])

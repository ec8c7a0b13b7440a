import numpy as np
import pytest

from sklearn_annoser.displays import AnnotatorMapDisplay


def test_the_map_shows_shares_of_runs_and_folds_rare_sources_together(sized):
    display = AnnotatorMapDisplay.from_results(sized, max_sources=4, title="a title")
    assert display.shares.shape == (3, 5)
    np.testing.assert_allclose(display.shares.sum(axis=1), 1)
    np.testing.assert_allclose(display.ax_.get_images()[0].get_array(), display.shares)
    mapped = sized[(sized["strategy"] == "mapped") & (sized["output"] == "activation")]
    most = display.shares.columns[0]
    expected = (mapped.loc[mapped["annotator"] == "bob", "source"] == most).mean()
    assert display.shares.loc["bob", most] == pytest.approx(expected)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert max(map(len, labels)) <= 18
    assert AnnotatorMapDisplay.from_results(sized, max_targets=2).shares.shape[0] == 2


def test_results_that_cannot_be_drawn(sized):
    with pytest.raises(ValueError, match="strategy 'oracle' has no single source annotator"):
        AnnotatorMapDisplay.from_results(sized, strategy="oracle")

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser.displays import EnrollmentDisplay


def test_lines_are_the_means_over_runs_in_the_order_of_the_sizes(sized):
    more = sized.assign(level="consensus", ccc=0.0)
    display = EnrollmentDisplay.from_results(pd.concat([sized, more]), title="a title")
    assert len(display.axes_) == 2
    means = sized[sized["output"] == "valence"].groupby(["strategy", "n_enrollment"])["ccc"].mean()
    for line in display.axes_[1].get_lines():
        expected = [means[line.get_label(), size] for size in (5, 20, "all")]
        np.testing.assert_allclose(line.get_ydata(), expected)
    assert [label.get_text() for label in display.axes_[1].get_xticklabels()] == ["5", "20", "all"]
    assert [text.get_text() for text in display.figure_.legends[0].get_texts()] == ["random", "mapped"]
    one = EnrollmentDisplay.from_results(sized, strategies=["mapped"])
    assert len(one.axes_[0].get_lines()) == 1


def test_one_run_and_one_size_can_be_drawn(sized):
    display = EnrollmentDisplay.from_results(sized[(sized["seed"] == 0) & (sized["n_enrollment"] == 5)])
    display.figure_.canvas.draw()


def test_results_that_cannot_be_drawn(sized):
    with pytest.raises(ValueError, match=r"results must have columns \['n_enrollment'\]"):
        EnrollmentDisplay.from_results(sized.drop(columns="n_enrollment"))
    with pytest.raises(ValueError, match="no row of level 'consensus'"):
        EnrollmentDisplay.from_results(sized, level="consensus")

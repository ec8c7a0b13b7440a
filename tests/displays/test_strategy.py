import numpy as np
import pytest

from sklearn_annoser.displays import StrategyDisplay


def test_each_output_has_a_panel_with_each_strategy_in_the_given_order(results):
    display = StrategyDisplay.from_results(results, title="two strategies")
    assert [ax.get_title() for ax in display.axes_] == ["activation", "valence"]
    assert [label.get_text() for label in display.axes_[0].get_yticklabels()] == ["random", "mapped"]
    assert display.figure_.get_suptitle() == "two strategies"


def test_dots_are_annotators_and_the_large_one_is_their_mean(results):
    display = StrategyDisplay.from_results(results)
    one = results.query("strategy == 'random' and output == 'activation'").groupby("annotator")["ccc"].mean()
    dots, interval, mean = display.axes_[0].lines[:3]
    np.testing.assert_allclose(dots.get_xdata(), one.to_numpy())
    assert mean.get_xdata()[0] == pytest.approx(one.mean())
    assert interval.get_xdata()[0] < one.mean() < interval.get_xdata()[1]


def test_no_text_is_cut_off_at_the_figure_s_edge(results):
    long = results.replace({"strategy": {"mapped": "mapped to the five best and calibrated"}})
    figure = StrategyDisplay.from_results(long, title="title").figure_
    figure.canvas.draw()
    for text in (text for ax in figure.axes for text in [*ax.get_yticklabels(), ax.xaxis.label] if text.get_visible()):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1

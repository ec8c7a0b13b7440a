import numpy as np
import pandas as pd
import pytest

from sklearn_annoser.displays import ForecastDisplay


def forecasts(n=100):
    rng = np.random.RandomState(0)
    expected = rng.uniform(0, 0.8, size=n)
    one = pd.DataFrame({"expected": expected, "ccc": expected + rng.normal(scale=0.1, size=n)})
    widths = {0.5: 0.067, 0.8: 0.128, 0.95: 0.196}
    return pd.concat(
        [one.assign(level=level, low=expected - width, high=expected + width) for level, width in widths.items()]
    )


def test_forecasts_are_drawn_beside_what_came():
    display = ForecastDisplay.from_results(forecasts(), title="forecasts")
    reliability, intervals, risk = display.axes_
    centres = reliability.lines[1].get_xydata()
    assert np.abs(centres[:, 0] - centres[:, 1]).max() < 0.15
    stated, held = intervals.lines[1].get_data()
    np.testing.assert_array_equal(stated, [0.5, 0.8, 0.95])
    np.testing.assert_allclose(held, stated, atol=0.12)
    assert risk.lines[0].get_ydata()[0] > risk.lines[0].get_ydata()[-1]
    assert display.figure_.get_suptitle() == "forecasts"


def test_forecasts_need_their_columns_and_rows():
    with pytest.raises(ValueError, match="level"):
        ForecastDisplay.from_results(forecasts().drop(columns="level"))
    with pytest.raises(ValueError, match="results have no rows: there is nothing to draw"):
        ForecastDisplay.from_results(forecasts().iloc[:0])

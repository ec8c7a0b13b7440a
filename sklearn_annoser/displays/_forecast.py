"""`ForecastDisplay`: forecasts of the CCC beside what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from sklearn_annoser.displays._base import ResultsDisplay
from sklearn_annoser.displays._style import BLUE, GREY
from sklearn_annoser.evaluation import coverage_table, risk_coverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ForecastDisplay(ResultsDisplay):
    """Forecasts of the CCC beside what came: means in bins, how often intervals hold, and whom to leave out.

    `from_results` draws what :func:`~sklearn_annoser.evaluation.check_forecasts` returned.

    Parameters
    ----------
    results : DataFrame
        What :func:`~sklearn_annoser.evaluation.check_forecasts` returned.

    Attributes
    ----------
    axes_, figure_ : array of Axes, shape (3,), and Figure
        Reliability, intervals, and risk against coverage.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import ForecastDisplay
    >>> expected = np.linspace(0, 1, 40)
    >>> results = pd.DataFrame({"expected": expected, "ccc": expected, "low": expected - 0.1, "high": expected + 0.1})
    >>> display = ForecastDisplay.from_results(results.assign(level=0.8))
    >>> len(display.axes_)
    3
    """

    NEEDED = ("ccc", "expected", "low", "high", "level")

    def __init__(self, results: pd.DataFrame) -> None:
        self.results = results

    @classmethod
    def _of(cls, results: pd.DataFrame) -> Self:
        if not len(results):
            raise ValueError("results have no rows: there is nothing to draw.")
        return cls(results)

    def _arrange(self) -> dict[str, Any]:
        return {"ncols": 3, "figsize": (10.5, 3.6)}

    def _draw(self) -> None:
        self._plot_reliability(self.axes_[0])
        self._plot_intervals(self.axes_[1])
        self._plot_risk(self.axes_[2])

    def _plot_reliability(self, ax: Axes) -> None:
        """Draw the mean CCC of forecasts in bins of equal size, over a cloud of all."""
        one = self.results[self.results["level"] == self.results["level"].iloc[0]]
        ax.plot(one["expected"], one["ccc"], ".", color=GREY, alpha=min(1, 60 / len(one)), markersize=4)
        n_bins = int(np.clip(len(one) // 20, 1, 10))
        bins = np.array_split(one.sort_values("expected")[["expected", "ccc"]].to_numpy(), n_bins)
        centres = np.array([part.mean(axis=0) for part in bins])
        ax.plot(*centres.T, "o-", color=BLUE, label="mean of a tenth" if n_bins == 10 else "mean of a bin")
        low, high = min(0, centres.min()), max(centres.max(), one["expected"].max())
        ax.axline((0, 0), slope=1, color="black", linewidth=0.8, linestyle="--")
        ax.set(title="Reliability", xlabel="expected CCC", ylabel="CCC on unseen ratings")
        margin = 0.25 * (high - low) + 0.02
        ax.set(xlim=(one["expected"].min() - 0.02, one["expected"].max() + 0.02), ylim=(low - margin, high + margin))
        ax.legend(frameon=False, loc="lower right")

    def _plot_intervals(self, ax: Axes) -> None:
        """Draw how often intervals hold the CCC against how often they say."""
        held = coverage_table(self.results.assign(all=0), by=("all",)).iloc[0]
        stated = held.index.astype(float)
        ax.plot([0, 1], [0, 1], "--", color="black", linewidth=0.8)
        ax.fill_between([0, 1], [-0.05, 0.95], [0.05, 1.05], color=GREY, alpha=0.2, linewidth=0, label="within .05")
        ax.plot(stated, held.to_numpy(), "o-", color=BLUE)
        ax.set(title="Intervals", xlabel="say that they hold", ylabel="hold", xlim=(0, 1), ylim=(0, 1.02))
        ax.legend(frameon=False, loc="upper left")

    def _plot_risk(self, ax: Axes) -> None:
        """Draw the mean CCC of those served against their share."""
        rankings = {"expected": ("by the forecast", BLUE, "-"), "ccc": ("by the CCC itself", GREY, "--")}
        for by, (label, colour, style) in rankings.items():
            curve = risk_coverage(self.results, by=by)
            curve = curve[curve["coverage"] >= 0.1]  # means of a few say nothing
            ax.plot(curve["coverage"], curve["ccc"], style, color=colour, label=label)
        one = self.results[self.results["level"] == self.results["level"].iloc[0]]
        ax.axhline(one["ccc"].mean(), color="black", linewidth=0.8, linestyle=":", label="everybody")
        ax.set(title="Risk and coverage", xlabel="share of annotators served", ylabel="their mean CCC", xlim=(0, 1))
        ax.legend(frameon=False)

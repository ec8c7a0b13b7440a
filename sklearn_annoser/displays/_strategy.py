"""`StrategyDisplay`: how well each strategy serves every annotator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from sklearn_annoser.displays._base import ResultsDisplay
from sklearn_annoser.displays._style import (
    BLUE,
    GREY,
    LONGEST_NAME,
    LONGEST_OUTPUT,
    name_axes,
    name_places,
    open_frame,
    short_labels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class StrategyDisplay(ResultsDisplay):
    """CCC by strategy: each annotator's mean over the draws as a dot, their mean with a confidence interval.

    `from_results` draws what :func:`~sklearn_annoser.evaluation.compare_strategies` returned for one enrollment size.

    Parameters
    ----------
    scores : DataFrame
        CCC of each annotator, averaged over draws and seeds: columns `strategy`, `output`, `annotator` and `ccc`.

    Attributes
    ----------
    axes_, figure_ : array of Axes, shape (n_outputs,), and Figure
        A panel for each output, with the strategies from top to bottom.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import StrategyDisplay
    >>> columns = ["strategy", "output", "annotator", "ccc"]
    >>> rows = [("random", "valence", "ann", 0.3), ("mapped", "valence", "ann", 0.5)]
    >>> display = StrategyDisplay.from_results(pd.DataFrame(rows, columns=columns))
    >>> display.scores["ccc"].tolist()
    [0.3, 0.5]
    """

    NEEDED = ("strategy", "output", "annotator", "ccc")

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores

    @classmethod
    def _of(cls, results: pd.DataFrame) -> Self:
        return cls(results.groupby(["strategy", "output", "annotator"], sort=False)["ccc"].mean().reset_index())

    def _arrange(self) -> dict[str, Any]:
        n_outputs, n_strategies = (len(self.scores[name].unique()) for name in ("output", "strategy"))
        size = (2.2 + 3.4 * n_outputs, 1.2 + 0.42 * n_strategies)
        return {"ncols": n_outputs, "figsize": size, "sharey": True}

    def _draw(self) -> None:
        outputs, strategies = self.scores["output"].unique(), self.scores["strategy"].unique()
        for ax, output, name in zip(self.axes_, outputs, short_labels(outputs, LONGEST_OUTPUT), strict=True):
            self._plot_output(ax, self.scores[self.scores["output"] == output], strategies)
            name_axes(ax, title=name, xlabel="CCC with the annotator's ratings")

    @staticmethod
    def _plot_output(ax: Axes, scores: pd.DataFrame, strategies: np.ndarray) -> None:
        """Draw one output: dots of annotators, mean and 95 % interval."""
        rng = np.random.RandomState(0)
        for place, strategy in enumerate(strategies):
            ccc = scores.loc[scores["strategy"] == strategy, "ccc"].dropna().to_numpy()
            if not len(ccc):
                continue
            jitter = rng.uniform(-0.22, 0.22, size=len(ccc))
            ax.plot(ccc, place + jitter, "o", color=GREY, alpha=0.45, markersize=4, markeredgewidth=0)
            if len(ccc) > 1:
                resampled = ccc[rng.randint(len(ccc), size=(1000, len(ccc)))].mean(axis=1)
                low, high = np.percentile(resampled, [2.5, 97.5])
                ax.plot([low, high], [place, place], color=BLUE, linewidth=2.5, solid_capstyle="butt")
            ax.plot(ccc.mean(), place, "o", color=BLUE, markersize=8)
        name_places(ax.yaxis, strategies, LONGEST_NAME)
        ax.set_ylim(len(strategies) - 0.5, -0.5)
        open_frame(ax, grid="x")

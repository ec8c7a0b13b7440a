"""Pictures of results: numbers in, then `plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sklearn_annoser._optional import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["StrategyDisplay"]

BLUE, GREY = "#0072B2", "#767676"  # Okabe and Ito's blue, and a grey with enough contrast on white


class StrategyDisplay:
    """CCC by strategy: each annotator's mean over the draws as a dot, their mean with a confidence interval.

    Parameters
    ----------
    scores : DataFrame
        CCC of each annotator, averaged over draws and seeds: columns `strategy`, `output`, `annotator` and `ccc`.

    Attributes
    ----------
    axes_ : array of Axes, shape (n_outputs,)
        One panel for each output.
    figure_ : Figure
        The figure.

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

    axes_: np.ndarray
    figure_: Figure

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores

    @classmethod
    def from_results(cls, results: pd.DataFrame, *, title: str | None = None) -> StrategyDisplay:
        """Draw what :func:`~sklearn_annoser.evaluation.compare_strategies` returned.

        Parameters
        ----------
        results : DataFrame
            With columns `strategy`, `output`, `annotator` and `ccc`, for one enrollment size.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        StrategyDisplay
        """
        missing = [name for name in ("strategy", "output", "annotator", "ccc") if name not in results]
        if missing:
            raise ValueError(f"results must have columns {missing}; the columns are {results.columns.tolist()}.")
        means = results.groupby(["strategy", "output", "annotator"], sort=False)["ccc"].mean().reset_index()
        return cls(means).plot(title=title)

    def plot(self, *, axes: Any = None, title: str | None = None) -> StrategyDisplay:
        """Draw one panel for each output.

        Parameters
        ----------
        axes : array of Axes, shape (n_outputs,), default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        StrategyDisplay
        """
        outputs, strategies = self.scores["output"].unique(), self.scores["strategy"].unique()
        if axes is None:
            plt = import_matplotlib()
            size = (2.2 + 3.4 * len(outputs), 1.2 + 0.42 * len(strategies))
            _, axes = plt.subplots(1, len(outputs), figsize=size, sharey=True, layout="constrained")
        self.axes_ = np.atleast_1d(axes)
        self.figure_ = self.axes_[0].figure
        for ax, output in zip(self.axes_, outputs, strict=True):
            self._plot_output(ax, self.scores[self.scores["output"] == output], strategies)
            ax.set(title=output, xlabel="CCC with the annotator's ratings")
        if title is not None:
            self.figure_.suptitle(title)
        return self

    @staticmethod
    def _plot_output(ax: Axes, scores: pd.DataFrame, strategies: np.ndarray) -> None:
        """Draw one output: dots of annotators, mean and 95 % interval."""
        rng = np.random.RandomState(0)
        for place, strategy in enumerate(strategies):
            ccc = scores.loc[scores["strategy"] == strategy, "ccc"].dropna().to_numpy()
            jitter = rng.uniform(-0.22, 0.22, size=len(ccc))
            ax.plot(ccc, place + jitter, "o", color=GREY, alpha=0.45, markersize=4, markeredgewidth=0)
            if len(ccc) > 1:
                resampled = ccc[rng.randint(len(ccc), size=(1000, len(ccc)))].mean(axis=1)
                low, high = np.percentile(resampled, [2.5, 97.5])
                ax.plot([low, high], [place, place], color=BLUE, linewidth=2.5, solid_capstyle="butt")
            ax.plot(ccc.mean(), place, "o", color=BLUE, markersize=8)
        ax.set_yticks(np.arange(len(strategies)), list(strategies))
        ax.set_ylim(len(strategies) - 0.5, -0.5)
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)

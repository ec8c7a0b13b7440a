"""`EnrollmentDisplay`: how much a few ratings more help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from sklearn_annoser.displays._base import PanelsDisplay, check_columns
from sklearn_annoser.displays._style import (
    COLOURS,
    LONGEST_OUTPUT,
    MARKERS,
    name_axes,
    name_lines,
    open_frame,
    short_labels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class EnrollmentDisplay(PanelsDisplay):
    """CCC by number of enrollment ratings: a line for each strategy, with a band of one standard error over runs.

    Parameters
    ----------
    scores : DataFrame
        Columns `strategy`, `output`, `n_enrollment`, `mean` and `sem` (standard error) over runs.

    Attributes
    ----------
    axes_, figure_ : array of Axes, shape (n_outputs,), and Figure
        A panel for each output, with the sizes from left to right.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import EnrollmentDisplay
    >>> columns = ["strategy", "output", "n_enrollment", "annotator", "seed", "ccc"]
    >>> rows = [("mapped", "valence", n, "ann", seed, n / 40) for n in (5, 20) for seed in (0, 1)]
    >>> display = EnrollmentDisplay.from_results(pd.DataFrame(rows, columns=columns))
    >>> display.scores["mean"].tolist()
    [0.125, 0.5]
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        *,
        strategies: Any = None,
        level: str = "individual",
        title: str | None = None,
        axes: Any = None,
    ) -> Self:
        """Draw results of several enrollment sizes.

        Parameters
        ----------
        results : DataFrame
            Of :func:`~sklearn_annoser.evaluation.compare_folds`, for example.
        strategies : sequence of str, default=None
            Which, in this order. None: all.
        level : str, default="individual"
            Which level, where there are several.
        title : str, default=None
            Title of the figure.
        axes : array of Axes, shape (n_panels,), default=None
            Where to draw. None: a new figure.

        Returns
        -------
        EnrollmentDisplay
        """
        check_columns(results, ("strategy", "output", "n_enrollment", "annotator", "ccc"))
        some = results[results["level"] == level] if "level" in results else results
        if strategies is not None:
            some = some[some["strategy"].isin(list(strategies))]
        if not len(some):
            raise ValueError(f"results have no row of level {level!r} and the strategies {strategies!r}.")
        keys = ["strategy", "output", "n_enrollment"]
        runs = [column for column in ("seed", "fold", "draw") if column in some]
        each = some.groupby([*keys, *runs], sort=False)["ccc"].mean()
        scores = each.groupby(keys, sort=False).agg(["mean", "sem"]).reset_index()
        if strategies is not None:
            scores = pd.concat([scores[scores["strategy"] == name] for name in strategies], ignore_index=True)
        return cls(scores).plot(axes=axes, title=title)

    def _arrange(self) -> dict[str, Any]:
        n_outputs, n_strategies = (len(self.scores[name].unique()) for name in ("output", "strategy"))
        size = (2.6 + 3.6 * n_outputs, 3.4 + 0.1 * max(n_strategies - 8, 0))
        return {"ncols": n_outputs, "figsize": size, "sharey": True}

    def _draw(self) -> None:
        outputs, strategies = self.scores["output"].unique(), self.scores["strategy"].unique()
        sizes = sorted(self.scores["n_enrollment"].unique(), key=_number)
        for ax, output, name in zip(self.axes_, outputs, short_labels(outputs, LONGEST_OUTPUT), strict=True):
            for number, strategy in enumerate(strategies):
                own = self.scores[(self.scores["output"] == output) & (self.scores["strategy"] == strategy)]
                own = own.set_index("n_enrollment").reindex(sizes)
                self._plot_line(ax, own, strategy, number)
            ax.set_xticks(np.arange(len(sizes)), [str(size) for size in sizes])
            name_axes(ax, title=name, xlabel="enrollment ratings")
            open_frame(ax, grid="y")
        self.axes_[0].set_ylabel("CCC, mean over runs \u00b1 standard error")
        name_lines(self.figure_, list(self.axes_[0].get_lines())[-len(strategies) :], strategies)

    @staticmethod
    def _plot_line(ax: Axes, own: pd.DataFrame, strategy: str, number: int) -> None:
        """Draw one strategy: a line with markers, and its band."""
        colour = COLOURS[number % len(COLOURS)]
        style = ("-", "--", ":")[number // len(COLOURS) % 3]
        x = np.arange(len(own))
        marker = MARKERS[number % len(MARKERS)]
        ax.plot(x, own["mean"], style, color=colour, marker=marker, markersize=4, linewidth=1.5, label=str(strategy))
        spread = own["sem"].fillna(0)
        ax.fill_between(x, own["mean"] - spread, own["mean"] + spread, color=colour, alpha=0.15, linewidth=0)


def _number(size: Any) -> float:
    """Return an enrollment size as a number, also if it was read from a file; "all" is the largest."""
    return np.inf if size == "all" else float(size)

"""`AnnotatorMapDisplay`: who is mapped to whom."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from sklearn_annoser.displays._base import PanelDisplay, check_columns
from sklearn_annoser.displays._style import name_rows_and_columns


class AnnotatorMapDisplay(PanelDisplay):
    """Who is mapped to whom: for each target annotator how often each source annotator was chosen, as colours.

    Parameters
    ----------
    shares : DataFrame
        Share of the runs, a row for each target annotator, a column for each source annotator.

    Attributes
    ----------
    ax_, figure_ : Axes and Figure
        The panel, and the figure with the scale of shares.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import AnnotatorMapDisplay
    >>> rows = [("mapped", "ann", "s1", 0), ("mapped", "ann", "s1", 1), ("mapped", "ann", "s2", 2)]
    >>> results = pd.DataFrame(rows, columns=["strategy", "annotator", "source", "seed"]).assign(output="valence")
    >>> AnnotatorMapDisplay.from_results(results).shares.round(2).loc["ann"].tolist()
    [0.67, 0.33]
    """

    def __init__(self, shares: pd.DataFrame) -> None:
        self.shares = shares

    @classmethod
    def from_results(
        cls,
        results: pd.DataFrame,
        *,
        strategy: str = "mapped",
        max_sources: int = 15,
        max_targets: int = 30,
        title: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the mapping of results.

        Parameters
        ----------
        results : DataFrame
            Of :func:`~sklearn_annoser.evaluation.compare_strategies`, for example.
        strategy : str, default="mapped"
            A strategy with a single source annotator.
        max_sources : int, default=15
            Source annotators with a column of their own; the rarer ones share the last, "others".
        max_targets : int, default=30
            Target annotators shown: those with the most runs.
        title : str, default=None
            Title of the panel.
        ax : Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        AnnotatorMapDisplay
        """
        check_columns(results, ("strategy", "annotator", "source", "output"))
        mapped = results[(results["strategy"] == strategy) & (results["output"] == results["output"].iloc[0])]
        mapped = mapped.dropna(subset="source")
        if not len(mapped):
            raise ValueError(f"strategy {strategy!r} has no single source annotator in any run.")
        counts = pd.crosstab(mapped["annotator"], mapped["source"])
        # By position: labels that are True and False would be taken for a mask.
        counts = counts.iloc[np.argsort(-counts.sum(axis=1).to_numpy(), kind="stable")[:max_targets]]
        counts = counts.iloc[:, np.argsort(-counts.sum().to_numpy(), kind="stable")]
        shares = counts.div(counts.sum(axis=1), axis=0)
        if shares.shape[1] > max_sources:
            rare = shares.iloc[:, max_sources:].sum(axis=1)
            others = "others"
            while others in shares:  # somebody is called so
                others = f"({others})"
            shares = shares.iloc[:, :max_sources].assign(**{others: rare})
        return cls(shares).plot(ax=ax, title=title)

    def _arrange(self) -> dict[str, Any]:
        n_targets, n_sources = self.shares.shape
        return {"figsize": (3.2 + 0.34 * n_sources, 2.2 + 0.24 * n_targets)}

    def _draw(self) -> None:
        ax = self.ax_
        image = ax.imshow(self.shares.to_numpy(), cmap="cividis", vmin=0, vmax=1, aspect="auto")
        name_rows_and_columns(ax, self.shares.index, self.shares.columns)
        ax.set(xlabel="source annotator", ylabel="target annotator")
        self.figure_.colorbar(image, ax=ax, label="share of runs", shrink=0.8)

"""`DistributionDisplay`: how the ratings of one sample are distributed."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from sklearn_annoser._validation import as_columns, check_finite_values
from sklearn_annoser.displays._base import PanelDisplay
from sklearn_annoser.displays._style import BLUE, COLOURS, name_axes


class DistributionDisplay(PanelDisplay):
    """How the ratings of one sample are distributed over a grid, as bars or colours, and the ratings that there are.

    Parameters
    ----------
    mass : array, shape (n_cells,) or (n_cells, n_cells)
        Mass in each cell.
    edges : array, shape (n_cells + 1,) or (2, n_cells + 1)
        Edges of the cells.
    ratings : array, shape (n_ratings,) or (n_ratings, 2), default=None
        Ratings of the sample.
    outputs : sequence of str, default=("rating",)
        Names of the one or two outputs.

    Attributes
    ----------
    ax_, figure_ : Axes and Figure
        The panel and its figure.

    Examples
    --------
    >>> from sklearn_annoser.displays import DistributionDisplay
    >>> display = DistributionDisplay.from_grid([0.25, 0.75], [-1, 0, 1], outputs=["valence"])
    >>> display.ax_.get_xlabel()
    'valence'
    """

    def __init__(self, mass: np.ndarray, edges: np.ndarray, ratings: Any = None, outputs: Any = ("rating",)) -> None:
        self.mass, self.edges, self.ratings, self.outputs = mass, edges, ratings, list(outputs)

    @classmethod
    def from_grid(
        cls,
        mass: Any,
        edges: Any,
        *,
        ratings: Any = None,
        outputs: Any = None,
        title: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw a row of what :meth:`AnnotatorMappedRegressor.predict_distribution` returned.

        Parameters
        ----------
        mass : array-like, shape (n_cells,) or (n_cells, n_cells)
            Mass in each cell, for one output or two.
        edges : array-like, shape (n_cells + 1,) or (2, n_cells + 1)
            Edges of the cells.
        ratings : array-like, shape (n_ratings,) or (n_ratings, 2), default=None
            Ratings of the sample, drawn as dots.
        outputs : sequence of str, default=None
            Names of the one or two outputs.
        title : str, default=None
            Title of the panel.
        ax : Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        DistributionDisplay
        """
        mass, edges = check_finite_values("mass", mass), check_finite_values("edges", edges)
        cells = tuple(np.atleast_2d(edges).shape[1] - 1 for _ in range(mass.ndim))
        if mass.shape != cells or len(np.atleast_2d(edges)) != mass.ndim:
            raise ValueError(f"mass of shape {mass.shape} and edges of shape {edges.shape} do not fit.")
        names = ["rating"] if mass.ndim == 1 else ["first output", "second output"]
        dots = None if ratings is None else as_columns(check_finite_values("ratings", ratings))
        return cls(mass, edges, dots, names if outputs is None else outputs).plot(ax=ax, title=title)

    def _arrange(self) -> dict[str, Any]:
        return {"figsize": (4.6, 3.8)}

    def _draw(self) -> None:
        ax = self.ax_
        dots: dict[str, Any] = {"color": COLOURS[1], "label": "ratings", "clip_on": False}
        if self.mass.ndim == 1:
            ax.bar(self.edges[:-1], self.mass, np.diff(self.edges), align="edge", color=BLUE, edgecolor="white")
            name_axes(ax, xlabel=self.outputs[0], ylabel="share of the ratings")
            if self.ratings is not None:
                height = np.full(len(self.ratings), 0.02 * self.mass.max())
                ax.plot(self.ratings[:, 0], height, "o", markersize=7, **dots)
        else:
            image = ax.pcolormesh(self.edges[0], self.edges[1], self.mass.T, cmap="cividis", vmin=0)
            self.figure_.colorbar(image, ax=ax, label="share of the ratings")
            name_axes(ax, xlabel=self.outputs[0], ylabel=self.outputs[1])
            if self.ratings is not None:
                ax.plot(self.ratings[:, 0], self.ratings[:, 1], "o", markersize=8, markeredgecolor="white", **dots)

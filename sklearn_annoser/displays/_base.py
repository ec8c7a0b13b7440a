"""What all displays do: check results, make a figure or take axes, and give it a title."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from sklearn_annoser._optional import import_matplotlib
from sklearn_annoser.displays._style import LONGEST_TITLE, PLAIN, name_axes, short_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Display(ABC):
    """A picture: each says what a new figure for it is like, and how it is drawn."""

    figure_: Figure

    @abstractmethod
    def _arrange(self) -> dict[str, Any]:
        """Arrange what is drawn, and return the settings of `pyplot.subplots` for a new figure."""

    @abstractmethod
    def _draw(self) -> None:
        """Draw on the axes that there are now."""

    def _place(self, given: Any) -> Any:
        """Return where to draw: on the axes that are given, or on those of a new figure."""
        settings = self._arrange()
        return import_matplotlib().subplots(**({"layout": "constrained"} | settings))[1] if given is None else given


class PanelDisplay(Display):
    """A picture of one panel."""

    ax_: Axes

    def plot(self, *, ax: Any = None, title: str | None = None) -> Self:
        """Draw the panel.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the panel.

        Returns
        -------
        self
        """
        ax = self._place(ax)
        self.ax_, self.figure_ = ax, ax.figure
        if title is not None:
            name_axes(ax, title=title)
        self._draw()
        return self


class PanelsDisplay(Display):
    """A picture of several panels side by side."""

    axes_: np.ndarray

    def plot(self, *, axes: Any = None, title: str | None = None) -> Self:
        """Draw the panels.

        Parameters
        ----------
        axes : array of Axes, shape (n_panels,), default=None
            Where to draw. None: a new figure.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        self
        """
        self.axes_ = np.atleast_1d(self._place(axes))
        self.figure_ = self.axes_[0].figure
        if title is not None:
            self.figure_.suptitle(short_label(title, LONGEST_TITLE), **PLAIN)
        self._draw()
        return self


class ResultsDisplay(PanelsDisplay):
    """A picture of a table of results, whole."""

    NEEDED: ClassVar[tuple[str, ...]]  # columns

    @classmethod
    @abstractmethod
    def _of(cls, results: pd.DataFrame) -> Self:
        """Return the display of results that have the columns."""

    @classmethod
    def from_results(cls, results: pd.DataFrame, *, title: str | None = None, axes: Any = None) -> Self:
        """Draw results.

        Parameters
        ----------
        results : DataFrame
            What the function named above returned, or several of them.
        title : str, default=None
            Title of the figure.
        axes : array of Axes, shape (n_panels,), default=None
            Where to draw. None: a new figure.

        Returns
        -------
        display
        """
        check_columns(results, cls.NEEDED)
        return cls._of(results).plot(axes=axes, title=title)


def check_columns(results: pd.DataFrame, needed: tuple[str, ...]) -> None:
    """Raise unless results have some columns."""
    missing = [name for name in needed if name not in results]
    if missing:
        raise ValueError(f"results must have columns {missing}; the columns are {results.columns.tolist()}.")

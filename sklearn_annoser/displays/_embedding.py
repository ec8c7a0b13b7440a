"""`AnnotatorEmbeddingDisplay`: annotators as places on a plane."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd

from sklearn_annoser.annotators import embed_annotators
from sklearn_annoser.displays._grouped import MOST_NAMED, OUTLIER, GroupedDisplay, group_name
from sklearn_annoser.displays._style import COLOURS, MARKERS, PLAIN, name_axes, open_frame, short_labels


class AnnotatorEmbeddingDisplay(GroupedDisplay):
    """Annotators on a map: near each other if they predict alike, with the colour of their group.

    Few annotators all have their names, of many the outliers do, as far as there is room.

    Parameters
    ----------
    coordinates : DataFrame, indexed by annotator
        As of :func:`~sklearn_annoser.annotators.embed_annotators`; the first two columns are drawn.
    explained : Series, default=None
        Share of the variance that each coordinate explains.
    clusters : DataFrame, indexed by annotator, default=None
        As of :func:`~sklearn_annoser.annotators.cluster_annotators`. None: all are one group.

    Attributes
    ----------
    ax_, figure_ : Axes and Figure
        The panel, and the figure with the names of the groups.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import AnnotatorEmbeddingDisplay
    >>> coordinates = pd.DataFrame([[0.0, 1.0], [1.0, 0.0]], index=["ann", "bob"], columns=["one", "two"])
    >>> [text.get_text() for text in AnnotatorEmbeddingDisplay(coordinates).plot().ax_.texts]
    ['ann', 'bob']
    """

    def __init__(self, coordinates: pd.DataFrame, explained: Any = None, clusters: Any = None) -> None:
        self.coordinates, self.explained, self.clusters = coordinates, explained, clusters

    @classmethod
    def _compare(cls, estimator: Any, X: Any, output: str | None) -> Self:
        return cls(*embed_annotators(estimator, X, output=output))

    def _arrange(self) -> dict[str, Any]:
        return {"figsize": (6.4, 5.0)}

    def _draw(self) -> None:
        ax, points = self.ax_, self.coordinates.to_numpy()[:, :2]
        groups = self._groups_of(self.coordinates.index)
        size = 6 if len(points) <= 200 else 4
        for group in np.roll(np.unique(groups), -int(OUTLIER in groups)):  # outliers last, on top
            x, y = points[groups == group].T
            colour, marker = ("black", "x") if group == OUTLIER else (COLOURS[group % 7], MARKERS[group % 7])
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": size, "alpha": 0.7}
            ax.plot(x, y, linestyle="", label=group_name(group, len(x)), **style)
        ax.set_aspect("equal", adjustable="datalim")  # distances are what it is about
        ax.margins(0.1)
        for axis, name in zip("xy", self.coordinates.columns, strict=False):
            share = "" if self.explained is None else f" ({100 * self.explained[name]:.0f} % of the variance)"
            name_axes(ax, **{f"{axis}label": str(name).replace("_", " ") + share})
        open_frame(ax)
        if len(np.unique(groups)) > 1:
            self.figure_.legend(loc="outside right upper", frameon=False, fontsize="small")
        named = np.arange(len(points)) if len(points) <= MOST_NAMED // 2 else np.flatnonzero(groups == OUTLIER)
        named = named[np.argsort(-np.linalg.norm(points[named], axis=1))]  # the farthest has the first choice
        _place_labels(ax, points, named, short_labels(self.coordinates.index))


def _place_labels(ax: Any, points: np.ndarray, named: np.ndarray, names: list[str]) -> None:
    """Write names beside some points where they cover no other name and fewest points; leave out what has no place."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # it is the reader's font that lacks it
        ax.figure.draw_without_rendering()  # only then the layout is final
    dots, frame = ax.transData.transform(points), ax.get_window_extent()
    taken: list[Any] = []
    for index in named:
        best, covered = None, np.inf
        for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            text = ax.annotate(
                names[index],
                tuple(points[index]),
                xytext=(6 * across, 6 * up),
                textcoords="offset points",
                ha=("right", "center", "left")[across + 1],
                va=("top", "center", "bottom")[up + 1],
                fontsize=8,
                **PLAIN,
            )
            text.set_in_layout(False)
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            hidden = int(((dots >= box.min) & (dots <= box.max)).all(axis=1).sum())
            if inside and hidden < covered and not any(box.overlaps(other) for other in taken):
                if best is not None:
                    best.remove()
                best, covered = text, hidden
            else:
                text.remove()
        if best is not None:
            taken.append(best.get_window_extent())

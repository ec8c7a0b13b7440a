"""`AnnotatorSimilarityDisplay`: the similarity of every two annotators."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from sklearn_annoser.annotators import annotator_similarity
from sklearn_annoser.displays._grouped import MOST_NAMED, OUTLIER, GroupedDisplay, group_name
from sklearn_annoser.displays._style import LONGEST_TITLE, PLAIN, name_rows_and_columns, short_label

MOST_SHOWN = 3000  # annotators in a heat map: there are fewer pixels


class AnnotatorSimilarityDisplay(GroupedDisplay):
    """Similarity of every two annotators as colours, those alike side by side.

    Annotators stand in their groups, and in these in the order of a hierarchical clustering (average linkage); lines
    part the groups, outliers come last.

    Parameters
    ----------
    similarity : DataFrame, shape (n_annotators, n_annotators)
        As of :func:`~sklearn_annoser.annotators.annotator_similarity`.
    clusters : DataFrame, indexed by annotator, default=None
        As of :func:`~sklearn_annoser.annotators.cluster_annotators`. None: all are one group.
    label : str, default="similarity"
        What the colours say.

    Attributes
    ----------
    ordered_ : DataFrame
        The similarity as it is drawn.
    ax_, figure_ : Axes and Figure
        The panel, and the figure with the scale of colours.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_annoser.displays import AnnotatorSimilarityDisplay
    >>> names = ["ann", "bob", "cy"]
    >>> similarity = pd.DataFrame([[1, 0.1, 0.9], [0.1, 1, 0.2], [0.9, 0.2, 1]], index=names, columns=names)
    >>> AnnotatorSimilarityDisplay(similarity).plot().ordered_.index.tolist()
    ['bob', 'ann', 'cy']
    """

    ordered_: pd.DataFrame

    def __init__(self, similarity: pd.DataFrame, clusters: Any = None, label: str = "similarity") -> None:
        self.similarity, self.clusters, self.label = similarity, clusters, label

    @classmethod
    def _compare(cls, estimator: Any, X: Any, output: str | None) -> Self:
        label = "cosine of the heads, less their mean" if X is None else "CCC of the predictions"
        return cls(annotator_similarity(estimator, X, output=output), label=label)

    def _arrange(self) -> dict[str, Any]:
        n_annotators = len(self.similarity)
        if n_annotators > MOST_SHOWN:
            raise ValueError(
                f"at most {MOST_SHOWN} annotators can be drawn, got {n_annotators}: choose some, as in "
                "AnnotatorSimilarityDisplay(similarity.loc[some, some], clusters).plot()."
            )
        order = _similar_side_by_side(self.similarity.to_numpy(), self._groups_of(self.similarity.index))
        self.ordered_ = self.similarity.iloc[order, order]
        side = 2.6 + 0.24 * n_annotators if n_annotators <= MOST_NAMED else 6.4
        return {"figsize": (side + 1.2, side), "layout": "compressed"}  # squares leave room that it takes away

    def _draw(self) -> None:
        ax, annotators, values = self.ax_, self.ordered_.index, self.ordered_.to_numpy()
        groups = self._groups_of(annotators)
        low = np.percentile(values, 1)  # not of the one pair that is most unlike
        cmap, low = ("RdBu_r", -1.0) if low < 0 else ("cividis", float(low))
        image = ax.imshow(values, interpolation="antialiased", cmap=cmap, vmin=low, vmax=1)
        self.figure_.colorbar(image, ax=ax, shrink=0.8).set_label(short_label(self.label, LONGEST_TITLE), **PLAIN)
        for edge in np.flatnonzero(np.diff(groups)) + 0.5:
            ax.axhline(edge, color="black", linewidth=0.8)
            ax.axvline(edge, color="black", linewidth=0.8)
        if len(annotators) <= MOST_NAMED:
            name_rows_and_columns(ax, annotators, annotators)
        else:
            ax.set_xticks([])
            ax.set_yticks(*_group_ticks(groups), fontsize=8)
            ax.set_xlabel(f"{len(annotators)} annotators")


def _similar_side_by_side(similarity: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return an order of annotators: group by group, outliers last, in a group by hierarchical clustering."""
    if len(groups) < 3:
        leaves = np.arange(len(groups))
    else:
        distance = (1 - (similarity + similarity.T) / 2).clip(min=0)
        np.fill_diagonal(distance, 0)
        leaves = leaves_list(linkage(squareform(distance, checks=False), "average"))
    places = np.where(groups == OUTLIER, groups.max() + 1, groups)
    return leaves[np.argsort(places[leaves], kind="stable")]


def _group_ticks(groups: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the middle of each group and its name, less those that are too near the one before."""
    found, starts, sizes = np.unique(groups, return_index=True, return_counts=True)
    middles, names, last = [], [], -np.inf
    for start, group, size in sorted(zip(starts, found, sizes, strict=True)):
        middle = start + (size - 1) / 2
        if middle - last >= 0.035 * len(groups):
            middles.append(middle)
            names.append(group_name(group, size))
            last = middle
    return np.array(middles), names

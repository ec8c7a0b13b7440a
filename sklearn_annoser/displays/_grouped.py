"""What pictures of a model's annotators share: the groups that they are in."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import pandas as pd

from sklearn_annoser.annotators import cluster_annotators
from sklearn_annoser.displays._base import PanelDisplay

MOST_NAMED = 40  # annotators with a name each beside the heat map; on the map, half of them
OUTLIER = -1


class GroupedDisplay(PanelDisplay):
    """Annotators beside each other, in groups."""

    clusters: Any

    @classmethod
    @abstractmethod
    def _compare(cls, estimator: Any, X: Any, output: str | None) -> Self:
        """Return a display, without groups, of the annotators that a model knows."""

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        output: str | None = None,
        clusters: Any = None,
        title: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the annotators that a model knows.

        Parameters
        ----------
        estimator : fitted AnnotatorMappedRegressor or AnnotatorMapper, or a Pipeline that ends in one
            Who knows the annotators; an embedding needs three at least.
        X : array-like, shape (n_samples, n_features), default=None
            Features of samples to compare the predictions on. None: compare the heads.
        output : str, default=None
            One of `outputs_`. None: all; a similarity is then the mean over them.
        clusters : DataFrame, default=None
            As of :func:`~sklearn_annoser.annotators.cluster_annotators`. None: they are found.
        title : str, default=None
            Title of the panel.
        ax : Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        display
        """
        display = cls._compare(estimator, X, output)
        if clusters is None:
            clusters = cluster_annotators(estimator, X, output=output, random_state=0)
        display.clusters = clusters
        return display.plot(ax=ax, title=title)

    def _groups_of(self, annotators: pd.Index) -> np.ndarray:
        """Return the group of each annotator, 0 for all without clusters."""
        if self.clusters is None:
            return np.zeros(len(annotators), dtype=int)
        if "cluster" not in self.clusters or not annotators.isin(self.clusters.index).all():
            raise ValueError("clusters must be indexed by annotator, with each of them, and have a column 'cluster'.")
        return self.clusters["cluster"].reindex(annotators).to_numpy()


def group_name(group: int, size: int) -> str:
    """Return what a group is called."""
    return f"outliers ({size})" if group == OUTLIER else f"group {group} ({size})"

"""`AnnotatorDisplay`: predictions against the ratings of one annotator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from sklearn_annoser._validation import as_columns, check_finite_values
from sklearn_annoser.displays._base import PanelsDisplay
from sklearn_annoser.displays._style import BLUE, GREY, LONGEST_OUTPUT, name_axes, open_frame, short_labels
from sklearn_annoser.metrics import ccc_score
from sklearn_annoser.ratings import Ratings


class AnnotatorDisplay(PanelsDisplay):
    """Predictions against the ratings of one annotator, a panel for each output.

    Parameters
    ----------
    y_true, y_pred : array, shape (n_samples, n_outputs)
        Ratings and predictions.
    outputs : sequence of str
        Names of the outputs.

    Attributes
    ----------
    axes_, figure_ : array of Axes, shape (n_outputs,), and Figure
        A panel for each output, with its CCC above.

    Examples
    --------
    >>> from sklearn_annoser.displays import AnnotatorDisplay
    >>> display = AnnotatorDisplay.from_predictions([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], outputs=["valence"])
    >>> display.axes_[0].get_title()
    'valence, CCC 1.00'
    """

    def __init__(self, y_true: np.ndarray, y_pred: np.ndarray, outputs: Any) -> None:
        self.y_true, self.y_pred, self.outputs = y_true, y_pred, list(outputs)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, ratings: Ratings, annotator: Any, *, title: str | None = None, axes: Any = None
    ) -> Self:
        """Draw what an estimator predicts for an annotator that it knows.

        Parameters
        ----------
        estimator : fitted AnnotatorMappedRegressor or AnnotatorMapper
            Who predicts.
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        ratings : Ratings
            Ratings of the samples.
        annotator : label
            Whose.
        title : str, default=None
            Title of the figure.
        axes : array of Axes, shape (n_panels,), default=None
            Where to draw. None: a new figure.

        Returns
        -------
        AnnotatorDisplay
        """
        own = ratings.keep_annotators([annotator])
        predicted = estimator.predict_ratings(X, own)
        return cls.from_predictions(own.values, predicted.values, outputs=own.outputs, title=title, axes=axes)

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_pred: Any, *, outputs: Any = None, title: str | None = None, axes: Any = None
    ) -> Self:
        """Draw ratings and predictions.

        Parameters
        ----------
        y_true, y_pred : array-like, shape (n_samples,) or (n_samples, n_outputs)
            Ratings and predictions.
        outputs : sequence of str, default=None
            Names of the outputs.
        title : str, default=None
            Title of the figure.
        axes : array of Axes, shape (n_panels,), default=None
            Where to draw. None: a new figure.

        Returns
        -------
        AnnotatorDisplay
        """
        true, pred = (as_columns(check_finite_values(name, y)) for name, y in (("y_true", y_true), ("y_pred", y_pred)))
        if true.shape != pred.shape:
            raise ValueError(f"y_true and y_pred must have one shape, got {true.shape} and {pred.shape}.")
        names = [f"output {k}" for k in range(true.shape[1])] if outputs is None else list(outputs)
        if len(names) != true.shape[1]:
            raise ValueError(f"outputs must name the {true.shape[1]} outputs, got {names}.")
        return cls(true, pred, names).plot(axes=axes, title=title)

    def _arrange(self) -> dict[str, Any]:
        n_outputs = len(self.outputs)
        return {"ncols": n_outputs, "figsize": (0.4 + 3.3 * n_outputs, 3.7)}

    def _draw(self) -> None:
        names = short_labels(self.outputs, LONGEST_OUTPUT)
        for ax, name, true, pred in zip(self.axes_, names, self.y_true.T, self.y_pred.T, strict=True):
            ax.plot(true, pred, "o", color=BLUE, alpha=0.5, markersize=5, markeredgewidth=0)
            low, high = min(true.min(), pred.min()), max(true.max(), pred.max())
            ax.plot([low, high], [low, high], color=GREY, linewidth=1)
            ccc = ccc_score(true, pred) if len(true) > 1 else np.nan
            name_axes(ax, title=f"{name}, CCC {ccc:.2f}", xlabel="rating", ylabel="prediction")
            ax.set_aspect("equal", adjustable="datalim")
            open_frame(ax)

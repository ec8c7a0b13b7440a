"""Serving one new annotator: from a few of their ratings to a head, and which samples to ask about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._features import Features, validate_features
from sklearn_annoser._validation import check_finite_values, check_number, check_option
from sklearn_annoser.estimators._known import ServesOneAnnotator
from sklearn_annoser.estimators._predictor import AnnotatorPredictor, ratings_of_rows
from sklearn_annoser.mapping import (
    STRATEGIES,
    Enroller,
    Mapping,
    Prior,
    bootstrap_heads,
    comparison_axes,
    forecast_scores,
    representative_rows,
    spread_rows,
)
from sklearn_annoser.mapping._enroller import comparable
from sklearn_annoser.ratings import Ratings, count_by_output
from sklearn_annoser.ratings._samples import check_same_samples

N_REFERENCE = 2048  # samples that stand for a pool: with all of them the time would grow with the square


class EnrolsOneAnnotator(ServesOneAnnotator, AnnotatorPredictor):
    """A predictor of ratings that can be made to predict as a new annotator would."""

    prior_: Prior
    confidence_: float
    expected_score_: pd.DataFrame

    def _hidden_blocks(self, X: np.ndarray | Features) -> Iterator[np.ndarray]:
        """Walk over the hidden features of checked X."""
        raise TypeError(f"{type(self).__name__} must have _hidden_blocks.")

    def select_annotator(
        self,
        X: Any,
        y: Any,
        *,
        strategy: str = "joint",
        n_heads: int = 5,
        calibration: str | None = None,
        n_bootstrap: int = 100,
    ) -> Any:
        """Find the known annotator who is most similar to a new one; `predict` then predicts as they would.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples that the new annotator rated. With Ratings also of samples that they did not rate:
            those tell "blend" and the calibration what the target corpus is like.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or Ratings of one annotator
            Their ratings; 15 to 20 suffice.
        strategy : {"joint", "separate", "top-n", "blend", "all", "random"}, default="joint"
            One annotator for all outputs, by the sum of the outputs' CCC (the paper's); the best for each output; the
            mean of the `n_heads` best; what all known heads and the ratings make one expect, which predicts best with
            ``calibration="affine"``; the mean of all; a uniform draw.
        n_heads : int, default=5
            How many heads "top-n" averages.
        calibration : {None, "affine"}, default=None
            Whether to move the predictions' mean and spread to those that the ratings, and those of the known
            annotators, make one expect: recommended.
        n_bootstrap : int, default=100
            Resamples behind `wins` and `confidence_`; 0 for none.

        Returns
        -------
        label, tuple of labels, or None
            The source annotator; for "separate" one for each output, for "top-n" the best `n_heads`; None if nobody
            in particular serves: for "blend" and "all", and if the ratings do not tell the annotators apart (see
            `on_unknown`).

        Raises
        ------
        NotFittedError
            `fit` has not been called.
        ValueError
            Shapes do not fit, ratings are not finite, or `on_unknown="raise"` and the ratings cannot be mapped.
        """
        check_is_fitted(self)
        check_option("strategy", strategy, STRATEGIES)
        check_number("n_bootstrap", n_bootstrap, low=0, integer=True)
        X, ratings = self._check_enrollment(X, y)
        hidden = np.concatenate(list(self._hidden_blocks(X)))
        rng = self._rng()
        prior = self.prior_.with_samples([hidden])
        enroller = Enroller(self._unit_heads, prior, strategy, n_heads, calibration, min_ratings=1)
        mapping = enroller.enrol(hidden, ratings, rng=rng)
        self._report_unmapped(mapping)
        wins, confidence = np.zeros(len(self._unit_heads)), np.nan
        if enroller.rule.ranks:
            of_ratings, by_output = hidden[ratings.rows], enroller.rule.by_output
            wins, confidence = bootstrap_heads(
                of_ratings, self._unit_heads, ratings.values, by_output=by_output, n_bootstrap=n_bootstrap, rng=rng
            )
        forecast = forecast_scores(mapping, rng=rng)
        columns = {"score": forecast.score[0], "low": forecast.low[0], "high": forecast.high[0]}
        self.confidence_ = confidence
        self.expected_score_ = pd.DataFrame(columns, index=pd.Index(self.outputs_, name="output"))
        scores = self._unit_scale.scores_from_unit(mapping.scores, count_by_output(ratings))
        table = pd.DataFrame(scores[0], index=self.annotators_, columns=list(self.outputs_))
        table = table.assign(score=comparable(scores, ratings, enroller.rule)[0].sum(axis=1), wins=wins)
        return self._select(self._served_by(mapping), mapping.heads[0], table)

    def _served_by(self, mapping: Mapping) -> Any:
        """Return who serves the only new annotator: a label, a tuple of labels, or None."""
        if not mapping.enroller.rule.by_output:
            return mapping.sources(self.annotators_)[0]
        served = tuple(mapping.sources(self.annotators_, output)[0] for output in range(len(self.outputs_)))
        return served if mapping.mapped.any() else None

    def suggest_enrollment(self, X: Any, n: int = 20) -> np.ndarray:
        """Choose the samples that a new annotator should rate: few that stand for all, as the known heads see them.

        The predictions for the chosen samples are distributed as those for all: what the annotators agree on, and how
        they differ. See :func:`sklearn_annoser.mapping.representative_rows`. Outliers, on which the annotators
        differ most, are not sought: ratings of those mislead the choice of a head, and its calibration even more.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the pool of samples that could be rated, without ratings; they should be of the kind that is to
            be predicted later. After a pipeline: ``model[-1].suggest_enrollment(model[:-1].transform(X))``.
        n : int, default=20
            How many to choose.

        Returns
        -------
        array of int, shape (n,)
            Rows of `X`, in the order in which to ask: who stops early has rated a good choice of fewer samples.

        Raises
        ------
        NotFittedError
            `fit` has not been called.
        ValueError
            `X` has fewer than `n` samples, or other features than the training data.

        Examples
        --------
        >>> from sklearn_annoser import AnnotatorMappedRegressor
        >>> from sklearn_annoser.datasets import make_corpora
        >>> source, target = make_corpora(n_samples=100, random_state=0)
        >>> model = AnnotatorMappedRegressor(max_epochs=2, random_state=0).fit(source.X, source.ratings)
        >>> rows = model.suggest_enrollment(target.X, 15)
        >>> target.X[rows].shape == (15, target.X.shape[1])
        True
        """
        check_is_fitted(self)
        check_number("n", n, low=1, integer=True)
        X = validate_features(self, X, dtype=np.float32, order="C", reset=False)
        if n > len(X):
            raise ValueError(f"n must be at most the number of samples in X, {len(X)}, got {n}.")
        reference = spread_rows(len(X), N_REFERENCE)
        axes = comparison_axes(np.concatenate(list(self._hidden_blocks(X[reference]))), self._unit_heads)
        coordinates = np.concatenate([hidden.reshape(len(hidden), -1) @ axes for hidden in self._hidden_blocks(X)])
        return representative_rows(coordinates, n, coordinates[reference])

    def _check_enrollment(self, X: Any, y: Any) -> tuple[np.ndarray | Features, Ratings]:
        """Return features and ratings of one new annotator, checked, the ratings on the network's scale."""
        check_same_samples("X", X, y)
        X = validate_features(self, X, dtype=np.float32, order="C", reset=False)
        if isinstance(y, Ratings):
            ratings = y.keep_annotators()
            if ratings.n_annotators != 1:
                raise ValueError(
                    f"y must be the ratings of one new annotator, got {ratings.n_annotators}. AnnotatorMapper maps "
                    "many at once."
                )
        else:
            values = check_finite_values("y", y)
            n_given = 1 if values.ndim == 1 else values.shape[1]
            if n_given != len(self.outputs_):
                raise ValueError(
                    f"y must have {len(self.outputs_)} outputs, {list(self.outputs_)}, got shape {values.shape}."
                )
            check_consistent_length(X, values)
            ratings = ratings_of_rows(y, values, "new annotator")
        check_consistent_length(X, ratings)
        return X, self._unit_scale.to_unit(self.check_ratings(ratings))

    def _report_unmapped(self, mapping: Mapping) -> None:
        """Warn or raise if equal ratings left no head to choose."""
        unmapped = [name for name, mapped in zip(self.outputs_, mapping.mapped[0], strict=True) if not mapped]
        if unmapped:
            self._report(
                f"the enrollment ratings of {unmapped} are missing or all equal, so every head has a CCC of 0 and none "
                "can be chosen.",
                mend="Enrol with samples that the annotator rates differently.",
                instead="The mean of all heads is used.",
            )

"""Predicting with linear heads: what the regressor and the mapper have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._features import validate_features
from sklearn_annoser._validation import (
    as_columns,
    check_finite_values,
    check_number,
    find_labels,
    refuse_masks,
)
from sklearn_annoser.estimators._known import KnowsAnnotators
from sklearn_annoser.estimators._person import PersonRegressor, predict_head
from sklearn_annoser.estimators._source import with_frozen_steps
from sklearn_annoser.mapping import predict_heads, predict_rated
from sklearn_annoser.metrics import ccc_score, individual_ccc_score
from sklearn_annoser.ratings import CONSENSUS, Ratings
from sklearn_annoser.ratings._lost import lost_ratings, warn_of_lost
from sklearn_annoser.ratings._outputs import match_outputs, output_order
from sklearn_annoser.ratings._samples import check_same_samples

__all__ = ["AnnotatorPredictor", "ratings_of_rows"]


class AnnotatorPredictor(RegressorMixin, KnowsAnnotators):
    """An estimator that predicts by one linear head for each annotator on hidden features of the samples.

    A subclass has what `KnowsAnnotators` has, the fitted attributes `outputs_` and `target_ndim_`, the parameters
    `on_unknown`, `random_state` and `clip`, and the methods `_iter_hidden` and `_default_head`.
    """

    outputs_: tuple[str, ...]
    target_ndim_: int
    clip: bool = False  # also of one that was pickled before there was any

    def iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over what the heads see of each sample, in blocks.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.

        Yields
        ------
        rows : slice
            The samples of the block.
        hidden : array, shape (n_block, n_outputs, n_hidden)
            Output of the towers, fine-tuned ones if they were.
        """
        check_is_fitted(self)
        yield from self._iter_hidden(X)

    def _iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Check X, and walk over the hidden features."""
        raise TypeError(f"{type(self).__name__} must have _iter_hidden.")

    def predict(self, X: Any, annotator: Any = None) -> np.ndarray:
        """Predict the ratings of one annotator.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        annotator : label, default=None
            One of `annotators_`. None: the selected annotator, or the consensus while none is selected.

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_outputs)
            As the ratings of the training were: one-dimensional for one output.
        """
        check_is_fitted(self)
        head = self._head_of(annotator)
        return predict_head(self.iter_hidden(X), head, self._on_scale, self.target_ndim_)

    def predict_annotators(self, X: Any, annotators: Any = None) -> np.ndarray:
        """Predict the ratings of every annotator.

        The result grows with samples times annotators; :meth:`iter_predict_annotators` walks over it.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        annotators : array-like of labels, default=None
            Which annotators, in which order. None: all of `annotators_`.

        Returns
        -------
        array, shape (n_samples, n_annotators, n_outputs)
        """
        check_is_fitted(self)
        heads = self._heads_of(annotators)
        blocks = (predict_heads(hidden, heads) for _, hidden in self.iter_hidden(X))
        return np.concatenate([self._on_scale(block) for block in blocks])

    def iter_predict_annotators(
        self, X: Any, annotators: Any = None, *, max_bytes: int = 2**24
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over the predictions for every annotator in blocks of bounded memory.

        All other parameters are those of :meth:`predict_annotators`, with the same defaults.

        Parameters
        ----------
        max_bytes : int, default=2**24
            Most bytes of a block; one sample is the smallest block.

        Yields
        ------
        rows : slice
            The samples of the block.
        predictions : array, shape (n_block, n_annotators, n_outputs)
        """
        check_is_fitted(self)
        check_number("max_bytes", max_bytes, low=1, integer=True)
        heads = self._heads_of(annotators)
        step = max(1, max_bytes // max(8 * heads[:, :, 0].size, 1))  # of float64
        for rows, hidden in self.iter_hidden(X):
            for start in range(0, len(hidden), step):
                block = hidden[start : start + step]
                predicted = self._on_scale(predict_heads(block, heads))
                yield slice(rows.start + start, rows.start + start + len(block)), predicted

    def predict_ratings(self, X: Any, ratings: Ratings) -> Ratings:
        """Predict each rating as its annotator would give it.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        ratings : Ratings
            Who rated which sample; the values are not looked at. Annotators that are not known are predicted as
            ``predict(X)`` does, or refused, as `on_unknown` says. A model of the consensus
            alone predicts them silently.

        Returns
        -------
        Ratings
            The same samples and annotators with predicted values.
        """
        check_is_fitted(self)
        if not isinstance(ratings, Ratings):
            raise TypeError(f"ratings must be Ratings, got {type(ratings).__name__}.")
        order = output_order(ratings.outputs, self.outputs_, "ratings")
        self._check_served(ratings)
        codes = self._codes_of(ratings)
        heads = np.concatenate([self._unit_heads, self._default_head()[0][None]])  # -1 is the last
        predicted = self._on_scale(predict_rated(self.iter_hidden(X), heads, ratings, codes))
        return ratings.with_values(predicted[:, np.argsort(order)])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the concordance of predictions and ratings (CCC, not R²; -1 to 1, higher is better).

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            Ratings: the mean over annotators of each one's CCC. An array: the CCC of ``predict(X)`` with it.
        sample_weight : array-like, shape (n_samples,), default=None
            Weight of each sample; for arrays only.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        if isinstance(y, Ratings):
            if sample_weight is not None:
                raise ValueError("sample_weight cannot be used with Ratings: each annotator counts alike.")
            y = self.check_ratings(y)
            return float(individual_ccc_score(y, self.predict_ratings(X, y)))
        return float(ccc_score(self._check_truth(y), self.predict(X), sample_weight=sample_weight))

    def _person(self, annotator: Any, head: np.ndarray) -> Any:
        steps, source = self._source()
        if not hasattr(source, "net_"):
            raise TypeError(
                f"a {type(source).__name__} has no network that could be taken along: a person's model needs an "
                "AnnotatorMappedRegressor."
            )
        person = PersonRegressor()._take(self, source, annotator, head)
        person._unit_scale, person._ndim = self._unit_scale, self.target_ndim_
        person._limits = self._unit_scale.bounds if self.clip else None
        return with_frozen_steps(steps, person, "personregressor")

    def _source(self) -> tuple[Any, Any]:
        """Return the steps before the network, None without any, and the regressor that has it."""
        return None, self

    def _check_truth(self, y: Any) -> Any:
        """Return an array of ratings with its columns in the order of the outputs, if it names them."""
        if hasattr(y, "columns"):
            y = y.iloc[:, output_order([str(column) for column in y.columns], self.outputs_, "y")]
        values = as_columns(check_finite_values("y", y))
        if values.shape[1] == len(self.outputs_):  # else the score says what is wrong
            self._unit_scale.check_values(values, self.outputs_)
        return y

    def _on_scale(self, predicted: np.ndarray) -> np.ndarray:
        """Return predictions, (..., n_outputs), on the scale of the ratings, and within it if they are to be."""
        self._check_clip()
        predicted = self._unit_scale.from_unit(predicted)
        return np.clip(predicted, *self._unit_scale.bounds.T) if self.clip else predicted

    def _check_clip(self) -> None:
        """Raise if predictions are to be within a scale that nobody has declared."""
        if self.clip and not self._unit_scale.is_declared:
            raise ValueError(
                "clip=True needs the scale of the ratings that were learned from, and they declare none: give them as "
                "Ratings that do, for example Ratings.from_long(table, scale=(1, 7), ...), or an array as "
                "Ratings.from_rows(y, annotators, scale=(1, 7))."
            )

    def _codes_of(self, ratings: Ratings) -> np.ndarray:
        """Return the head of each rating, -1 where the annotator is unknown and the user allows that."""
        known = find_labels(ratings.annotators, self.annotators_)
        used = np.bincount(ratings.codes, minlength=ratings.n_annotators) > 0
        unknown = ratings.annotators[used & (known < 0)]
        if len(unknown) and not self._default_head()[1]:  # nobody has chosen who is to serve them
            self._report(
                f"{len(unknown)} of {int(used.sum())} annotators are unknown, for example {unknown[:3].tolist()}; "
                f"{type(self).__name__} knows {len(self.annotators_)}.",
                mend='on_unknown="consensus" predicts the consensus for them.',
                instead="The consensus is predicted for them.",
            )
        return known[ratings.codes]

    def _check_served(self, ratings: Ratings) -> None:
        """Raise if someone has been left without predictions."""
        silent = self.annotators_[~np.isfinite(self._unit_heads).all(axis=(1, 2))]
        asked = silent[find_labels(silent, ratings.keep_annotators().annotators) >= 0]
        if len(asked):
            raise ValueError(
                f"{len(asked)} annotators are not trusted, for example {asked[:3].tolist()}, and get no prediction. "
                'Leave them out with ratings.keep_annotators(...), or use fallback="consensus".'
            )

    def check_ratings(self, ratings: Ratings) -> Ratings:
        """Return ratings with the outputs of the model, in its order.

        Parameters
        ----------
        ratings : Ratings
            Ratings of another corpus. Outputs without names are taken by their position.

        Returns
        -------
        Ratings

        Raises
        ------
        ValueError
            The names of the outputs contradict those of the model, or the ratings cannot be on its scale.
        """
        ratings = match_outputs(ratings, self.outputs_)
        self._unit_scale.check(ratings)
        return ratings

    def _check_X_y(self, X: Any, y: Any, annotators: Any, **checks: Any) -> tuple[Any, Ratings]:
        """Return checked features and, whatever y was given as, Ratings; `checks` are those of validate_data."""
        if isinstance(y, Ratings):
            if annotators is not None:
                raise ValueError("annotators must be None if y is Ratings, which know their annotators.")
            check_same_samples("X", X, y)
            X = validate_features(self, X, **checks)
            ratings, ndim = y, y.ndim
        else:
            if not checks.get("skip_check_array"):
                checks |= {"multi_output": True, "y_numeric": True}
            refuse_long_table(y)
            X, checked = validate_features(self, X, refuse_masks("y", y), **checks)
            ratings, ndim = ratings_of_rows(y, checked, annotators), np.ndim(checked)
        check_consistent_length(X, ratings)
        if checks.get("reset", True):
            self.target_ndim_ = ndim
        return X, ratings

    def _warn_if_lost(self, y: Any, annotators: Any, ratings: Ratings) -> None:
        """Warn if y is an array that was made of Ratings on its way here: who rated is not in it."""
        if isinstance(y, Ratings) or annotators is not None:
            return
        lost = lost_ratings(ratings.values)
        if lost is not None:
            warn_of_lost(lost, self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def refuse_long_table(y: Any) -> None:
    """Raise if y is a table of who rated what, which has to become Ratings first."""
    names = [] if not hasattr(y, "columns") else [str(name) for name in y.columns]
    if len(names) > 1 and any(name.lower() in ("annotator", "rater", "annotator_id", "rater_id") for name in names):
        raise ValueError(
            f"y is a table of who rated what, with the columns {names}: make Ratings of it, "
            "y=Ratings.from_long(table, outputs=[...], samples=labels), with the labels in the order of the rows of X."
        )


def ratings_of_rows(y: Any, checked: np.ndarray, annotators: Any = None) -> Ratings:
    """Return Ratings of an array y with one rating a sample; the columns of a DataFrame name the outputs."""
    outputs = [str(column) for column in y.columns] if hasattr(y, "columns") else None
    values = check_finite_values("y", checked)
    return Ratings.from_rows(values, CONSENSUS if annotators is None else annotators, outputs=outputs)

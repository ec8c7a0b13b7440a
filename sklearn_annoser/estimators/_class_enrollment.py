"""Enrolling one new annotator with a few labels: which heads serve, and how they are moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._features import Features
from sklearn_annoser._validation import as_columns, as_objects, check_labels, check_number, check_option
from sklearn_annoser.estimators._class_labels import check_labels_of, encode, in_order
from sklearn_annoser.estimators._class_link import PredictsClasses, apply_weights
from sklearn_annoser.estimators._class_network import ClassRegressor
from sklearn_annoser.estimators._class_scores import SCORINGS, bias_towards, score_labels
from sklearn_annoser.estimators._known import ServesOneAnnotator
from sklearn_annoser.mapping import STRATEGIES, fit_thresholds
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.ratings._classes import labels_of

CLASS_STRATEGIES = ("joint", "top-n", "blend", "all", "random")
CALIBRATIONS = (None, "prior")


class EnrolsLabels(PredictsClasses, ServesOneAnnotator):
    """One that knows how annotators label, and can be made to label as a new one would."""

    regressor_: ClassRegressor

    def _check_X(self, X: Any, y: Any = None, *, reset: bool = False) -> np.ndarray | Features:
        """Return checked features, of the same samples as `y` if that is Ratings."""
        raise TypeError(f"{type(self).__name__} must have _check_X.")

    def select_annotator(
        self,
        X: Any,
        y: Any,
        *,
        strategy: str = "joint",
        n_heads: int = 5,
        scoring: str = "log_likelihood",
        calibration: str | None = None,
    ) -> Any:
        r"""Find the known annotators who label most like a new one; `predict` then labels as they would.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples that the new annotator labelled.
        y : array-like, shape (n_samples,) or (n_samples, n_outputs), or Ratings by one annotator
            Their labels; of several outputs None or NaN where there is none.
        strategy : {"joint", "top-n", "blend", "all", "random"}, default="joint"
            The most similar annotator; the mean of the logits of the `n_heads` most similar; of all, each weighted by
            the probability that it gives the labels; of all alike; a uniform draw.
        n_heads : int, default=5
            How many heads "top-n" averages.
        scoring : {"log_likelihood", "kappa", "f1_macro"}, default="log_likelihood"
            What is similar: the mean log probability of the labels; Cohen's kappa, with quadratic weights for ordered
            classes, or the macro-averaged F1 of the most probable label. Of several outputs the mean.
        calibration : {None, "prior"}, default=None
            "prior" moves the biases so that the labels' frequencies come nearer to those of the enrollment, with `n`
            labels :math:`(n_k + 10 \bar p_k) / (n + 10)` where :math:`\bar p_k` is the mean probability predicted. Of
            ordered classes it finds the most probable thresholds, given the labels and a normal distribution half-way
            between the served head and the mean of all (:func:`fit_thresholds`).

        Returns
        -------
        label, tuple of labels, or None
            The source annotator; a tuple for "top-n"; None for "blend" and "all".

        Raises
        ------
        ValueError
            A label is not among `classes_`, shapes do not fit, or an option is unknown.
        """
        check_is_fitted(self)
        check_option("strategy", strategy, CLASS_STRATEGIES)
        check_option("scoring", scoring, SCORINGS)
        check_option("calibration", calibration, CALIBRATIONS)
        check_number("n_heads", n_heads, low=1, integer=True)
        X, codes = self._check_enrollment(self._check_X(X, y), y)
        logits = self._logits_annotators(X)  # (n_samples, n_annotators, n_columns)
        scores = self._score_heads(logits, codes, scoring)  # (n_annotators, n_outputs)
        score = scores.mean(axis=1)
        chosen = STRATEGIES[strategy](n_heads).choose(score[None, :, None], self._rng())
        if strategy == "blend":
            likelihood = scores if scoring == "log_likelihood" else self._score_heads(logits, codes, "log_likelihood")
            shares = softmax(likelihood @ (codes >= 0).sum(axis=0))
        else:
            shares = np.full(len(score), 1.0) if chosen is None else np.isin(np.arange(len(score)), chosen) * 1.0
        head = np.einsum("a,akh->kh", shares / shares.sum(), self._unit_heads, dtype=np.float64)
        if calibration == "prior":
            self._calibrate(head, X, codes)
        labels = None if chosen is None else self.annotators_[chosen[0, 0]].tolist()
        served = labels if labels is None else tuple(labels) if strategy == "top-n" else labels[0]
        each = {} if len(self.outputs_) == 1 else dict(zip(self.outputs_, scores.T, strict=True))
        return self._select(served, head, pd.DataFrame(each | {"score": score}, index=self.annotators_))

    def _check_enrollment(self, X: np.ndarray | Features, y: Any) -> tuple[np.ndarray | Features, np.ndarray]:
        """Return the labelled samples, and the positions of their labels, (n_samples, n_outputs), -1 for none."""
        if isinstance(y, Ratings):
            y = check_labels_of(y, len(X), self.outputs_)
            n_annotators = y.keep_annotators().n_annotators
            if n_annotators != 1:
                raise ValueError(f"y must be the labels of one new annotator, got {n_annotators}.")
            labels, X = labels_of(y), X[y.rows]
        else:
            labels = check_labels("y", y) if len(self.outputs_) == 1 else as_objects("y", in_order(y, self.outputs_))
        if labels.ndim != min(len(self.outputs_), 2) or as_columns(labels).shape[1] != len(self.outputs_):
            raise ValueError(f"y must have {len(self.outputs_)} columns, {list(self.outputs_)}, got {labels.shape}.")
        if len(labels) != len(X):
            raise ValueError(f"X has {len(X)} samples, but y has {len(labels)} labels.")
        codes = encode(labels, self._classes)
        if (codes < 0).all():
            raise ValueError("y has no labels: there is nothing to choose by.")
        return X, codes

    def _score_heads(self, logits: np.ndarray, codes: np.ndarray, scoring: str) -> np.ndarray:
        """Return how well every head explains the labels of each output, (n_annotators, n_outputs)."""
        found = []
        for code, part in zip(codes.T, self._link.slices(), strict=True):
            own = logits[code >= 0][:, :, part]
            found.append(score_labels(own, code[code >= 0], scoring, ordered=self._link.ordered))
        return np.stack(found, axis=1)

    def _calibrate(self, head: np.ndarray, X: np.ndarray | Features, codes: np.ndarray) -> None:
        """Move the biases of a head, or its thresholds, towards labels; an output without any stays."""
        weights, cuts = self._link.split(head)  # views
        predicted = self._apply_weights(X, weights)
        mean = self.regressor_.prior_.mean
        priors = self._link.learn_priors(self._unit_heads, mean) if self._link.ordered else []
        for output, part in enumerate(self._link.slices()):
            given = codes[:, output] >= 0
            own = codes[given, output]
            if not len(own):
                continue
            if self._link.ordered:
                level, served = float(weights[output] @ mean[output]), cuts[output, : self._link.sizes[output] - 1]
                prior = priors[output].towards(level, served)
                shift, served[:] = fit_thresholds(predicted[given, output], own, prior, level)
                weights[output, -1] += shift
            else:
                logits = predicted if given.all() else predicted[given]  # a copy adds up in another order
                weights[part, -1] += bias_towards(softmax(logits[:, part], axis=1), own)

    # ------------------------------------------------------------------ what heads say

    def _apply(self, X: np.ndarray | Features, head: np.ndarray) -> np.ndarray:
        """Return the logits of a head on checked X, (n_samples, n_columns)."""
        weights, cuts = self._link.split(head)
        return self._link.logits(self._apply_weights(X, weights), cuts)

    def _apply_weights(self, X: np.ndarray | Features, weights: np.ndarray) -> np.ndarray:
        """Return what weights, (n_towers, n_hidden + 1), predict on checked X."""
        return apply_weights(self.regressor_.iter_hidden(X), weights)

    def _logits_annotators(self, X: np.ndarray | Features) -> np.ndarray:
        """Return the logits of every annotator on checked X, (n_samples, n_annotators, n_columns)."""
        return self._link.logits(self.regressor_.predict_annotators(X), self._link.split(self._unit_heads)[1])

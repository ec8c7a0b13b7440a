"""`AnnotatorMappedClassifier`: how every annotator labels, and how a new one would, from a few of their labels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from sklearn_annoser._validation import (
    as_objects,
    check_array_like,
    check_groups,
    check_known,
    check_labels,
    check_number,
    check_option,
    check_sample_weight,
    find_labels,
    refuse_masks,
)
from sklearn_annoser.estimators._known import ServesOneAnnotator
from sklearn_annoser.estimators._regressor import AnnotatorMappedRegressor
from sklearn_annoser.estimators._training import HeadTrainer
from sklearn_annoser.estimators._unit_scale import UnitScale
from sklearn_annoser.mapping import STRATEGIES, predict_rated
from sklearn_annoser.ratings import CONSENSUS, Ratings
from sklearn_annoser.ratings._classes import labels_of
from sklearn_annoser.ratings._lost import lost_ratings, warn_of_lost
from sklearn_annoser.ratings._samples import check_same_samples

__all__ = ["AnnotatorMappedClassifier"]

CLASS_STRATEGIES = ("joint", "top-n", "blend", "all", "random")
SCORINGS = ("log_likelihood", "kappa", "f1_macro")
CALIBRATIONS = (None, "prior")
PRIOR_LABELS = 10  # the number of labels that the predicted frequencies are worth


class AnnotatorMappedClassifier(ClassifierMixin, HeadTrainer, ServesOneAnnotator):
    r"""Learn how every annotator of a corpus labels, and label as a new annotator would from a few of their labels.

    The network is that of :class:`AnnotatorMappedRegressor` with a tower for each class; annotator `a` labels `x` with
    class `k` with probability :math:`\operatorname{softmax}_k(w_{ak}^\top h_k(x) + b_{ak})`. The loss is the cross
    entropy over all labels of a batch; pre-training is on the shares of the votes. Without labels by identified
    annotators this is a plain classifier.

    All other parameters are those of :class:`AnnotatorMappedRegressor`, with the same defaults.

    Parameters
    ----------
    variant : {"individual", "aggregate"}, default="individual"
        A head for each annotator, or a single one that learns the shares of the votes.
    n_tower_layers : int, default=1
        Layers of each class's tower.
    lr : float, default=1e-2
        Learning rate of SGD at the start.

    Attributes
    ----------
    classes_ : array, shape (n_classes,)
        The labels.
    annotators_ : array, shape (n_annotators,)
        Labels of the annotators that have a head.
    heads_ : array, shape (n_annotators, n_classes, n_hidden + 1)
        Their heads, of the logits, the bias last.
    regressor_ : AnnotatorMappedRegressor
        The network, as a regressor of logits.
    selected_annotator_ : label, tuple of labels, or None
        What :meth:`select_annotator` returned last.
    selection_ : DataFrame
        The score of every head on the enrollment labels, best first.
    n_features_in_, feature_names_in_ : int, and array of str
        Number of features, and their names if `X` had string column names.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_annoser import AnnotatorMappedClassifier
    >>> X = np.random.RandomState(0).normal(size=(200, 5))
    >>> y = np.where(X[:, 0] > 0, "happy", "sad")
    >>> who = np.where(np.arange(200) % 2, "ann", "bob")
    >>> model = AnnotatorMappedClassifier(n_hidden=16, lr=0.1, max_epochs=20, random_state=0).fit(X, y, annotators=who)
    >>> model.predict_proba(X[:3]).shape
    (3, 2)
    """

    VARIANTS = ("individual", "aggregate")

    def __init__(
        self,
        *,
        variant: str = "individual",
        n_hidden: int = 256,
        n_tower_layers: int = 1,
        dropout: float = 0.2,
        lr: float = 1e-2,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        batch_size: int = 32,
        max_epochs: int = 500,
        pretrain_epochs: int = 5,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        patience: int = 10,
        lr_patience: int = 5,
        min_ratings: int = 1,
        device: str = "cpu",
        n_threads: int | None = 1,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            variant=variant,
            n_hidden=n_hidden,
            n_tower_layers=n_tower_layers,
            dropout=dropout,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            batch_size=batch_size,
            max_epochs=max_epochs,
            pretrain_epochs=pretrain_epochs,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            lr_patience=lr_patience,
            min_ratings=min_ratings,
            device=device,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )

    # ------------------------------------------------------------------ training

    def fit(
        self,
        X: Any,
        y: Any,
        annotators: Any = None,
        groups: Any = None,
        validation: Any = None,
        sample_weight: Any = None,
    ) -> AnnotatorMappedClassifier:
        """Learn how every annotator labels.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings of one output, or array-like of shape (n_samples,)
            Ratings of classes, or whose values are the classes; or one label a sample, by `annotators`.
        annotators : array-like, shape (n_samples,), default=None
            Who gave each label, if `y` is an array. None: all are by one annotator.
        groups, validation, sample_weight : array-like, shape (n_samples,), default=None
            As for :meth:`AnnotatorMappedRegressor.fit`. A sample with weight 0 is as if it were not there.

        Returns
        -------
        self
        """
        self._check_parameters()
        X, labels, rows = self._check_X_y(X, y, annotators)
        groups, validation = check_groups(groups, len(X)), refuse_masks("validation", validation)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(X))
            check_consistent_length(X, validation)
            there = sample_weight > 0
            X, labels, rows, sample_weight = X[there], labels[there[rows.rows]], rows[there], sample_weight[there]
            rows = rows.keep_annotators()
            groups, validation = (None if each is None else np.asarray(each)[there] for each in (groups, validation))
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class only, {self.classes_.tolist()[0]!r}: there is nothing to tell apart.")
        is_label = (labels[:, None] == self.classes_).astype(np.float32)
        shares = rows.with_outputs(is_label, [f"class {code}" for code in range(len(self.classes_))])
        regressor = _LogitRegressor(**self.get_params(deep=False))
        regressor.fit(X, shares, groups=groups, validation=validation, sample_weight=sample_weight)
        self.regressor_, self.annotators_ = regressor, regressor.annotators_
        self._unit_heads, self._unit_scale = regressor._unit_heads, regressor._unit_scale
        return self.clear_selection()

    def _check_X_y(self, X: Any, y: Any, annotators: Any) -> tuple[np.ndarray, np.ndarray, Ratings]:
        """Return checked features, the class of each rating, and who gave it to which sample."""
        if isinstance(y, Ratings):
            if annotators is not None:
                raise ValueError("annotators must be None if y is Ratings, which know their annotators.")
            X = self._check_X(X, y, reset=True)
            _check_labels_of(y, len(X))
            _warn_if_undeclared(y)
            return X, labels_of(y), y.with_values(np.zeros(y.n_ratings, dtype=np.float32))
        check_array_like("X", X)
        n_dims = as_objects("y", refuse_masks("y", y)).ndim
        if n_dims == 1 and (isinstance(y, (list, tuple)) or np.asarray(y).dtype.kind not in "biufc"):
            y = check_labels("y", y)  # validate_data lets None through, and numpy makes floats or strings of lists
        X, y = validate_data(self, X, y, dtype=np.float32, order="C")
        lost = lost_ratings(np.asarray(y)) if annotators is None else None
        if lost is not None and lost.classes is None:
            raise ValueError(
                "y is an array that something between its Ratings and this classifier has made: of numbers, whose mean "
                "is no label. Ratings of classes have the plurality: make them with classes=True."
            )
        if lost is not None:
            warn_of_lost(lost, self)
        check_classification_targets(y)
        who = CONSENSUS if annotators is None else annotators
        return X, np.asarray(y), Ratings.from_rows(np.zeros(len(y), dtype=np.float32), who)

    def _check_X(self, X: Any, y: Any = None, *, reset: bool = False) -> np.ndarray:
        """Return checked features, of the same samples as `y` if that is Ratings."""
        if isinstance(y, Ratings):
            check_same_samples("X", X, y)
        return validate_data(self, check_array_like("X", X), dtype=np.float32, order="C", reset=reset)

    # ------------------------------------------------------------------ prediction

    def predict(self, X: Any, annotator: Any = None) -> np.ndarray:
        """Predict the labels of one annotator.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features, as in :meth:`fit`.
        annotator : label, default=None
            One of `annotators_`. None: the selected annotator, or the mean of all heads while none is selected.

        Returns
        -------
        array, shape (n_samples,)
        """
        logits = self.predict_logits(X, annotator)  # raises if there are no classes yet
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X: Any, annotator: Any = None) -> np.ndarray:
        """Predict how probable each label is.

        All parameters are those of :meth:`predict`, with the same defaults.

        Returns
        -------
        array, shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return softmax(self.predict_logits(X, annotator), axis=1)

    def predict_proba_annotators(self, X: Any) -> np.ndarray:
        """Predict how probable each label is for every annotator.

        All parameters are those of :meth:`predict`, with the same defaults.

        Returns
        -------
        array, shape (n_samples, n_annotators, n_classes)
        """
        check_is_fitted(self)
        X = self._check_X(X)
        return softmax(self.regressor_.predict_annotators(X), axis=2)

    def predict_logits(self, X: Any, annotator: Any = None) -> np.ndarray:
        """Return the logits of one annotator.

        All parameters are those of :meth:`predict`, with the same defaults.

        Returns
        -------
        array, shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        X = self._check_X(X)
        return self._apply(X, self._head_of(annotator))

    def _apply(self, X: np.ndarray, head: np.ndarray) -> np.ndarray:
        """Return the logits of a head, (n_classes, n_hidden + 1), on checked X."""
        blocks = [np.einsum("nkh,kh->nk", hidden, head[:, :-1]) for _, hidden in self.regressor_.iter_hidden(X)]
        return np.concatenate(blocks).astype(np.float64) + head[:, -1]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings of one output, or array-like of shape (n_samples,)
            Labels by annotators: the mean over annotators of each one's accuracy; who is not known is predicted as
            `predict` does without an annotator. An array: the accuracy of ``predict(X)``.
        sample_weight : array-like, shape (n_samples,), default=None
            Weight of each sample; for arrays only.

        Returns
        -------
        float
        """
        if not isinstance(y, Ratings):
            if sample_weight is not None:
                sample_weight = check_sample_weight(sample_weight, len(np.asarray(y)))
            return float(super().score(X, refuse_masks("y", y), sample_weight))
        if sample_weight is not None:
            raise ValueError("sample_weight cannot be used with Ratings: each annotator counts alike.")
        check_is_fitted(self)
        X = self._check_X(X, y)
        _check_labels_of(y, len(X))
        labels = labels_of(y)
        if (labels.dtype.kind in "UO") != (self.classes_.dtype.kind in "UO"):
            raise ValueError(
                f"y must have labels like those that were fitted, {self.classes_[:3].tolist()}, got "
                f"{labels[:3].tolist()}. Strings are Ratings.from_long(..., classes=True)."
            )
        known = find_labels(y.annotators, self.annotators_)[y.codes]
        heads = np.concatenate([self._unit_heads, self._default_head()[0][None]]).astype(np.float32)
        logits = predict_rated(self.regressor_.iter_hidden(X), heads, y, known)  # -1 is the last head
        right = self.classes_[logits.argmax(axis=1)] == labels
        n = np.bincount(y.codes, minlength=y.n_annotators)
        return float(np.mean(np.bincount(y.codes, right, y.n_annotators)[n > 0] / n[n > 0]))

    # ------------------------------------------------------------------ serving a new annotator

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
        y : array-like, shape (n_samples,), or Ratings by one annotator
            Their labels.
        strategy : {"joint", "top-n", "blend", "all", "random"}, default="joint"
            The most similar annotator; the mean of the logits of the `n_heads` most similar; of all, each weighted by
            the probability that it gives the labels; of all alike; a uniform draw.
        n_heads : int, default=5
            How many heads "top-n" averages.
        scoring : {"log_likelihood", "kappa", "f1_macro"}, default="log_likelihood"
            What is similar: the mean log probability of the labels; Cohen's kappa or the macro-averaged F1 of the most
            probable label.
        calibration : {None, "prior"}, default=None
            "prior" moves the biases so that the labels' frequencies come nearer to those of the enrollment, with `n`
            labels :math:`(n_k + 10 \bar p_k) / (n + 10)` where :math:`\bar p_k` is the mean probability predicted.

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
        X = self._check_X(X, y)
        if isinstance(y, Ratings):
            _check_labels_of(y, len(X))
            n_annotators = y.keep_annotators().n_annotators
            if n_annotators != 1:
                raise ValueError(f"y must be the labels of one new annotator, got {n_annotators}.")
            y, X = labels_of(y), X[y.rows]
        codes = check_known("label", check_labels("y", y), self.classes_, "the fitted classes")
        if len(codes) != len(X):
            raise ValueError(f"X has {len(X)} samples, but y has {len(codes)} labels.")
        logits = self.regressor_.predict_annotators(X)  # (n_samples, n_annotators, n_classes)
        scores = _score_labels(logits, codes, scoring)
        chosen = STRATEGIES[strategy](n_heads).choose(scores[None, :, None], self._rng())
        if strategy == "blend":
            shares = softmax(len(codes) * _score_labels(logits, codes, "log_likelihood"))
        else:
            shares = np.full(len(scores), 1.0) if chosen is None else np.isin(np.arange(len(scores)), chosen) * 1.0
        head = np.einsum("a,akh->kh", shares / shares.sum(), self._unit_heads, dtype=np.float64)
        if calibration == "prior":
            head[:, -1] += _bias_towards(softmax(self._apply(X, head), axis=1), codes)
        labels = None if chosen is None else self.annotators_[chosen[0, 0]].tolist()
        served = labels if labels is None else tuple(labels) if strategy == "top-n" else labels[0]
        return self._select(served, head, pd.DataFrame({"score": scores}, index=self.annotators_))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "regressor_")


class _LogitRegressor(AnnotatorMappedRegressor):
    """The regressor whose predictions are logits: its loss is the cross entropy, of shares as they are."""

    def _scale_of(self, given: Ratings, learned: Ratings) -> UnitScale:
        return UnitScale.identity(learned.n_outputs)

    def _warn_if_blown_up(self, X: np.ndarray) -> None:
        """Logits have no scale to leave."""

    def _make_net(self, **changes: Any) -> Any:
        from sklearn_annoser.network import CrossEntropy

        return super()._make_net(criterion=CrossEntropy, **changes)


def _check_labels_of(y: Ratings, n_samples: int) -> None:
    """Raise unless Ratings have one output, the class, and are of these samples."""
    if y.n_outputs != 1:
        raise ValueError(f"y must have one output, the class, got {y.n_outputs}: {list(y.outputs)}.")
    if len(y) != n_samples:
        raise ValueError(f"X has {n_samples} samples, but y has ratings of {len(y)}.")


def _warn_if_undeclared(y: Ratings) -> None:
    """Warn of Ratings that scikit-learn would average: classes that are not declared, on which annotators differ."""
    if y.classes is None and (y.consensus()[y.rows] != y.values[:, 0]).any():
        warnings.warn(
            "y does not say that its values are classes. They are learned as such, but np.asarray(y), as scikit-learn "
            "takes it in cross_val_predict, StratifiedKFold and accuracy_score, is their mean. Declare them with "
            "classes=True when you make the Ratings, or with y.with_values(y.values, classes=True).",
            stacklevel=4,
        )


def _score_labels(logits: np.ndarray, codes: np.ndarray, scoring: str) -> np.ndarray:
    """Return how well every annotator's logits, (n_samples, n_annotators, n_classes), explain labels."""
    if scoring == "log_likelihood":
        return log_softmax(logits.astype(np.float64), axis=2)[np.arange(len(codes)), :, codes].mean(axis=0)
    classes = np.arange(logits.shape[2])
    said = logits.argmax(axis=2)[:, :, None] == classes  # (n_samples, n_annotators, n_classes)
    # How often which label is predicted where which is true: (n_annotators, n_classes, n_classes).
    table = np.einsum("nt,nap->atp", codes[:, None] == classes, said, dtype=np.float64)
    true, predicted, agreed = table.sum(axis=2), table.sum(axis=1), np.einsum("akk->ak", table)
    if scoring == "f1_macro":
        told = (true + predicted) > 0  # classes of which there are some, on either side
        f1 = np.divide(2 * agreed, true + predicted, out=np.zeros(agreed.shape), where=told)
        return f1.sum(axis=1) / told.sum(axis=1)
    n = len(codes)
    by_chance = (true * predicted).sum(axis=1) / n**2
    # If both sides know one label only kappa is undefined: nothing has been told.
    return np.divide(agreed.sum(axis=1) / n - by_chance, 1 - by_chance, out=np.zeros(len(table)), where=by_chance < 1)


def _bias_towards(probability: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return what to add to the biases so that predicted frequencies come nearer to those of labels, (n_classes,)."""
    predicted = np.maximum(probability.mean(axis=0), 1e-6)
    counts = np.bincount(codes, minlength=len(predicted))
    expected = (counts + PRIOR_LABELS * predicted) / (len(codes) + PRIOR_LABELS)
    return np.log(expected) - np.log(predicted)

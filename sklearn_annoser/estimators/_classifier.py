"""`AnnotatorMappedClassifier`: how every annotator labels, and how a new one would, from a few of their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from sklearn_annoser._features import Features, select_rows, validate_features
from sklearn_annoser._validation import (
    as_objects,
    check_array_like,
    check_groups,
    check_labels,
    check_sample_weight,
    find_labels,
    refuse_masks,
)
from sklearn_annoser.estimators._class_enrollment import EnrolsLabels
from sklearn_annoser.estimators._class_labels import (
    check_labels_of,
    columns_of,
    learn_classes,
    one_hot,
    order_of,
    warn_if_undeclared,
)
from sklearn_annoser.estimators._class_link import ClassLink
from sklearn_annoser.estimators._class_network import ClassRegressor
from sklearn_annoser.estimators._person import PersonClassifier
from sklearn_annoser.estimators._training import HeadTrainer
from sklearn_annoser.mapping import predict_rated
from sklearn_annoser.ratings import CONSENSUS, Ratings
from sklearn_annoser.ratings._classes import labels_of
from sklearn_annoser.ratings._lost import lost_ratings, warn_of_lost
from sklearn_annoser.ratings._samples import check_same_samples

__all__ = ["AnnotatorMappedClassifier"]


class AnnotatorMappedClassifier(ClassifierMixin, HeadTrainer, EnrolsLabels):
    r"""Learn how every annotator of a corpus labels, and label as a new annotator would from a few of their labels.

    The network is that of :class:`AnnotatorMappedRegressor` with a tower for each class; annotator `a` labels `x` with
    class `k` with probability :math:`\operatorname{softmax}_k(w_{ak}^\top h_k(x) + b_{ak})`. The loss is the cross
    entropy over all labels of a batch; pre-training is on the shares of the votes. Without labels by identified
    annotators this is a plain classifier.

    If classes are ordered there is one tower, and a score that thresholds cut (a cumulative link model):
    :math:`P(y \le k) = \operatorname{sigmoid}(\theta_{ak} - w_a^\top h(x) - b_a)` with rising :math:`\theta_a`.
    Several outputs are learned together, by one trunk; the loss is the mean over outputs.

    All other parameters are those of :class:`AnnotatorMappedRegressor`, with the same defaults.

    Parameters
    ----------
    ordered : bool, or array-like of labels, default=False
        Whether the classes have an order: that of the `classes` of Ratings, of an ordered categorical, or else that of
        sorting; or all classes in their order.
    variant : {"individual", "aggregate"}, default="individual"
        A head for each annotator, or a single one that learns the shares of the votes.
    n_tower_layers : int, default=1
        Layers of each class's tower.
    lr : float, default=1e-2
        Learning rate of SGD at the start.

    Attributes
    ----------
    classes_ : array, shape (n_classes,), or list of arrays
        The labels, sorted or in their order; of several outputs a list.
    outputs_ : tuple of str
        Names of the outputs.
    annotators_ : array, shape (n_annotators,)
        Labels of the annotators that have a head.
    heads_ : array, shape (n_annotators, n_classes, n_hidden + 1)
        Their heads, of the logits, the bias last; classes of several outputs side by side. If classes are ordered:
        (n_annotators, n_outputs, n_hidden + 1), of the scores.
    thresholds_ : array, shape (n_annotators, n_classes - 1), or list of arrays
        What cuts the scores of ordered classes, with mean 0: how high someone labels is their bias.
    regressor_ : AnnotatorMappedRegressor
        The network, as a regressor of logits, or scores.
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
        ordered: Any = False,
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
        self.ordered = ordered

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
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            Ratings of classes, or whose values are the classes, which may lack outputs; or one label of each output a
            sample, by `annotators`.
        annotators : array-like, shape (n_samples,), default=None
            Who gave each label, if `y` is an array. None: all are by one annotator.
        groups, validation, sample_weight : array-like, shape (n_samples,), default=None
            As for :meth:`AnnotatorMappedRegressor.fit`. A sample with weight 0 is as if it were not there.

        Returns
        -------
        self
        """
        self._check_parameters()
        order = order_of(y, self.ordered)
        X, labels, rows = self._check_X_y(X, y, annotators)
        groups, validation = check_groups(groups, len(X)), refuse_masks("validation", validation)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(X))
            check_consistent_length(X, validation)
            there = sample_weight > 0
            X, labels, sample_weight = select_rows(X, there), labels[there[rows.rows]], sample_weight[there]
            rows = rows[there].keep_annotators()
            groups, validation = (None if each is None else np.asarray(each)[there] for each in (groups, validation))
        classes, codes = learn_classes(labels, order, rows.outputs)
        regressor = ClassRegressor(
            **{name: own for name, own in self.get_params(deep=False).items() if name != "ordered"}
        )
        regressor.link = ClassLink(tuple(map(len, classes)), ordered=order is not None or bool(self.ordered))
        shares = one_hot(codes, regressor.link.sizes)
        regressor.fit(
            X,
            rows.with_outputs(shares, [f"class {column}" for column in range(shares.shape[1])]),
            groups=groups,
            validation=validation,
            sample_weight=sample_weight,
        )
        return self._take(regressor, classes, rows.outputs)

    def _take(
        self, regressor: ClassRegressor, classes: list[np.ndarray], outputs: tuple[str, ...]
    ) -> AnnotatorMappedClassifier:
        """Take over a trained network, and forget whom the last one served."""
        self.classes_, self.outputs_ = classes[0] if len(classes) == 1 else classes, outputs
        self.regressor_, self.annotators_, self._link = regressor, regressor.annotators_, regressor.link
        self._unit_heads, self._unit_scale = regressor.link.heads(regressor), regressor._unit_scale
        return self.clear_selection()

    @property
    def heads_(self) -> np.ndarray:
        """Heads of the annotators, of logits or of scores, the bias last."""
        return self._link.split(self._unit_heads)[0].astype(np.float64)

    @property
    def thresholds_(self) -> Any:
        """Thresholds of the annotators, (n_annotators, n_classes - 1), of several outputs a list."""
        if not self._link.ordered:
            raise AttributeError("classes without an order have no thresholds: see ordered=True.")
        cuts = self._link.split(self._unit_heads)[1]
        found = [cuts[:, output, : size - 1] for output, size in enumerate(self._link.sizes)]
        return found[0] if len(found) == 1 else found

    def _check_X_y(self, X: Any, y: Any, annotators: Any) -> tuple[np.ndarray | Features, np.ndarray, Ratings]:
        """Return checked features, the class of each rating, (n_ratings, ...), and who gave it to which sample."""
        if isinstance(y, Ratings):
            if annotators is not None:
                raise ValueError("annotators must be None if y is Ratings, which know their annotators.")
            X = self._check_X(X, y, reset=True)
            check_labels_of(y, len(X))
            warn_if_undeclared(y)
            empty = np.zeros((y.n_ratings, y.n_outputs), dtype=np.float32)
            return X, labels_of(y), y.with_values(empty)
        X, y, outputs = self._check_arrays(X, y)
        lost = lost_ratings(np.asarray(y)) if annotators is None else None
        if lost is not None and lost.classes is None:
            raise ValueError(
                "y is an array that something between its Ratings and this classifier has made: of numbers, whose mean "
                "is no label. Ratings of classes have the plurality: make them with classes=True."
            )
        if lost is not None:
            warn_of_lost(lost, self)
        who = CONSENSUS if annotators is None else annotators
        empty = np.zeros(np.shape(y), dtype=np.float32)
        return X, np.asarray(y), Ratings.from_rows(empty, who, outputs=outputs)

    def _check_arrays(self, X: Any, y: Any) -> tuple[np.ndarray | Features, np.ndarray, list[str] | None]:
        """Return checked features, an array of one label of each output a sample, and names of several outputs."""
        check_array_like("X", X)
        objects = as_objects("y", refuse_masks("y", y))
        if objects.ndim == 2 and objects.shape[1] > 1:
            X = self._check_X(X, reset=True)
            check_consistent_length(X, objects)
            for column in objects.T:  # an array has a label everywhere
                check_classification_targets(check_labels("y", column))
            return X, objects, [str(name) for name in y.columns] if hasattr(y, "columns") else None
        if objects.ndim == 1 and (isinstance(y, (list, tuple)) or np.asarray(y).dtype.kind not in "biufc"):
            y = check_labels("y", y)  # validate_data lets None through, and numpy makes floats or strings of lists
        X, y = validate_features(self, X, y, dtype=np.float32, order="C")
        check_classification_targets(y)
        return X, y, None

    def _check_X(self, X: Any, y: Any = None, *, reset: bool = False) -> np.ndarray | Features:
        """Return checked features, of the same samples as `y` if that is Ratings."""
        if isinstance(y, Ratings):
            check_same_samples("X", X, y)
        return validate_features(self, X, dtype=np.float32, order="C", reset=reset)

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
        array, shape (n_samples,) or (n_samples, n_outputs)
            The most probable label; of an ordered class too, whichever errors are costly.
        """
        return self._labels(self._logits(X, annotator))

    def predict_proba(self, X: Any, annotator: Any = None) -> np.ndarray:
        """Predict how probable each label is.

        All parameters are those of :meth:`predict`, with the same defaults.

        Returns
        -------
        array, shape (n_samples, n_classes), or list of arrays
            In the order of `classes_`; of several outputs a list.
        """
        return self._probabilities(self._logits(X, annotator))

    def predict_proba_annotators(self, X: Any) -> np.ndarray:
        """Predict how probable each label is for every annotator.

        All parameters are those of :meth:`predict`, with the same defaults.

        Returns
        -------
        array, shape (n_samples, n_annotators, n_classes), or list of arrays
        """
        check_is_fitted(self)
        return self._probabilities(self._logits_annotators(self._check_X(X)))

    def predict_logits(self, X: Any, annotator: Any = None) -> np.ndarray:
        """Return the logits of one annotator.

        All parameters are those of :meth:`predict`, with the same defaults.

        Returns
        -------
        array, shape (n_samples, n_classes), or list of arrays
            Of ordered classes the logarithms of the probabilities.
        """
        logits = self._logits(X, annotator)
        return self._by_output([logits[:, part] for _, part in self._each_output()])

    def _logits(self, X: Any, annotator: Any) -> np.ndarray:
        """Return the logits of one annotator, the classes of all outputs side by side."""
        check_is_fitted(self)
        X = self._check_X(X)
        return self._apply(X, self._head_of(annotator))

    def _person(self, annotator: Any, head: np.ndarray) -> PersonClassifier:
        person = PersonClassifier()._take(self, self.regressor_, annotator, head)
        person.classes_, person._link = self.classes_, self._link
        if hasattr(self, "feature_names_in_"):  # the regressor has been given an array
            person.feature_names_in_ = self.feature_names_in_
        return person

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, of several outputs the mean of their accuracies.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels by annotators: the mean over annotators of each one's accuracy; who is not known is predicted as
            `predict` does without an annotator. An array: the accuracy of ``predict(X)``.
        sample_weight : array-like, shape (n_samples,), default=None
            Weight of each sample; for arrays only.

        Returns
        -------
        float
        """
        if not isinstance(y, Ratings):
            return self._accuracy(y, self.predict(X), sample_weight)
        if sample_weight is not None:
            raise ValueError("sample_weight cannot be used with Ratings: each annotator counts alike.")
        check_is_fitted(self)
        X = self._check_X(X, y)
        y = check_labels_of(y, len(X), self.outputs_)
        known = find_labels(y.annotators, self.annotators_)[y.codes]
        weights, cuts = self._link.split(np.concatenate([self._unit_heads, self._default_head()[0][None]]))
        predicted = predict_rated(self.regressor_.iter_hidden(X), weights.astype(np.float32), y, known)
        logits = self._link.logits(predicted, cuts[known])  # -1 is the last head
        found = []
        for (given, labels), (classes, part) in zip(columns_of(labels_of(y)), self._each_output(), strict=True):
            if (labels.dtype.kind in "UO") != (classes.dtype.kind in "UO"):
                raise ValueError(
                    f"y must have labels like those that were fitted, {classes[:3].tolist()}, got "
                    f"{labels[:3].tolist()}. Strings are Ratings.from_long(..., classes=True)."
                )
            right, codes = classes[logits[given, part].argmax(axis=1)] == labels, y.codes[given]
            n = np.bincount(codes, minlength=y.n_annotators)
            found.append(np.mean(np.bincount(codes, right, y.n_annotators)[n > 0] / n[n > 0]))
        return float(np.mean(found))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "regressor_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

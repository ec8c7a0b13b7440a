"""One person's model: the network without its heads, and the one head that is theirs; nothing of anybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._features import validate_features
from sklearn_annoser.estimators._class_link import PredictsClasses, apply_weights
from sklearn_annoser.estimators._unit_scale import UnitScale
from sklearn_annoser.metrics import ccc_score
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.ratings._outputs import match_outputs

__all__ = ["PersonClassifier", "PersonRegressor", "predict_head"]


def predict_head(
    blocks: Iterable[tuple[slice, np.ndarray]],
    head: np.ndarray,
    on_scale: Callable[[np.ndarray], np.ndarray],
    ndim: int,
) -> Any:
    """Return what one head predicts on hidden features, brought to the ratings' scale; 1-D if `ndim` is 1."""
    found = [np.einsum("noh,oh->no", hidden, head[:, :-1]) + head[:, -1] for _, hidden in blocks]
    predicted = on_scale(np.concatenate(found))
    return predicted[:, 0] if ndim == 1 else predicted


class Person(BaseEstimator):
    """A model of one person, which stays as it is: `fit` changes nothing, and a clone is the model itself."""

    _net: Any
    _head: np.ndarray
    annotator_: Any
    outputs_: tuple[str, ...]

    def _take(self, model: Any, source: Any, annotator: Any, head: np.ndarray) -> Self:
        """Take one person's head over from a model, and from a regressor what it is a head of."""
        self._net, self._head = source.net_.without_heads(), head.copy()
        self.annotator_, self.outputs_ = annotator, tuple(model.outputs_)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(source, name):
                setattr(self, name, getattr(source, name))
        return self

    def fit(self, X: Any, y: Any = None) -> Self:
        """Do nothing: the model is fitted.

        Parameters
        ----------
        X : ignored
            Not used, present for API consistency.
        y : ignored, default=None
            Not used either.

        Returns
        -------
        self
        """
        check_is_fitted(self)
        return self

    def _hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Check X, and walk over what the head sees of it."""
        check_is_fitted(self)
        return self._net.hidden_blocks(validate_features(self, X, dtype=np.float32, order="C", reset=False))

    def _own_ratings(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Return samples and what the person gave them, if y is Ratings, which scikit-learn would average."""
        if not isinstance(y, Ratings):
            return X, y
        rows, values = match_outputs(y, self.outputs_).of(self.annotator_)
        return X.iloc[rows] if hasattr(X, "iloc") else np.asarray(X)[rows], values

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_head")


class PersonRegressor(RegressorMixin, Person):
    """Predict as one person rates: what ``mapper.of(annotator)`` returns.

    It has the network once, and one head: no ratings, and nothing of other annotators. `fit` changes nothing, and a
    clone is the model itself.

    Attributes
    ----------
    annotator_ : label or None
        Who it is; None for the one who was selected without a name, or for the mean of all heads.
    head_ : array, shape (n_outputs, n_hidden + 1)
        Their head, on the scale of the ratings, the bias last.
    outputs_ : tuple of str
        Names of the outputs.
    n_features_in_, feature_names_in_ : int, and array of str
        Number of features, and their names if there are any.

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
    >>> from sklearn_annoser.datasets import make_corpora
    >>> source, target = make_corpora(n_samples=300, n_annotators=10, random_state=0)
    >>> model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
    >>> mapper = AnnotatorMapper(model.fit(source.X, source.ratings), random_state=0)
    >>> person = mapper.fit(target.X[:100], target.ratings[:100]).of("target_000")
    >>> person.predict(target.X).shape
    (300, 2)
    """

    _unit_scale: UnitScale
    _ndim: int
    _limits: np.ndarray | None  # (n_outputs, 2), within which predictions are kept

    @property
    def head_(self) -> np.ndarray:
        """The head, on the scale of the ratings, the bias last."""
        return self._unit_scale.heads_from_unit(self._head[None])[0]

    def predict(self, X: Any) -> np.ndarray:
        """Predict the person's ratings.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_outputs)
            As the model predicts that it was taken from.
        """
        return predict_head(self._hidden(X), self._head, self._on_scale, self._ndim)

    def _on_scale(self, predicted: np.ndarray) -> np.ndarray:
        """Return predictions on the scale of the ratings, and within it if they were to be."""
        predicted = self._unit_scale.from_unit(predicted)
        return predicted if self._limits is None else np.clip(predicted, *self._limits.T)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the concordance of predictions and ratings (CCC, not R²).

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            The person's ratings; of Ratings those of `annotator_`.
        sample_weight : array-like, shape (n_samples,), default=None
            Weight of each sample; for arrays only.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        X, y = self._own_ratings(X, y)
        return float(ccc_score(y, self.predict(X), sample_weight=sample_weight))

    def to_module(self) -> Any:
        """Return a torch module that predicts as this does, for ``torch.onnx.export``.

        Returns
        -------
        torch.nn.Module
            From features, (n_samples, n_features), to ratings, (n_samples, n_outputs), both float32.
        """
        from sklearn_annoser.network._person_module import PersonModule

        check_is_fitted(self)
        return PersonModule(self._net.module_, self.head_, self._limits)


class PersonClassifier(ClassifierMixin, PredictsClasses, Person):
    """Label as one person does: what :meth:`AnnotatorMappedClassifier.of` returns.

    It has the network once, and one head: no labels, and nothing of other annotators. `fit` changes nothing, and a
    clone is the model itself.

    Attributes
    ----------
    annotator_ : label or None
        Who it is; None for the one who was selected without a name, or for the mean of all heads.
    classes_ : array, shape (n_classes,), or list of arrays
        The labels, sorted or in their order; of several outputs a list.
    outputs_ : tuple of str
        Names of the outputs.
    n_features_in_, feature_names_in_ : int, and array of str
        Number of features, and their names if there are any.
    """

    def predict(self, X: Any) -> np.ndarray:
        """Predict the person's labels.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.

        Returns
        -------
        array, shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._labels(self._logits(X))

    def predict_proba(self, X: Any) -> Any:
        """Predict how probable each label is.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.

        Returns
        -------
        array, shape (n_samples, n_classes), or list of arrays
            In the order of `classes_`; of several outputs a list.
        """
        return self._probabilities(self._logits(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, of several outputs the mean of their accuracies.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            The person's labels, all of them; of Ratings those of `annotator_`.
        sample_weight : array-like, shape (n_samples,), default=None
            Weight of each sample; for arrays only.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        X, y = self._own_ratings(X, y)
        return self._accuracy(y, self.predict(X), sample_weight)

    def to_module(self) -> Any:
        """Return a torch module that predicts the probabilities, for ``torch.onnx.export``.

        Returns
        -------
        torch.nn.Module
            From features, (n_samples, n_features), to probabilities, (n_samples, n_classes), both float32; of several
            outputs a tuple.
        """
        from sklearn_annoser.network._person_module import PersonLabelsModule

        check_is_fitted(self)
        weights, cuts = self._link.split(self._head)
        return PersonLabelsModule(self._net.module_, weights, self._link.sizes, cuts)

    def _logits(self, X: Any) -> np.ndarray:
        """Return the logits, the classes of all outputs side by side."""
        blocks = self._hidden(X)
        weights, cuts = self._link.split(self._head)
        return self._link.logits(apply_weights(blocks, weights), cuts)

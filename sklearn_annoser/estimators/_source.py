"""The source of a mapping: a fitted regressor, alone or behind the steps of a pipeline."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._features import Features, select_rows


def split_source(estimator: Any) -> tuple[Pipeline | None, Any]:
    """Return the steps before a fitted source regressor, None without any, and the regressor."""
    estimator = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
    steps = estimator[:-1] if isinstance(estimator, Pipeline) and len(estimator) > 1 else None
    regressor = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not hasattr(regressor, "iter_hidden"):
        raise TypeError(
            f"estimator must be an AnnotatorMappedRegressor, or a Pipeline that ends in one, got "
            f"{type(regressor).__name__}."
        )
    message = (
        "estimator is not fitted: fit it on the source corpus first. Inside cross-validation wrap it in "
        "sklearn.frozen.FrozenEstimator, else its fit is lost when scikit-learn clones it."
    )
    check_is_fitted(regressor, msg=message)
    return steps, regressor


def take_rows(X: Any, rows: np.ndarray, *, lazily: bool = False) -> Any:
    """Return some samples of whatever a pipeline may take: a frame, an array, a sparse matrix, a list."""
    if isinstance(X, Features) or (lazily and type(X) in (np.ndarray, np.memmap)):
        return select_rows(X, rows)
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if isinstance(X, (list, tuple)):
        return [X[row] for row in rows]
    return X[rows] if hasattr(X, "shape") else np.asarray(X)[rows]


def with_frozen_steps(steps: Pipeline | None, regressor: Any, name: str = "annotatormappedregressor") -> Any:
    """Return a pipeline of copies of fitted steps, which no fit changes, and a regressor; without steps, that alone."""
    if steps is None:
        return regressor
    # Frozen: the trunk has learned features as these steps make them, and the source's own must not be changed.
    frozen = [(each, step if step == "passthrough" else _frozen_copy(step)) for each, step in steps.steps]
    return Pipeline([*frozen, (name, regressor)])


def _frozen_copy(step: Any) -> FrozenEstimator:
    """Return a copy of a fitted step that no fit changes."""
    return FrozenEstimator(copy.deepcopy(step.estimator if isinstance(step, FrozenEstimator) else step))

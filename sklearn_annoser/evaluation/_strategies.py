"""Strategies: ways to predict a new annotator that are compared, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn_annoser.evaluation._remembered import Remembered

__all__ = ["FINE_TUNED", "STRATEGIES"]

# Name in the table -> who predicts, and how it is mapped.
STRATEGIES: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("source", {"strategy": "random"}),
    "aggregate": ("aggregate", {"strategy": "all"}),
    "aggregate, calibrated": ("aggregate", {"strategy": "all", "calibration": "affine"}),
    "all heads": ("source", {"strategy": "all"}),
    "mapped": ("source", {"strategy": "joint"}),
    "mapped, calibrated": ("source", {"strategy": "joint", "calibration": "affine"}),
    "blended": ("source", {"strategy": "blend", "calibration": "affine"}),
    "oracle": ("source", {"strategy": "joint"}),
}
# Trained on in each fold of the target: on its consensus, or from where the mapping begins.
FINE_TUNED: dict[str, tuple[str, dict[str, Any]]] = {
    "aggregate, fine-tuned": ("aggregate", {"strategy": "all", "fine_tune": True}),
    "mapped, fine-tuned": ("source", {"strategy": "joint", "fine_tune": True}),
}
# Of the mapper: what is not compared is not computed, and everybody gets a prediction.
PREDICT_ONLY: dict[str, Any] = {"n_bootstrap": 0, "n_folds": 0, "min_ratings": 1, "on_unknown": "consensus"}


def choose_strategies(
    strategies: Mapping[str, tuple[str, dict[str, Any]]] | None, source: Any, aggregate: Any, X: Any
) -> dict[str, tuple[Remembered, dict[str, Any]]]:
    """Return by name who predicts the samples of X, and how it is mapped; without an aggregate those that need none."""
    estimators = {"source": source} | ({} if aggregate is None else {"aggregate": aggregate})
    known = {who: Remembered(estimator, X) for who, estimator in estimators.items()}
    asked = STRATEGIES if strategies is None else strategies
    return {name: (known[who], parameters) for name, (who, parameters) in asked.items() if who in known}

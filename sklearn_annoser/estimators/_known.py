"""Knowing annotators: one linear head for each, and which of them serves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sklearn_annoser._state import plain, restored
from sklearn_annoser._validation import as_objects, check_known, check_option
from sklearn_annoser.estimators._unit_scale import UnitScale

ON_UNKNOWN = ("warn", "raise", "consensus")


class KnowsAnnotators(BaseEstimator):
    """An estimator that has a linear head for each annotator that it knows."""

    annotators_: np.ndarray  # (n_annotators,)
    _unit_heads: np.ndarray  # (n_annotators, n_outputs, n_hidden + 1), of the scale on which the network works
    _unit_scale: UnitScale
    on_unknown: str
    random_state: Any

    @property
    def heads_(self) -> np.ndarray:
        """Heads of the annotators, on the scale of the ratings, the bias last."""
        return self._unit_scale.heads_from_unit(self._unit_heads)

    def _default_head(self) -> tuple[np.ndarray, bool]:
        """Return the head that serves where no annotator is named, and whether a user chose it."""
        raise TypeError(f"{type(self).__name__} must have _default_head.")

    def _head_of(self, annotator: Any) -> np.ndarray:
        """Return the head of one annotator, (n_outputs, n_hidden + 1); of nobody, the one that serves by default."""
        if annotator is None:
            return self._default_head()[0]
        if as_objects("annotator", annotator).ndim:
            raise ValueError(f"annotator must be a single label, got {annotator!r}. predict_annotators takes several.")
        return self._unit_heads[check_known("annotator", [annotator], self.annotators_, "the fitted annotators")[0]]

    def _heads_of(self, annotators: Any) -> np.ndarray:
        """Return the heads of some annotators, or all."""
        if annotators is None:
            return self._unit_heads
        if as_objects("annotators", annotators).ndim == 0:
            raise ValueError(f"annotators must be a sequence of labels, got {annotators!r}.")
        return self._unit_heads[check_known("annotator", annotators, self.annotators_, "the fitted annotators")]

    def _report(self, message: str, *, mend: str, instead: str) -> None:
        """Raise, or warn of what is done instead, or say nothing, as `on_unknown` has it."""
        if check_option("on_unknown", self.on_unknown, ON_UNKNOWN) == "raise":
            raise ValueError(f"{message} {mend}")
        if self.on_unknown == "warn":
            warnings.warn(f"{message} {instead}", stacklevel=4)

    def __getstate__(self) -> dict[str, Any]:
        return plain(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(restored(state))

    def _rng(self) -> np.random.RandomState:
        """Return the random numbers that `random_state` stands for."""
        try:
            return check_random_state(self.random_state)
        except ValueError as error:
            raise ValueError(
                f"random_state must be None, an integer or a RandomState, got {self.random_state!r}."
            ) from error


class ServesOneAnnotator(KnowsAnnotators):
    """One that can be made to predict as a new annotator would, one at a time."""

    selected_annotator_: Any
    selection_: pd.DataFrame
    _selected_head: np.ndarray | None

    def clear_selection(self) -> Any:
        """Forget the selected annotator; `predict` predicts with the mean of all heads again.

        Returns
        -------
        self
        """
        self.selected_annotator_ = self._selected_head = None
        for name in ("selection_", "confidence_", "expected_score_"):
            if hasattr(self, name):
                delattr(self, name)
        return self

    def _select(self, annotator: Any, head: np.ndarray, table: pd.DataFrame) -> Any:
        """Let a head serve, remember of whom it is and how all of them score, and return whom."""
        self.selected_annotator_, self._selected_head = annotator, head
        self.selection_ = table.sort_values("score", ascending=False, kind="stable")
        return annotator

    def _default_head(self) -> tuple[np.ndarray, bool]:
        if self._selected_head is not None:
            return self._selected_head, True
        return self._mean_head(), False

    def _mean_head(self) -> np.ndarray:
        """Return the mean of all heads."""
        return self._unit_heads.mean(axis=0, dtype=np.float64).astype(self._unit_heads.dtype)

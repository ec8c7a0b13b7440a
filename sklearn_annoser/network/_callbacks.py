"""Which callbacks of skorch can work on ratings; the others are refused before the training."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    InputShapeSetter,
)


def check_callbacks(callbacks: list[tuple[str, Any]], *, sparse: bool, validated: bool) -> None:
    """Raise if one cannot work on ratings, or waits for a validation loss that is not there."""
    for name, callback in callbacks:
        what = f"the callback {name} ({type(callback).__name__})"
        if isinstance(callback, GradientNormClipping) and sparse:
            raise ValueError(
                f"{what} cannot clip the sparse gradients of the heads. MultiHeadNet(max_grad_norm=...) does, and any "
                "optimizer but LazySGD gets dense ones."
            )
        if isinstance(callback, InputShapeSetter):
            raise ValueError(f"{what} is not needed: fit tells the module all sizes of the data. Leave it out.")
        if isinstance(callback, BatchScoring) and not callback.on_train:
            raise ValueError(f"{what} cannot score batches of the validation. EpochScoring scores all of it at once.")
        if isinstance(callback, (BatchScoring, EpochScoring)) and not _scores_ratings(callback.scoring):
            raise ValueError(
                f"{what} has scoring={callback.scoring!r}, which compares each sample with one prediction; here "
                "a sample has several ratings. Give a function of (net, dataset, y): y are all ratings, one after the "
                "other, and net.forward(dataset) predicts each."
            )
        if not validated and monitors_validation(callback):
            raise ValueError(
                f"{what} monitors {callback.monitor!r}, but no samples are set aside for validation. Let it monitor "
                "'train_loss', or set some aside: early_stopping=True, or train_split=ValidationSplit()."
            )


def check_kind(callbacks: Any) -> None:
    """Raise unless all are callbacks of skorch, classes or instances, or (name, callback)."""
    for item in callbacks if isinstance(callbacks, (list, tuple)) else []:
        callback = item[1] if isinstance(item, tuple) and len(item) == 2 else item
        if not (isinstance(callback, Callback) or (isinstance(callback, type) and issubclass(callback, Callback))):
            raise TypeError(
                f"callbacks must be a list of skorch callbacks, such as skorch.callbacks.Checkpoint(), or of (name, "
                f"callback); {item!r} is none."
            )


def check_something_learns(loss: Any, callbacks: list[tuple[str, Any]]) -> None:
    """Raise if the loss depends on no weight that is trained."""
    if loss.requires_grad:
        return
    patterns = [pattern for _, each in callbacks if isinstance(each, Freezer) for pattern in each.patterns]
    who = f"Freezer has frozen all that match {patterns}" if patterns else "all have requires_grad=False"
    raise ValueError(
        f"there is no weight left to train: {who}. Leave one of 'trunk*', 'towers*' and 'heads' to learn; "
        "to use the weights as they are, no fit is needed."
    )


def monitors_validation(callback: Any) -> bool:
    """Return whether a callback waits for a validation loss."""
    return str(getattr(callback, "monitor", None)).startswith("valid_loss")


def _scores_ratings(scoring: Any) -> bool:
    """Return whether a scoring is a function of its own, not a name or a scorer of scikit-learn."""
    return callable(scoring) and not hasattr(scoring, "_score_func")

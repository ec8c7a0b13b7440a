"""The declared scale of ratings: whether it is one, whether ratings lie within it, how they go to another one."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_annoser._validation import check_finite_values


def check_scale(scale: Any, n_outputs: int) -> np.ndarray | None:
    """Return a declared rating scale as a new (n_outputs, 2) array of lowest and highest rating, or None."""
    if scale is None:
        return None
    array = check_finite_values("scale", scale).astype(np.float64)
    if array.shape == (2,):
        array = np.tile(array, (n_outputs, 1))
    if array.shape != (n_outputs, 2):
        raise ValueError(
            f"scale must be (low, high), or one such pair for each of the {n_outputs} outputs, got {scale!r}."
        )
    if (array[:, 0] >= array[:, 1]).any():
        raise ValueError(f"scale must have low < high, got {scale!r}.")
    return array


def check_within(values: np.ndarray, scale: np.ndarray | None, outputs: tuple[str, ...]) -> None:
    """Raise if a rating lies outside the declared scale."""
    if scale is None:
        return
    scale = scale.astype(values.dtype)  # 0.1 as float32 is above 0.1 as float64
    outside = (values < scale[:, 0]) | (values > scale[:, 1])
    if outside.any():
        rating, output = np.argwhere(outside)[0]
        low, high = scale[output]
        raise ValueError(
            f"{int(outside.any(axis=1).sum())} of {len(values)} ratings lie outside the declared scale: "
            f"{outputs[output]!r} goes from {low:g} to {high:g}, got {values[rating, output]:g}."
        )


def rescale(values: np.ndarray, scale: np.ndarray | None, to: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return values mapped linearly from their declared scale to another one, and that one as an array."""
    if scale is None:
        raise ValueError("these ratings have no scale. Declare it when you make them, for example scale=(1, 7).")
    low, high = scale.T
    new = check_scale(to, len(scale))
    assert new is not None
    rescaled = (values - low) / (high - low) * (new[:, 1] - new[:, 0]) + new[:, 0]
    return np.clip(rescaled, *new.T).astype(values.dtype), new

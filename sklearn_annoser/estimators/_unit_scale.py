"""The scale on which a network works: how ratings get there, and heads come back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sklearn_annoser.ratings import Ratings

# How far beyond the end of a scale, in its widths: what rounding leaves, and what is too far.
TOLERANCE, A_QUARTER, A_HALF, ONE = 1e-6, 0.25, 0.5, 1.0
MANY, MOST = 0.2, 0.5  # shares of the ratings


@dataclass(frozen=True, slots=True)
class UnitScale:
    """A linear map of each output's ratings to -1 to 1."""

    centre: np.ndarray  # (n_outputs,)
    half: np.ndarray  # (n_outputs,) half the width
    bounds: np.ndarray  # (n_outputs, 2), the lowest and the highest rating, declared or seen
    is_declared: bool

    @classmethod
    def of(cls, ratings: Ratings, learned: Ratings | None = None) -> UnitScale:
        """Return the map of the scale that ratings declare, or of the range that those have which are learned."""
        rated = np.isfinite(ratings.values).any(axis=0)
        if not rated.all():
            never = [name for name, has in zip(ratings.outputs, rated, strict=True) if not has]
            raise ValueError(f"nobody rated {never}: leave these outputs out.")
        low, high = _bounds(ratings if learned is None else learned).T
        half = np.where(high > low, (high - low) / 2, 1.0)
        return cls((low + high) / 2, half, _bounds(ratings), ratings.scale is not None)

    @classmethod
    def identity(cls, n_outputs: int) -> UnitScale:
        """Return the map that leaves everything as it is, and that everything is on."""
        return cls(np.zeros(n_outputs), np.ones(n_outputs), np.tile([-np.inf, np.inf], (n_outputs, 1)), False)

    def check(self, ratings: Ratings) -> None:
        """Raise if ratings declare another scale, or cannot be on this one."""
        if ratings.scale is None or not self.is_declared:
            self.check_values(ratings.values, ratings.outputs)
        elif not np.array_equal(ratings.scale, self.bounds):
            raise ValueError(
                f"ratings are on the scale {ratings.scale.tolist()}, those of the training on "
                f"{self.bounds.tolist()}. Bring both to one with ratings.rescaled((low, high))."
            )

    def check_values(self, values: np.ndarray, outputs: Sequence[str]) -> None:
        """Raise if values, (n_ratings, n_outputs), cannot be on this scale; warn if some lie strangely far beside it.

        Beyond a scale that was declared there should be nothing: a little is a warning. A range that was only seen
        others may exceed a little; but not most of them, nor many of them by far.
        """
        for output, (low, high) in enumerate(self.bounds):
            given = values[np.isfinite(values[:, output]), output]
            if not len(given) or not np.isfinite(high - low):
                continue
            beyond = np.maximum(given - high, low - given) / ((high - low) or 1.0)
            share, farthest = np.mean(beyond > TOLERANCE), beyond.max()
            message = (
                f"ratings of {outputs[output]!r} go from {given.min():g} to {given.max():g}, those of the training go "
                f"from {low:g} to {high:g}"
            )
            if share > MOST or (self.is_declared and farthest > A_QUARTER) or (share > MANY and farthest > ONE):
                raise ValueError(
                    f"{message}: they are not on one scale. Bring them to it: Ratings that declare their scale have "
                    "ratings.rescaled((low, high))."
                )
            if farthest > (TOLERANCE if self.is_declared else A_HALF):
                warnings.warn(f"{message}: {share:.0%} of them lie outside.", stacklevel=4)

    def to_unit(self, ratings: Ratings) -> Ratings:
        """Return ratings as the network learns them and mapping compares them."""
        return ratings.with_values((ratings.values - self.centre) / self.half)

    def scores_from_unit(self, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return scores, (n_targets, n_heads, n_outputs): the CCC is the same on any scale, the error of one is not."""
        single = np.nonzero(counts == 1)
        if not len(single[0]):
            return scores  # they may be large
        scores = scores.copy()
        scores[single[0], :, single[1]] *= self.half.astype(scores.dtype)[single[1], None]
        return scores

    def from_unit(self, predicted: np.ndarray) -> np.ndarray:
        """Return predictions, (..., n_outputs), on the scale of the ratings, in float64: it may be far from zero."""
        scaled = predicted.astype(np.float64)
        scaled *= self.half
        scaled += self.centre
        return scaled

    def heads_to_unit(self, heads: np.ndarray) -> np.ndarray:
        """Return heads, (n_annotators, n_outputs, n_hidden + 1), that predict as the network does."""
        unit = heads / self.half[:, None]
        unit[:, :, -1] -= self.centre / self.half
        return unit.astype(np.float32)

    def heads_from_unit(self, heads: np.ndarray) -> np.ndarray:
        """Return heads of the network as heads that predict ratings, in float64."""
        scaled = heads.astype(np.float64) * self.half[:, None]
        scaled[:, :, -1] += self.centre
        return scaled

    def variance_heads_from_unit(self, heads: np.ndarray) -> np.ndarray:
        """Return heads of the logarithm of a variance, on the squared scale of the ratings."""
        scaled = heads.copy()
        scaled[:, :, -1] += 2 * np.log(self.half)
        return scaled

    def calibration_from_unit(self, slope: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return slope and offset, (n_targets, n_outputs), that do on the ratings' scale what these do here."""
        return slope, self.half * offset + (1 - slope) * self.centre


def _bounds(ratings: Ratings) -> np.ndarray:
    """Return the lowest and the highest rating of each output, (n_outputs, 2): as declared, or as they are."""
    if ratings.scale is not None:
        return ratings.scale
    return np.stack([np.nanmin(ratings.values, axis=0), np.nanmax(ratings.values, axis=0)], axis=1).astype(float)

"""The scale on which a network works: how ratings get there, and heads come back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklearn_annoser.ratings import Ratings


@dataclass(frozen=True, slots=True)
class UnitScale:
    """A linear map of each output's ratings to -1 to 1."""

    declared: np.ndarray | None  # (n_outputs, 2), the scale on which was rated, if it is known
    centre: np.ndarray  # (n_outputs,)
    half: np.ndarray  # (n_outputs,) half the width

    @classmethod
    def of(cls, ratings: Ratings) -> UnitScale:
        """Return the map of the scale that ratings declare, or of the range that they have."""
        rated = np.isfinite(ratings.values).any(axis=0)
        if not rated.all():
            never = [name for name, has in zip(ratings.outputs, rated, strict=True) if not has]
            raise ValueError(f"nobody rated {never}: leave these outputs out.")
        seen = np.stack([np.nanmin(ratings.values, axis=0), np.nanmax(ratings.values, axis=0)], axis=1).astype(float)
        low, high = (seen if ratings.scale is None else ratings.scale).T
        return cls(ratings.scale, (low + high) / 2, np.where(high > low, (high - low) / 2, 1.0))

    @classmethod
    def identity(cls, n_outputs: int) -> UnitScale:
        """Return the map that leaves everything as it is."""
        return cls(None, np.zeros(n_outputs), np.ones(n_outputs))

    def check(self, ratings: Ratings) -> None:
        """Raise if ratings declare another scale."""
        if ratings.scale is not None and self.declared is not None and not np.array_equal(ratings.scale, self.declared):
            raise ValueError(
                f"ratings are on the scale {ratings.scale.tolist()}, those of the training on "
                f"{self.declared.tolist()}. Bring both to one with ratings.rescaled((low, high))."
            )

    def to_unit(self, ratings: Ratings) -> Ratings:
        """Return ratings as the network learns them."""
        self.check(ratings)
        return ratings.with_values(((ratings.values - self.centre) / self.half).astype(np.float32))

    def heads_to_unit(self, heads: np.ndarray) -> np.ndarray:
        """Return heads, (n_annotators, n_outputs, n_hidden + 1), that predict as the network does."""
        unit = heads / self.half[:, None]
        unit[:, :, -1] -= self.centre / self.half
        return unit.astype(np.float32)

    def heads_from_unit(self, heads: np.ndarray) -> np.ndarray:
        """Return heads of the network as heads that predict ratings."""
        scaled = heads * self.half[:, None].astype(np.float32)
        scaled[:, :, -1] += self.centre
        return scaled

    def variance_heads_from_unit(self, heads: np.ndarray) -> np.ndarray:
        """Return heads of the logarithm of a variance, on the squared scale of the ratings."""
        scaled = heads.copy()
        scaled[:, :, -1] += 2 * np.log(self.half)
        return scaled

    def reach(self, predicted: np.ndarray) -> float:
        """Return how far predictions go, in halves of the scale from its centre."""
        return float(np.abs((predicted - self.centre) / self.half).max())

"""What a classifier's network says: logits of classes, or scores and the thresholds that cut them; of each output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_annoser._features import Features
from sklearn_annoser.estimators._regressor import AnnotatorMappedRegressor
from sklearn_annoser.estimators._unit_scale import UnitScale
from sklearn_annoser.mapping import ThresholdPrior, ordered_log_proba
from sklearn_annoser.ratings import Ratings


@dataclass(frozen=True, slots=True)
class ClassLink:
    """From what heads predict to logits, which stand in a column for each class of each output.

    A head is (n_towers, n_hidden + 1): a tower for each class; or, if classes are ordered, for each output, and then
    (n_outputs, n_hidden + n_classes) with the thresholds behind the bias, filled up with zeros if another output has
    more. Everything that is done with heads - weighted means above all - is done with thresholds too.
    """

    sizes: tuple[int, ...]  # the number of classes of each output
    ordered: bool

    def slices(self) -> Iterator[slice]:
        """Walk over the columns of each output."""
        ends = np.cumsum(self.sizes).tolist()
        return (slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True))

    def settings(self) -> dict[str, Any]:
        """Return what makes the net one of such classes."""
        from sklearn_annoser.network import CrossEntropy, OrderedModule

        found: dict[str, Any] = {"criterion": CrossEntropy}
        if len(self.sizes) > 1:
            found["criterion__n_classes"] = self.sizes
        if self.ordered:
            found |= {"module": OrderedModule, "module__n_classes": self.sizes}
        return found

    def heads(self, regressor: Any) -> np.ndarray:
        """Return the heads of a trained network, their thresholds with them."""
        heads: np.ndarray = regressor._unit_heads
        if not self.ordered:
            return heads
        cuts = np.zeros((*heads.shape[:2], max(self.sizes) - 1))
        for output, own in enumerate(regressor.net_.module_.stacked_thresholds()):
            cuts[:, output, : own.shape[1]] = own.cpu().numpy()[: len(heads)]
        return np.concatenate([heads, cuts], axis=2)

    def split(self, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and thresholds of heads (..., n_towers, n_columns)."""
        n_cuts = max(self.sizes) - 1 if self.ordered else 0
        return heads[..., : heads.shape[-1] - n_cuts], heads[..., heads.shape[-1] - n_cuts :]

    def logits(self, predicted: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        """Return logits, (..., n_columns), of what towers predict, (..., n_towers), and their thresholds."""
        if not self.ordered:
            return predicted
        blocks = [
            ordered_log_proba(predicted[..., output], cuts[..., output, : size - 1])
            for output, size in enumerate(self.sizes)
        ]
        return np.concatenate(blocks, axis=-1)

    def positions(self, shares: Ratings) -> Ratings:
        """Return the mean position of each rating's class, in the place of a column for each class."""
        blocks = [
            shares.values[:, part] @ np.arange(size) for part, size in zip(self.slices(), self.sizes, strict=True)
        ]
        return shares.with_outputs(np.stack(blocks, axis=1), [f"output {number}" for number in range(len(blocks))])

    def learn_priors(self, heads: np.ndarray, mean: np.ndarray) -> list[ThresholdPrior]:
        """Return how known thresholds differ; `mean` (n_outputs, n_hidden + 1) is that of the features."""
        weights, cuts = self.split(heads)
        levels = np.einsum("aoh,oh->ao", weights, mean)
        return [
            ThresholdPrior.learn(levels[:, output], cuts[:, output, : size - 1])
            for output, size in enumerate(self.sizes)
        ]


class ClassRegressor(AnnotatorMappedRegressor):
    """The regressor whose predictions are logits, or scores: its loss is the cross entropy, of shares as they are."""

    link: ClassLink

    def _scale_of(self, given: Ratings, learned: Ratings) -> UnitScale:
        # Scores of ordered classes have another number of columns than shares; a single one fits all.
        return UnitScale.identity(1 if self.link.ordered else learned.n_outputs)

    def _warn_if_blown_up(self, X: np.ndarray | Features) -> None:
        """Logits have no scale to leave."""

    def _make_net(self, **changes: Any) -> Any:
        return super()._make_net(**self.link.settings(), **changes)

    def _learn_prior(self, X: np.ndarray | Features, ratings: Ratings, valid: Sequence[np.ndarray] = ()) -> Any:
        return super()._learn_prior(X, self.link.positions(ratings) if self.link.ordered else ratings, valid)

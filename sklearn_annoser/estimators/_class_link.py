"""What a classifier's network says: logits of classes, or scores and the thresholds that cut them; of each output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.metrics import accuracy_score

from sklearn_annoser._validation import as_columns, as_objects, check_sample_weight, refuse_masks
from sklearn_annoser.estimators._class_labels import in_order
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


class PredictsClasses:
    """A model whose heads say logits: from these to labels, and to probabilities."""

    classes_: Any
    outputs_: tuple[str, ...]
    _link: ClassLink

    @property
    def _classes(self) -> list[np.ndarray]:
        """The classes of each output."""
        return self.classes_ if isinstance(self.classes_, list) else [self.classes_]

    def _each_output(self) -> zip[tuple[np.ndarray, slice]]:
        """Walk over the classes and the columns of each output."""
        return zip(self._classes, self._link.slices(), strict=True)

    @staticmethod
    def _by_output(found: list[np.ndarray]) -> Any:
        """Return what there is for each output: a list, if there are several."""
        return found[0] if len(found) == 1 else found

    def _labels(self, logits: np.ndarray) -> np.ndarray:
        """Return the most probable labels, (n_samples,) or (n_samples, n_outputs)."""
        columns = [own[logits[:, part].argmax(axis=1)] for own, part in self._each_output()]
        if len(columns) == 1:
            return columns[0]
        mixed = len({own.dtype.kind for own in columns}) > 1  # numpy would make strings of numbers
        return np.stack([own.astype(object) if mixed else own for own in columns], axis=1)

    def _probabilities(self, logits: np.ndarray) -> Any:
        """Return how probable the labels are, of several outputs a list; the classes are the last axis."""
        return self._by_output([softmax(logits[..., part], axis=-1) for _, part in self._each_output()])

    def _accuracy(self, y: Any, predicted: np.ndarray, sample_weight: Any) -> float:
        """Return the accuracy of predictions of the labels of an array."""
        refuse_masks("y", y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(np.asarray(y)))
        if predicted.ndim == 1:
            return float(accuracy_score(y, predicted, sample_weight=sample_weight))
        truth = as_columns(as_objects("y", in_order(y, self.outputs_)))
        if truth.shape != predicted.shape:
            raise ValueError(f"y must have shape {predicted.shape}, got {truth.shape}.")
        return float(np.average((truth == predicted).mean(axis=1), weights=sample_weight))


def apply_weights(blocks: Iterable[tuple[slice, np.ndarray]], weights: np.ndarray) -> np.ndarray:
    """Return what weights, (n_towers, n_hidden + 1), predict on hidden features."""
    found = [np.einsum("nkh,kh->nk", hidden, weights[:, :-1]) for _, hidden in blocks]
    return np.concatenate(found).astype(np.float64) + weights[:, -1]

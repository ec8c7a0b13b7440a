"""Completing a table of ratings: what is missing where others have rated, and which ratings would tell most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._validation import check_number, find_labels
from sklearn_annoser.estimators._predictor import AnnotatorPredictor
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.mapping import (
    Items,
    Mapping,
    Persons,
    Telling,
    complete_block,
    expected_ratings,
    item_effects,
    predict_rated,
    rating_deviations,
)
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.ratings._samples import check_same_samples

__all__ = ["CompletesRatings", "Completion"]

BLOCK_CELLS = 2**19  # that are predicted at once


@dataclass(frozen=True, slots=True)
class Completion:
    """Ratings of all samples by all enrolled annotators, those that were given and those that are expected.

    Parameters
    ----------
    ratings : Ratings
        A rating of each sample by each annotator.
    low, high : Ratings
        Bounds of the interval that holds it with the probability asked for; the rating itself where it was given.
    """

    ratings: Ratings
    low: Ratings
    high: Ratings


class CompletesRatings(AnnotatorPredictor):
    """A mapper that fills in the ratings which enrolled annotators have not given, where others have."""

    estimator: Any
    mapping_: pd.DataFrame
    _persons: Persons

    def _look_at_persons(self, mapping: Mapping) -> None:
        """Keep what is known of enrolled annotators beside their heads."""
        slope = mapping.slope.copy()
        if "trusted" in self.mapping_:
            slope[~self.mapping_["trusted"].to_numpy()] = 1.0  # another head serves them, as it is
        self._persons = Persons.of(mapping, self._unit_heads, slope)

    def complete(self, X: Any, y: Ratings, *, level: float = 0.8) -> Completion:
        r"""Predict the ratings that enrolled annotators have not given, also from those that others gave.

        What somebody would give an item is what is expected of them, as :meth:`predict` has it, plus an effect of the
        item, which the residuals of all ratings of this item tell: their sum over :math:`n + \rho`, with the ratio
        :math:`\rho` of the variances of noise and of items, see :func:`~sklearn_annoser.mapping.item_effects`. With
        ``calibration="affine"`` that is spread as the annotator's ratings are. Where nobody has rated, it is what
        :meth:`predict_annotators` returns.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings
            All that is known of ratings of these samples: by enrolled annotators, by those whom the source regressor
            knows, and by others, of whom the mean of the enrolled ones is expected, as `on_unknown` has it.
        level : float, default=0.8
            Probability that an interval holds the rating.

        Returns
        -------
        Completion
            `ratings`, `low` and `high`: Ratings of all samples by all of `annotators_`. Ratings that were given are as
            they were, the others within the scale that `y` declares. An interval is around the rating expected before
            the calibration, which is nearer to the annotator's mean.

        Raises
        ------
        NotFittedError
            `fit` has not been called.
        TypeError
            `y` is no Ratings.
        ValueError
            `X` and `y` differ in length, `y` has other outputs or another scale, somebody is not trusted, or unknown
            and ``on_unknown="raise"``.

        Examples
        --------
        >>> from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
        >>> from sklearn_annoser.datasets import make_corpora
        >>> source, target = make_corpora(n_samples=300, n_annotators=10, random_state=0)
        >>> model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
        >>> model = model.fit(source.X, source.ratings)
        >>> mapper = AnnotatorMapper(model, strategy="blend", calibration="affine", random_state=0)
        >>> mapper = mapper.fit(target.X[:100], target.ratings[:100])
        >>> done = mapper.complete(target.X, target.ratings)
        >>> done.ratings.n_ratings == 300 * len(mapper.annotators_)
        True
        """
        check_number("level", level, low=0, high=1)
        y, unit = self._check_all_ratings(X, y)
        items = self._items(X, unit)
        shape = (len(y), len(self.annotators_), len(self.outputs_))
        cells = np.empty((3, *shape))  # ratings, low, high
        width = norm.ppf((1 + level) / 2)
        for rows, hidden in self._iter_hidden(X):
            for part in _parts(len(hidden), shape[1] * shape[2]):
                block = slice(rows.start + part.start, rows.start + part.stop)
                completed, expected, variance = complete_block(
                    hidden[part], self._unit_heads, self._persons, items, block
                )
                reach = width * np.sqrt(variance)
                low, high = np.minimum(expected - reach, completed), np.maximum(expected + reach, completed)
                cells[:, block] = self._unit_scale.from_unit(np.stack([completed, low, high]))
        if y.scale is not None:
            np.clip(cells, y.scale[:, 0], y.scale[:, 1], out=cells)
        given, own = self._enrolled(y)
        where = slice(None), y.rows[given], own
        cells[where] = np.where(np.isfinite(y.values[given]), y.values[given], cells[where])
        names: dict[str, Any] = {
            "annotators": self.annotators_,
            "outputs": self.outputs_,
            "samples": y.samples,
            "scale": y.scale,
        }
        return Completion(*(Ratings.from_dense(each, **names) for each in cells))

    def suggest_ratings(self, X: Any, y: Ratings, n: int = 20) -> pd.DataFrame:
        """Name the ratings that would tell most of all those that are missing.

        A rating tells of its item, and thereby of what others would give it: most where few have rated and many have
        not. And it tells of its annotator, and thereby of what they would give other items: most where they have
        enrolled with few ratings. Both are variances, see :class:`~sklearn_annoser.mapping.Telling`; each next rating
        is the best one once those before it are there.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        y : Ratings
            All that is known of ratings of these samples, as for :meth:`complete`. What of them `fit` was not given
            tells of items only.
        n : int, default=20
            How many to name.

        Returns
        -------
        DataFrame
            One row for each, the best first: `annotator`, one of `annotators_`; `sample`, its label in `y`, or its
            position if there are no labels; `gain`, the variance that it takes from all other missing ratings, in
            units of the variance of an annotator's ratings, summed over the outputs.

        Raises
        ------
        NotFittedError
            `fit` has not been called.
        TypeError
            `y` is no Ratings.
        ValueError
            As for :meth:`complete`; or fewer than `n` ratings are missing.

        Examples
        --------
        >>> from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
        >>> from sklearn_annoser.datasets import make_corpora
        >>> source, target = make_corpora(n_samples=300, n_annotators=10, random_state=0)
        >>> model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
        >>> mapper = AnnotatorMapper(model.fit(source.X, source.ratings), strategy="blend", random_state=0)
        >>> mapper = mapper.fit(target.X[:100], target.ratings[:100])
        >>> asked = mapper.suggest_ratings(target.X, target.ratings, 5)
        >>> asked.columns.tolist(), len(asked)
        (['annotator', 'sample', 'gain'], 5)
        """
        check_number("n", n, low=1, integer=True)
        y, unit = self._check_all_ratings(X, y)
        given, own = self._enrolled(y)
        is_rated = np.zeros((len(self.annotators_), len(y), len(self.outputs_)), dtype=bool)
        is_rated[own, y.rows[given]] = np.isfinite(y.values[given])
        n_open = int((~is_rated.any(axis=2)).sum())
        if n > n_open:
            raise ValueError(f"n must be at most the number of ratings that are missing, {n_open}, got {n}.")
        features = np.concatenate([self._persons.features(hidden) for _, hidden in self._iter_hidden(X)])
        variance = split_source(self.estimator)[1].prior_.variance
        telling = Telling(features, self._persons, self._items(X, unit), is_rated, variance)
        persons, rows, gains = telling.choose(n)
        samples = np.arange(len(y)) if y.samples is None else y.samples
        return pd.DataFrame({"annotator": self.annotators_[persons], "sample": samples[rows], "gain": gains})

    def _enrolled(self, y: Ratings) -> tuple[np.ndarray, np.ndarray]:
        """Return which ratings are by enrolled annotators, (n_ratings,), and the heads of these."""
        own = find_labels(y.annotators, self.annotators_)[y.codes]
        return own >= 0, own[own >= 0]

    def _check_all_ratings(self, X: Any, y: Any) -> tuple[Ratings, Ratings]:
        """Return ratings of X in the order of the outputs, as they are and on the network's scale."""
        check_is_fitted(self)
        if not isinstance(y, Ratings):
            raise TypeError(f"y must be Ratings, got {type(y).__name__}.")
        check_same_samples("X", X, y)
        check_consistent_length(X, y)
        silent = self.annotators_[~np.isfinite(self._unit_heads).all(axis=(1, 2))]
        if len(silent):
            raise ValueError(
                f"{len(silent)} annotators are not trusted, for example {silent[:3].tolist()}, and get no prediction. "
                'Use fallback="consensus".'
            )
        y = self.check_ratings(y)
        return y, self._unit_scale.to_unit(y)

    def _items(self, X: Any, unit: Ratings) -> list[Items]:
        """Return what all ratings, on the network's scale, tell of the items."""
        _, source = split_source(self.estimator)
        new = find_labels(unit.annotators, self.annotators_)
        known = np.where(new < 0, find_labels(unit.annotators, source.annotators_), -1)
        self._report_strangers(unit.annotators[np.setdiff1d(unit.codes, np.flatnonzero((new >= 0) | (known >= 0)))])
        heads = np.concatenate([self._unit_heads, self._default_head()[0][None]])
        expected = predict_rated(self._iter_hidden(X), heads, unit, new[unit.codes])  # -1 is the last
        is_known, is_new = ((places >= 0)[unit.codes] for places in (known, new))
        if is_known.any():  # whose heads are for the source's own features
            by_known, blocks = unit.keep_ratings(is_known), self._iter_source_hidden(X)
            expected[is_known] = predict_rated(blocks, source._unit_heads, by_known, known[by_known.codes])
        expected[is_new] = self._persons.expected(expected[is_new], new[unit.codes[is_new]])
        expected[~is_new] = expected_ratings(unit.keep_ratings(~is_new), expected[~is_new], source.prior_)
        prior = source.prior_
        deviation = rating_deviations(unit, prior) / np.sqrt(prior.variance)
        deviation[new >= 0] = self._persons.deviation[new[new >= 0]]
        return item_effects(unit, unit.values - expected, deviation, prior)

    def _report_strangers(self, strangers: np.ndarray) -> None:
        """Warn or raise if somebody who rated is neither enrolled nor known."""
        if len(strangers):
            self._report(
                f"{len(strangers)} annotators are neither enrolled nor known, for example {strangers[:3].tolist()}.",
                mend='on_unknown="consensus" expects of them what is expected of the enrolled ones in the mean.',
                instead="What is expected of the enrolled ones in the mean is expected of them.",
            )

    def _iter_source_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over the hidden features that the known annotators' heads are for."""
        steps, source = split_source(self.estimator)
        yield from source.iter_hidden(X if steps is None else steps.transform(X))


def _parts(n_samples: int, n_cells: int) -> Iterator[slice]:
    """Cut a block of samples into smaller ones with a bounded number of cells."""
    step = max(1, BLOCK_CELLS // max(n_cells, 1))
    for start in range(0, n_samples, step):
        yield slice(start, min(start + step, n_samples))

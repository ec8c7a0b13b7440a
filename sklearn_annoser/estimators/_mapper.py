"""`AnnotatorMapper`: enrol all new annotators of a target corpus at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._features import Features, validate_features
from sklearn_annoser._validation import check_groups, check_number, check_option
from sklearn_annoser.estimators._completion import CompletesRatings
from sklearn_annoser.estimators._known import ON_UNKNOWN
from sklearn_annoser.estimators._mapping_table import forecast_columns, mapping_table
from sklearn_annoser.estimators._regressor import AnnotatorMappedRegressor
from sklearn_annoser.estimators._source import split_source, take_rows, with_frozen_steps
from sklearn_annoser.mapping import (
    CALIBRATIONS,
    STRATEGIES,
    Enroller,
    Forecast,
    Mapping,
    Prior,
    confidences,
    forecast_scores,
)
from sklearn_annoser.ratings import count_by_output

__all__ = ["AnnotatorMapper"]

BLOCK_ROWS = 4096
FALLBACKS = ("consensus", "nan")
FINE_TUNES = (None, "all")
ENOUGH_SAMPLES = 4096  # without a rating, to tell what the target corpus is like


class AnnotatorMapper(CompletesRatings):
    """Map every annotator of a target corpus to the known annotators of a fitted regressor.

    `fit` takes the enrollment ratings - a few of each new annotator - and gives each new annotator a head made of known
    ones. Nothing is trained unless `fine_tune` asks for it, and then in a copy. Inside cross-validation wrap the
    regressor in :class:`sklearn.frozen.FrozenEstimator`, so that it is not cloned back to unfitted. The paper behind it
    is https://arxiv.org/abs/2509.12295.

    Parameters
    ----------
    estimator : fitted AnnotatorMappedRegressor, a Pipeline that ends in one, or a FrozenEstimator of either
        Who knows the source annotators.
    strategy : {"joint", "separate", "top-n", "blend", "all", "random"}, default="joint"
        One annotator for all outputs, by the sum of the outputs' CCC (the paper's); the best for each output; the mean
        of the `n_heads` best; what all known heads and the ratings make one expect, which predicts best with
        ``calibration="affine"``; the mean of all; a uniform draw.
    n_heads : int, default=5
        How many heads "top-n" averages.
    calibration : {None, "affine"}, default=None
        Whether to move each one's predictions towards the mean and spread that their enrollment ratings, and those of
        the known annotators, make one expect.
    fine_tune : {None, "all"}, default=None
        What the enrollment ratings train on from there, before the calibration: nothing, or all weights of a copy of
        the source network, with all new annotators together. How long is cross-validated. It pays where they have
        given a few thousand ratings together.
    min_ratings : int, default=2
        Annotators with fewer enrollment ratings of every output are not mapped. With 1, a single rating picks the head
        of the smallest absolute error.
    n_bootstrap : int, default=100
        Resamples behind the confidence; 0 for none.
    n_folds : int, default=5
        Folds of the enrollment ratings behind the expected score, of which a blend needs none; 0 for no expected score.
    min_expected_score : float, default=None
        Annotators whose expected score, averaged over the outputs, is lower are not served by their mapping. None:
        everybody is.
    fallback : {"consensus", "nan"}, default="consensus"
        What they get instead: the mean of all heads, or NaN.
    on_unknown : {"warn", "raise", "consensus"}, default="warn"
        What to do about annotators with too few or equal enrollment ratings, and about annotators never enrolled: use
        the mean of all heads with a warning, raise an error, or use it silently.
    random_state : int, RandomState or None, default=None
        Seed of the resamples, of the "random" strategy and of the fine-tuning.
    clip : bool, default=False
        Whether what lies beyond the scale that the source's ratings declare is predicted as its end; the
        `clip` of `estimator` is for its own annotators only.

    Attributes
    ----------
    mapping_ : DataFrame, indexed by annotator
        `source` (who serves; `source_<output>` for "separate", a tuple for "top-n", None for "blend", "all" and where
        the mean of all heads has to serve), the chosen head's CCC on the enrollment ratings for each output as
        `ccc_<output>`, the CCC to expect on others as `expected_<output>` with the bounds of an 80 % interval,
        `low_<output>` and `high_<output>`, `confidence` (0.5 is luck, 1 is clear), `n_ratings`, what the calibration
        did, `slope_<output>` and `offset_<output>`, and with `min_expected_score` whether the mapping is `trusted`.
        Fine-tuning starts from that mapping; the calibration alone is of what came of it.
    scores_ : array of float32, shape (n_annotators, n_source_annotators, n_outputs), or None
        The score of every source head for every new annotator: the CCC, or minus the absolute error of one rating. None
        if the strategy does not choose by it ("blend", "all", "random").
    annotators_ : array, shape (n_annotators,)
        The new annotators.
    heads_ : array, shape (n_annotators, n_outputs, n_hidden + 1)
        Their heads, fine-tuned and calibrated.
    tuned_ : AnnotatorMappedRegressor or None
        The fine-tuned copy of the source that the heads belong to; None if its hidden features are the source's.
    outputs_ : tuple of str
        Names of the outputs.
    n_features_in_, feature_names_in_ : int, and array of str
        Number of features, and their names if `X` had string column names.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
    >>> from sklearn_annoser.datasets import make_corpora
    >>> source, target = make_corpora(n_samples=300, n_annotators=10, random_state=0)
    >>> model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
    >>> model = model.fit(source.X, source.ratings)
    >>> mapper = AnnotatorMapper(FrozenEstimator(model), calibration="affine", random_state=0)
    >>> mapper = mapper.fit(target.X[:100], target.ratings[:100])
    >>> mapper.predict(target.X[100:], annotator="target_000").shape
    (200, 2)
    """

    def __init__(
        self,
        estimator: Any,
        *,
        strategy: str = "joint",
        n_heads: int = 5,
        calibration: str | None = None,
        fine_tune: str | None = None,
        min_ratings: int = 2,
        n_bootstrap: int = 100,
        n_folds: int = 5,
        min_expected_score: float | None = None,
        fallback: str = "consensus",
        on_unknown: str = "warn",
        random_state: Any = None,
        clip: bool = False,
    ) -> None:
        self.estimator = estimator
        self.strategy = strategy
        self.n_heads = n_heads
        self.calibration = calibration
        self.fine_tune = fine_tune
        self.min_ratings = min_ratings
        self.n_bootstrap = n_bootstrap
        self.n_folds = n_folds
        self.min_expected_score = min_expected_score
        self.fallback = fallback
        self.on_unknown = on_unknown
        self.random_state = random_state
        self.clip = clip

    def fit(self, X: Any, y: Any, annotators: Any = None, groups: Any = None) -> AnnotatorMapper:
        """Enrol every annotator of `y`.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the enrollment samples. Samples without a rating are welcome: they tell "blend" and the
            calibration what the target corpus is like.
        y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
            Enrollment ratings; or one rating a sample, by `annotators`.
        annotators : array-like, shape (n_samples,), default=None
            Who gave each rating, if `y` is an array. None: all are by one annotator, "consensus".
        groups : array-like, shape (n_samples,), default=None
            Group (speaker) of each sample: fine-tuning is judged on groups that it has not seen.

        Returns
        -------
        self
        """
        self._check_parameters()
        steps, source = split_source(self.estimator)
        if not hasattr(source, "prior_"):
            raise TypeError(
                f"estimator must know a source corpus, got {type(source).__name__}: give the AnnotatorMappedRegressor "
                "behind it, or its to_regressor()."
            )
        self.outputs_ = tuple(source.outputs_)
        checked, ratings = self._check_X_y(X, y, annotators, skip_check_array=steps is not None)
        X = _as_source_takes_it(source, X, checked)
        if not ratings.n_ratings:
            raise ValueError("y has no ratings: there is nobody to enrol.")
        self._warn_if_lost(y, annotators, ratings)
        self._unit_scale = source._unit_scale
        self._check_clip()
        ratings = self.check_ratings(ratings)
        groups = check_groups(groups, ratings.n_samples)
        self.tuned_ = None
        is_rated = np.diff(ratings.indptr) > 0
        rated, unrated = np.flatnonzero(is_rated), np.flatnonzero(~is_rated)
        rng = self._rng()
        hidden, prior = self._look_at(X, rated, unrated)
        enroller = Enroller(source._unit_heads, prior, self.strategy, self.n_heads, min_ratings=self.min_ratings)
        mapping = start = enroller.enrol(hidden, self._unit_scale.to_unit(ratings)[rated], rng=rng, with_scores=False)
        if self.calibration is not None:
            mapping = start.calibrated()
        sure, forecast = confidences(start, n_bootstrap=self.n_bootstrap, rng=rng), None
        if self.n_folds:
            forecast = forecast_scores(mapping, n_folds=self.n_folds, rng=rng)
        if self.fine_tune is not None:
            mapping = self._fine_tuned(start, X, rated, groups, rng.randint(2**31 - 1))
            hidden, prior = self._look_at(X, rated, unrated)
            mapping = replace(mapping, hidden=hidden, enroller=replace(enroller, prior=prior))
            if self.calibration is not None:
                mapping = mapping.calibrated()
        self.annotators_, self._unit_heads = ratings.annotators, mapping.heads
        self.scores_ = None
        if mapping.enroller.rule.ranks:
            self.scores_ = self._unit_scale.scores_from_unit(mapping.scores, count_by_output(ratings))
        self._report_unmapped(mapping)
        slope, offset = self._unit_scale.calibration_from_unit(mapping.slope, mapping.offset)
        mapping = replace(mapping, slope=slope, offset=offset)
        self.mapping_ = mapping_table(mapping, self.outputs_, source.annotators_, sure)
        if forecast is not None:
            self._take_forecast(forecast, source._unit_heads)
        self._look_at_persons(mapping)
        return self

    def _look_at(self, X: Any, rated: np.ndarray, unrated: np.ndarray) -> tuple[np.ndarray, Prior]:
        """Return hidden features of the rated samples, and what is known of the corpus before anyone is enrolled."""
        hidden = _gathered(self._hidden_of_rows(X, rated), len(rated))
        some = unrated[np.linspace(0, len(unrated) - 1, min(len(unrated), ENOUGH_SAMPLES)).astype(int)]
        prior: Prior = split_source(self.estimator)[1].prior_
        return hidden, prior.with_samples(chain([hidden], self._hidden_of_rows(X, some)))

    def _fine_tuned(self, start: Mapping, X: Any, rated: np.ndarray, groups: Any, seed: int) -> Mapping:
        """Train a copy of the source on from a mapping, and keep it."""
        steps, source = split_source(self.estimator)
        ratings, taken = start.ratings, take_rows(X, rated, lazily=steps is None)

        def start_without(rows: np.ndarray) -> np.ndarray:
            return next(start.heads_without([np.isin(ratings.rows, rows)], np.random.RandomState(seed)))

        tuned = source.with_heads(ratings.annotators, self._unit_scale.heads_from_unit(start.heads))
        self.tuned_ = tuned.set_params(random_state=seed)
        tuned.fine_tune(
            taken if steps is None else steps.transform(taken),
            ratings.with_values(self._unit_scale.from_unit(ratings.values)),
            groups=None if groups is None else np.asarray(groups)[rated],
            start_without=start_without,
        )
        return replace(start, heads=tuned._unit_heads)

    def _take_forecast(self, forecast: Forecast, source_heads: np.ndarray) -> None:
        """Add what to expect to the table, and serve nobody by a mapping that promises too little."""
        self.mapping_ = self.mapping_.assign(**forecast_columns(forecast, self.outputs_))
        if self.min_expected_score is None:
            return
        trusted = forecast.score.mean(axis=1) >= self.min_expected_score
        self.mapping_["trusted"] = trusted
        everyone = source_heads.mean(axis=0, dtype=np.float64)
        self._unit_heads[~trusted] = everyone if self.fallback == "consensus" else np.nan

    def _check_parameters(self) -> None:
        """Check the constructor's parameters, each by name."""
        check_option("strategy", self.strategy, STRATEGIES)
        check_option("calibration", self.calibration, CALIBRATIONS)
        check_option("fine_tune", self.fine_tune, FINE_TUNES)
        check_option("on_unknown", self.on_unknown, ON_UNKNOWN)
        check_number("n_heads", self.n_heads, low=1, integer=True)
        check_number("min_ratings", self.min_ratings, low=1, integer=True)
        check_number("n_bootstrap", self.n_bootstrap, low=0, integer=True)
        check_option("fallback", self.fallback, FALLBACKS)
        check_option("clip", self.clip, (True, False))
        if check_number("n_folds", self.n_folds, low=0, integer=True) == 1:
            raise ValueError("n_folds must be 0, for no expected score, or at least 2, got 1.")
        if self.min_expected_score is not None:
            check_number("min_expected_score", self.min_expected_score, low=-1, high=1)
            if self.fine_tune is not None:
                raise ValueError(
                    f"min_expected_score judges the mapping, not what fine_tune={self.fine_tune!r} makes of it: one of "
                    "them must be None."
                )
            if not self.n_folds:
                raise ValueError("min_expected_score needs an expected score: n_folds must be at least 2, got 0.")

    def _hidden_of_rows(self, X: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Walk over the source's hidden features of some rows of X, which are taken in blocks: X may be large."""
        steps, source = split_source(self.estimator)
        as_it_is = steps is None and isinstance(source, AnnotatorMappedRegressor)
        for start in range(0, len(rows), BLOCK_ROWS):
            lazily = as_it_is and getattr(X, "dtype", None) == np.float32  # of others a block is checked, and converted
            taken = take_rows(X, rows[start : start + BLOCK_ROWS], lazily=lazily)
            yield from (hidden for _, hidden in self._walk_hidden(taken))

    def _report_unmapped(self, mapping: Mapping) -> None:
        """Warn or raise where the mean of all heads has to serve."""
        unmapped = self.annotators_[~mapping.mapped.all(axis=1)]
        if len(unmapped):
            self._report(
                f"{len(unmapped)} of {len(self.annotators_)} annotators, for example {unmapped[:3].tolist()}, cannot "
                f"be mapped: they have fewer than min_ratings={self.min_ratings} enrollment ratings, or all of them "
                "are equal.",
                mend='on_unknown="consensus" serves them with the mean of all heads.',
                instead="The mean of all heads is used.",
            )

    def to_regressor(self) -> Any:
        """Return a regressor that knows the new annotators, with the heads that the mapping gave them, to fine-tune.

        Returns
        -------
        AnnotatorMappedRegressor, or a Pipeline that ends in one
            A copy of the source, whose `annotators_` are those whom this mapper serves. With ``warm_start=True`` its
            `fit` goes on from here; the steps of a Pipeline stay as they are.
        """
        check_is_fitted(self)
        steps, source = split_source(self.estimator)
        served = np.isfinite(self._unit_heads).all(axis=(1, 2))
        regressor = (self.tuned_ or source).with_heads(self.annotators_[served], self.heads_[served])
        return with_frozen_steps(steps, regressor)

    # ------------------------------------------------------------------ what AnnotatorPredictor asks for

    def _source(self) -> tuple[Any, Any]:
        steps, source = split_source(self.estimator)
        return steps, self.tuned_ or source

    def _iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        steps, source = split_source(self.estimator)  # features of a pipeline are its own affair, and only counted here
        checked = validate_features(self, X, reset=False, skip_check_array=steps is not None)
        yield from self._walk_hidden(_as_source_takes_it(source, X, checked))

    def _walk_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over the hidden features of X, in blocks."""
        steps, source = split_source(self.estimator)
        yield from (self.tuned_ or source).iter_hidden(X if steps is None else steps.transform(X))

    def _default_head(self) -> tuple[np.ndarray, bool]:
        served = np.isfinite(self._unit_heads).all(axis=(1, 2))  # all but those whom fallback="nan" leaves out
        if not served.any():
            return np.full_like(self._unit_heads[0], np.nan), False
        return self._unit_heads[served].mean(axis=0, dtype=np.float64).astype(self._unit_heads.dtype), False

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "mapping_")


def _as_source_takes_it(source: Any, X: Any, checked: Any) -> Any:
    """Return X as it was given, or as features that are streamed if the source is one that streams."""
    return checked if isinstance(checked, Features) and isinstance(source, AnnotatorMappedRegressor) else X


def _gathered(blocks: Iterator[np.ndarray], n: int) -> np.ndarray:
    """Return blocks of `n` rows one after the other, of which no more than one is there beside the whole."""
    first = next(blocks)
    whole = np.empty((n, *first.shape[1:]), dtype=first.dtype)
    end = 0
    for block in chain([first], blocks):
        whole[end : end + len(block)] = block
        end += len(block)
    return whole

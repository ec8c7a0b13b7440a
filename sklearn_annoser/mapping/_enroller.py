"""Mapping: from a new annotator's few ratings to a head - score the known heads, choose, combine, calibrate.

Every known annotator is a linear head on the hidden features of each output. The mean of some heads is a linear head
again, and so is a head with a slope and an offset: whatever the strategy, a mapped annotator ends as *one* head.

Shapes: ``hidden`` (n_samples, n_outputs, n_hidden), ``heads`` (n_heads, n_outputs, n_hidden + 1) with the bias last,
and new annotators ("targets") as `Ratings` of the samples of ``hidden``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import numpy as np

from sklearn_annoser._validation import check_number, check_option
from sklearn_annoser.mapping._calibrate import CALIBRATIONS, calibrate_heads
from sklearn_annoser.mapping._known import Known
from sklearn_annoser.mapping._prior import Prior
from sklearn_annoser.mapping._scores import MOST_CONTENDERS, contenders, score_heads, score_one
from sklearn_annoser.mapping.strategies import STRATEGIES, Strategy
from sklearn_annoser.ratings import Ratings, count_by_output, ratings_by_annotator

__all__ = ["Enroller", "Mapping"]


@dataclass(frozen=True)
class Enroller:
    """Who makes heads for new annotators: the known heads, what they make one expect, and how they are used.

    Parameters
    ----------
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators, the bias last.
    prior : Prior, default=None
        What is known of samples and annotators. Needed by "blend" and by the calibration.
    strategy : {"joint", "separate", "top-n", "blend", "all", "random"}, default="joint"
        The head with the best sum of the outputs' scores; the best for each output; the mean of the `n_heads` best; the
        head expected from all heads and the ratings (:func:`~sklearn_annoser.mapping.strategies.blend_heads`); the mean
        of all; a uniform draw.
    n_heads : int, default=5
        How many heads "top-n" averages.
    calibration : {None, "affine"}, default=None
        Whether to move the predictions' mean and spread towards those of the enrollment ratings.
    min_ratings : int, default=2
        A target with fewer ratings is not mapped but served by the mean of all heads.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.mapping import Enroller
    >>> hidden = np.array([[[1.0]], [[2.0]], [[3.0]]])  # three samples, one output, one hidden feature
    >>> heads = np.array([[[1.0, 0.0]], [[-1.0, 4.0]]])  # one annotator likes it, the other does not
    >>> mapping = Enroller(heads).enrol(hidden, Ratings.from_rows([3.0, 2.5, 1.0], "new"))
    >>> mapping.chosen.ravel(), mapping.heads.ravel()
    (array([1]), array([-1.,  4.]))
    """

    heads: np.ndarray
    prior: Prior | None = None
    strategy: str = "joint"
    n_heads: int = 5
    calibration: str | None = None
    min_ratings: int = 2
    known: Known = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", Known(self.heads, self.prior))
        check_option("strategy", self.strategy, STRATEGIES)
        check_option("calibration", self.calibration, CALIBRATIONS)
        check_number("n_heads", self.n_heads, low=1, integer=True)
        check_number("min_ratings", self.min_ratings, low=1, integer=True)

    def but(self, **changes: Any) -> Enroller:
        """Return the same with other options; what is known is not worked out again."""
        other = replace(self, **changes)
        object.__setattr__(other, "known", self.known)
        return other

    @property
    def rule(self) -> Strategy:
        """The strategy itself."""
        return STRATEGIES[self.strategy](self.n_heads)

    def enrol(
        self,
        hidden: np.ndarray,
        ratings: Ratings,
        *,
        rng: np.random.RandomState | None = None,
        with_scores: bool = True,
    ) -> Mapping:
        """Map each annotator of some ratings to known heads.

        Parameters
        ----------
        hidden : array, shape (n_samples, n_outputs, n_hidden)
            Hidden features of the enrollment samples.
        ratings : Ratings
            Enrollment ratings of the samples.
        rng : RandomState, default=None
            Needed by "random" only.
        with_scores : bool, default=True
            Whether to score the heads if the strategy does not need it.

        Returns
        -------
        Mapping
        """
        rule = self.rule
        # Without scores nothing grows with new annotators times known ones: there are as many zeros, but a single one.
        scores = np.broadcast_to(np.float32(0), (ratings.n_annotators, *self.heads.shape[:2]))
        if with_scores or rule.ranks:
            scores = score_heads(hidden, self.heads, ratings)
        chosen = rule.choose(comparable(scores, ratings, rule), rng)
        return self._serve(hidden, ratings, scores, chosen)

    def _serve(self, hidden: np.ndarray, ratings: Ratings, scores: np.ndarray, chosen: np.ndarray | None) -> Mapping:
        """Return what becomes of new annotators, given the known heads that were chosen for them."""
        heads = self.rule.combine(self.known, chosen, hidden, ratings)
        mapped = _mappable(ratings, self.rule, self.min_ratings)
        heads[~mapped] = np.broadcast_to(self.heads.mean(axis=0, dtype=np.float64), heads.shape)[~mapped]
        mapping = Mapping(
            enroller=self.but(calibration=None),
            hidden=hidden,
            ratings=ratings,
            scores=scores,
            chosen=chosen,
            heads=heads.astype(self.heads.dtype),
            mapped=mapped,
            slope=np.ones(mapped.shape),
            offset=np.zeros(mapped.shape),
        )
        return mapping if self.calibration is None else mapping.calibrated()


@dataclass(frozen=True, slots=True)
class Mapping:
    """What became of some new annotators, (n_targets, ...) each, and of what, so that it can be made again."""

    enroller: Enroller
    hidden: np.ndarray  # (n_samples, n_outputs, n_hidden) of the enrollment samples
    ratings: Ratings  # of these samples
    scores: np.ndarray  # (n_targets, n_heads, n_outputs)
    chosen: np.ndarray | None  # (n_targets, n_outputs, n_chosen) known heads, best first; None: nobody in particular
    heads: np.ndarray  # (n_targets, n_outputs, n_hidden + 1)
    mapped: np.ndarray  # (n_targets, n_outputs) False where the mean of all heads had to serve
    slope: np.ndarray  # (n_targets, n_outputs)
    offset: np.ndarray  # (n_targets, n_outputs)

    @property
    def prior(self) -> Prior:
        """What was known of samples and annotators."""
        return self.enroller.known.needed_prior

    def sources(self, labels: np.ndarray, output: int = 0) -> list[Any]:
        """Tell who serves each new annotator on one output.

        Parameters
        ----------
        labels : array, shape (n_heads,)
            Labels of the known annotators.
        output : int, default=0
            Position of the output; unless the strategy chooses for each output, all are served alike.

        Returns
        -------
        list
            A label for each target, a tuple where several serve, None for nobody in particular.
        """
        served: list[Any] = [None] * self.ratings.n_annotators
        if self.chosen is not None:
            chosen = labels[self.chosen[:, output]].tolist()  # n_targets lists of n_chosen plain labels
            several = self.enroller.rule.several
            for target in np.flatnonzero(self.mapped[:, output]):
                served[target] = tuple(chosen[target]) if several else chosen[target][0]
        return served

    def calibrated(self) -> Mapping:
        """Give the predictions the mean and the spread that the ratings are expected to have.

        Returns
        -------
        Mapping
        """
        with_offset = not self.enroller.rule.moves_mean
        slope, offset = calibrate_heads(self.hidden, self.heads, self.ratings, self.prior, with_offset=with_offset)
        heads = self.heads * slope[:, :, None]
        heads[:, :, -1] += offset
        enroller = self.enroller.but(calibration="affine")
        return replace(self, enroller=enroller, heads=heads.astype(self.heads.dtype), slope=slope, offset=offset)

    def heads_without(self, left_out: Sequence[np.ndarray], rng: np.random.RandomState) -> Iterator[np.ndarray]:
        """Map again without some ratings, then without others, so that these can judge what comes of it.

        Who could not be mapped with all ratings is not mapped now.

        Parameters
        ----------
        left_out : sequence of array of bool, shape (n_ratings,)
            Which ratings to do without, each time.
        rng : RandomState
            For what is drawn at random.

        Yields
        ------
        array, shape (n_targets, n_outputs, n_hidden + 1)
        """
        enroller = self.enroller.but(min_ratings=1)
        others = [self.ratings.keep_ratings(~each) for each in left_out]
        chosen = self._choose_again(others) if enroller.rule.ranks else repeat(self.chosen)
        for some, choice in zip(others, chosen, strict=False):
            if enroller.rule.ranks or not enroller.rule.uses_ratings:
                again = enroller._serve(self.hidden, some, self.scores, choice)
            else:
                again = enroller.enrol(self.hidden, some, rng=rng, with_scores=False)
            yield np.where(self.mapped[:, :, None], again.heads, self.heads)

    def _choose_again(self, others: Sequence[Ratings]) -> np.ndarray:
        """Choose by some of the ratings among the heads that are best with all: (n_others, n_targets, ...)."""
        rule, found = self.enroller.rule, []
        overruled = [_overruled(ratings, rule) for ratings in [self.ratings, *others]]
        mine = [list(ratings_by_annotator(ratings)) for ratings in others]
        for target in range(self.ratings.n_annotators):
            one = slice(target, target + 1)
            scores = _without(self.scores[one], overruled[0][one])[0]
            some = contenders(scores, by_output=rule.by_output, n=max(MOST_CONTENDERS, 4 * rule.n_heads))
            heads = self.enroller.heads[some]
            for ratings, places, without in zip(others, mine, overruled[1:], strict=True):
                given = places[target]
                scores = score_one(self.hidden[ratings.rows[given]], heads, ratings.values[given])
                found.append(some[np.asarray(rule.choose(_without(scores[None], without[one])))[0]])
        return np.reshape(found, (self.ratings.n_annotators, len(others), *np.shape(found)[1:])).swapaxes(0, 1)


def comparable(scores: np.ndarray, ratings: Ratings, rule: Strategy) -> np.ndarray:
    """Return scores that can be added over outputs: an error on one rating counts for nothing beside a CCC."""
    return _without(scores, _overruled(ratings, rule))


def _overruled(ratings: Ratings, rule: Strategy) -> np.ndarray:
    """Tell for each target and output whether its score is an error that counts for nothing."""
    if rule.by_output or not rule.ranks:
        return np.zeros((ratings.n_annotators, ratings.n_outputs), dtype=bool)
    return (count_by_output(ratings) == 1) & _differ(ratings).any(axis=1, keepdims=True)


def _without(scores: np.ndarray, overruled: np.ndarray) -> np.ndarray:
    """Return scores with 0 for those of some targets and outputs; they are not copied if there are none."""
    return np.where(overruled[:, None], np.float32(0), scores) if overruled.any() else scores


def _differ(ratings: Ratings) -> np.ndarray:
    """Tell for each target and output whether there are different ratings: of equal ones every CCC is 0."""
    shape = (ratings.n_annotators, ratings.n_outputs)
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    np.fmin.at(low, ratings.codes, ratings.values)  # these pass over what is missing
    np.fmax.at(high, ratings.codes, ratings.values)
    return high > low


def _mappable(ratings: Ratings, rule: Strategy, min_ratings: int) -> np.ndarray:
    """Tell for each target and output whether there are ratings enough, and different ones, to choose a head by."""
    counts = count_by_output(ratings)
    enough = counts >= max(min_ratings, 1)
    informative = _differ(ratings) | (counts == 1)  # a single rating is compared by its error
    if not rule.ranks:
        informative[:] = True
    usable = enough & informative
    if not rule.by_output:  # one choice serves all outputs, so one informative output is enough
        usable[:] = usable.any(axis=1, keepdims=True)
    return usable

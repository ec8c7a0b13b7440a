"""Draws: annotators enrol with a few of their ratings, drawn at random, and are scored on the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from tqdm.auto import tqdm

from sklearn_annoser._validation import check_number
from sklearn_annoser.estimators import AnnotatorMapper
from sklearn_annoser.evaluation._remembered import Remembered
from sklearn_annoser.evaluation._scores import tidy
from sklearn_annoser.evaluation._strategies import PREDICT_ONLY, choose_strategies
from sklearn_annoser.metrics import annotator_ccc
from sklearn_annoser.ratings import Ratings, shuffled_places

__all__ = ["compare_strategies", "draw_enrollment"]

IN_WORDS = {2: "two", 4: "four"}


def compare_strategies(
    source: Any,
    X: Any,
    ratings: Ratings,
    *,
    aggregate: Any = None,
    strategies: Mapping[str, tuple[str, dict[str, Any]]] | None = None,
    enrollment: Any = (20,),
    n_reserved: int | None = None,
    n_draws: int = 10,
    random_state: Any = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Score ways to predict new annotators from a few ratings, each annotator on ratings that were not enrolled.

    In each draw every annotator's ratings are shuffled; the first `n_reserved` are for enrollment, of which the first
    `enrollment` are used; all others are scored. Every strategy and size sees the same draws and the same test ratings.

    Parameters
    ----------
    source : fitted AnnotatorMappedRegressor, or a fitted Pipeline that ends in one
        Who knows the source annotators.
    X : array-like, shape (n_samples, n_features)
        Features of the target corpus.
    ratings : Ratings
        Ratings of the target corpus. Annotators with fewer than two ratings beyond `n_reserved` are left out.
    aggregate : fitted AnnotatorMappedRegressor of the "aggregate" variant, or a Pipeline, default=None
        Behind the "aggregate" strategies, which are left out without it.
    strategies : dict, default=None
        Name -> ("source" or "aggregate", parameters of :class:`AnnotatorMapper`). Two names are special: "random" is
        the mean score of all heads, what a random one gives on average; "oracle" is the head that is best on the test
        ratings. None: `STRATEGIES`.
    enrollment : sequence of int, default=(20,)
        Numbers of enrollment ratings.
    n_reserved : int, default=None
        Ratings of each annotator that are not scored. None: the largest enrollment.
    n_draws : int, default=10
        Random draws of enrollment ratings.
    random_state : int, RandomState or None, default=None
        Seed of the draws and of random mappings.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        One row for each strategy, draw, enrollment size, annotator and output: `ccc`, and the `source` annotator that
        served (None where there was no single one).

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor
    >>> from sklearn_annoser.datasets import make_corpora
    >>> from sklearn_annoser.evaluation import compare_strategies
    >>> source, target = make_corpora(n_samples=300, n_annotators=10, random_state=0)
    >>> model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
    >>> results = compare_strategies(model.fit(source.X, source.ratings), target.X, target.ratings, n_draws=2)
    >>> sorted(results["strategy"].unique())
    ['all heads', 'blended', 'mapped', 'mapped, calibrated', 'oracle', 'random']
    """
    draws = Draws(ratings, enrollment, n_reserved=n_reserved, n_draws=n_draws, n_scored=2)
    rng = check_random_state(random_state)
    chosen = choose_strategies(strategies, source, aggregate, X)
    frames = []
    with tqdm(total=len(draws) * len(chosen), desc="strategies", disable=not verbose) as bar:
        for draw in draws.walk(rng):
            for name, (who, parameters) in chosen.items():
                table = _score_draw(name, who, parameters, draw, rng)
                frames.append(table.assign(strategy=name, draw=draw.number, n_enrollment=draw.n_enrollment))
                bar.update()
    return pd.concat(frames, ignore_index=True)


def draw_enrollment(ratings: Ratings, n_enrollment: int, *, random_state: Any = None) -> tuple[Ratings, Ratings]:
    """Split ratings into a few random ones of each annotator to enrol with, and all others.

    Parameters
    ----------
    ratings : Ratings
        Ratings of a target corpus.
    n_enrollment : int
        Enrollment ratings of each annotator.
    random_state : int, RandomState or None, default=None
        Seed of the draw.

    Returns
    -------
    enrolled, rest : Ratings
        Both of all the samples.

    Examples
    --------
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.evaluation import draw_enrollment
    >>> enrolled, rest = draw_enrollment(Ratings.from_dense([[1, 2], [3, 4], [5, 6]]), 1, random_state=0)
    >>> enrolled.n_ratings, rest.n_ratings
    (2, 4)
    """
    check_number("n_enrollment", n_enrollment, low=1, integer=True)
    place = shuffled_places(ratings, check_random_state(random_state))
    return ratings.keep_ratings(place < n_enrollment), ratings.keep_ratings(place >= n_enrollment)


@dataclass(frozen=True)
class Draw:
    """What one draw enrols with, so many ratings of each annotator, and what it scores on."""

    number: int
    n_enrollment: int
    enrolled: Ratings
    test: Ratings


class Draws:
    """Repeated draws of enrollment ratings, for the annotators who have `n_scored` ratings beyond the reserved ones."""

    def __init__(
        self, ratings: Ratings, enrollment: Any, *, n_reserved: int | None, n_draws: int, n_scored: int
    ) -> None:
        sizes = [check_number("enrollment", size, low=1, integer=True) for size in np.atleast_1d(enrollment).tolist()]
        n_reserved = max(sizes) if n_reserved is None else n_reserved
        check_number("n_reserved", n_reserved, low=max(sizes), integer=True)
        check_number("n_draws", n_draws, low=1, integer=True)
        if not isinstance(ratings, Ratings):
            raise TypeError(f"ratings must be Ratings, got {type(ratings).__name__}.")
        least = n_reserved + n_scored
        self.ratings = ratings.keep_annotators(min_ratings=least)
        if not self.ratings.n_annotators:
            raise ValueError(
                f"no annotator has {least} ratings: {n_reserved} to enrol with and {IN_WORDS[n_scored]} to score on."
            )
        self.sizes, self.n_reserved, self.n_draws = sizes, n_reserved, n_draws

    def __len__(self) -> int:
        return self.n_draws * len(self.sizes)

    def walk(self, rng: np.random.RandomState) -> Iterator[Draw]:
        """Draw, and enrol with each number of ratings in turn; all are scored on the same ones."""
        for number in range(self.n_draws):
            place = shuffled_places(self.ratings, rng)
            test = self.ratings.keep_ratings(place >= self.n_reserved)
            for size in self.sizes:
                yield Draw(number, size, self.ratings.keep_ratings(place < size), test)


def _score_draw(name: str, source: Remembered, parameters: dict[str, Any], draw: Draw, rng: Any) -> pd.DataFrame:
    """Enrol, predict the test ratings, and score each annotator."""
    if name == "random":
        return tidy(source.random_scores(draw.test))
    X = np.arange(len(draw.test))[:, None]
    mapper = AnnotatorMapper(source, **(PREDICT_ONLY | parameters), random_state=rng)
    mapper.fit(X, draw.test if name == "oracle" else draw.enrolled)
    scores = annotator_ccc(draw.test, mapper.predict_ratings(X, draw.test)).drop(columns="n_ratings")
    return tidy(scores, mapper.mapping_.get("source"))

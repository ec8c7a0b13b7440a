"""Ratings taken apart: output by output, annotator by annotator."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sklearn_annoser.ratings._ratings import Ratings

__all__ = ["count_by_output", "rated_outputs", "ratings_by_annotator", "shuffled_places"]


def rated_outputs(ratings: Ratings) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Walk over the outputs: who rated each, what, and how many annotators there are.

    Parameters
    ----------
    ratings : Ratings
        Ratings, NaN where an output was not rated.

    Yields
    ------
    codes : array of int, shape (n_given,)
        Annotator of each rating that has the output.
    values : array of float64, shape (n_given,)
        Its value.
    n_annotators : int
        Number of annotators, rating or not.
    """
    for values in ratings.values.T:
        given = np.isfinite(values)
        yield ratings.codes[given], values[given].astype(np.float64), ratings.n_annotators


def count_by_output(ratings: Ratings) -> np.ndarray:
    """Count each annotator's ratings of each output.

    Parameters
    ----------
    ratings : Ratings
        Ratings, NaN where an output was not rated.

    Returns
    -------
    array of int, shape (n_annotators, n_outputs)
    """
    counted = [np.bincount(codes, minlength=n) for codes, _, n in rated_outputs(ratings)]
    return np.stack(counted, axis=1)


def ratings_by_annotator(ratings: Ratings) -> list[np.ndarray]:
    """Find the ratings of each annotator.

    Parameters
    ----------
    ratings : Ratings
        The ratings.

    Returns
    -------
    list of arrays of int
        Positions of their ratings in `values`, for each of `annotators`.
    """
    order = np.argsort(ratings.codes, kind="stable")
    return np.split(order, np.bincount(ratings.codes, minlength=ratings.n_annotators).cumsum()[:-1])


def shuffled_places(ratings: Ratings, rng: np.random.RandomState) -> np.ndarray:
    """Put each annotator's ratings in a random order.

    Parameters
    ----------
    ratings : Ratings
        The ratings.
    rng : RandomState
        Source of the order.

    Returns
    -------
    array of int, shape (n_ratings,)
        Place of each rating among those of its annotator, from 0.
    """
    order = np.lexsort((rng.uniform(size=ratings.n_ratings), ratings.codes))
    counts = np.bincount(ratings.codes, minlength=ratings.n_annotators)
    place = np.empty(ratings.n_ratings, dtype=np.int64)
    place[order] = np.arange(ratings.n_ratings) - np.repeat(counts.cumsum() - counts, counts)
    return place

"""Mapping: from a new annotator's few ratings to a head - score the known heads, choose, combine, calibrate.

Every known annotator is a linear head on the hidden features of each output. The mean of some heads is a linear head
again, and so is a head with a slope and an offset: whatever the strategy, a mapped annotator ends as *one* head.

Shapes: ``hidden`` (n_samples, n_outputs, n_hidden), ``heads`` (n_heads, n_outputs, n_hidden + 1) with the bias last,
and new annotators ("targets") as `Ratings` of the samples of ``hidden``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sklearn_annoser._validation import check_number, check_option
from sklearn_annoser.mapping._blend import Prior, blend_heads, calibrate_heads, count_by_output
from sklearn_annoser.metrics._ccc import ccc_from_moments
from sklearn_annoser.ratings import Ratings

__all__ = [
    "CALIBRATIONS",
    "STRATEGIES",
    "Mapping",
    "bootstrap_heads",
    "calibrated",
    "choose_heads",
    "heads_without",
    "map_annotators",
    "predict_pairs",
    "predict_rated",
    "score_heads",
]

STRATEGIES = ("joint", "separate", "top-n", "blend", "all", "random")
CHOOSING = ("joint", "separate", "top-n")  # some heads, by their scores
CALIBRATIONS = (None, "affine")
BLOCK_ROWS, BLOCK_HEADS = 2048, 2048  # a block of predictions takes 16 MB, whatever the corpus


@dataclass(frozen=True, slots=True)
class Mapping:
    """What became of some new annotators, (n_targets, ...) each."""

    chosen: np.ndarray | None  # (n_targets, n_outputs, n_chosen) known heads, best first; None: nobody in particular
    heads: np.ndarray  # (n_targets, n_outputs, n_hidden + 1)
    scores: np.ndarray  # (n_targets, n_heads, n_outputs)
    mapped: np.ndarray  # (n_targets, n_outputs) False where the mean of all heads had to serve
    slope: np.ndarray  # (n_targets, n_outputs)
    offset: np.ndarray  # (n_targets, n_outputs)


def map_annotators(
    hidden: np.ndarray,
    heads: np.ndarray,
    ratings: Ratings,
    *,
    strategy: str = "joint",
    n_heads: int = 5,
    calibration: str | None = None,
    min_ratings: int = 2,
    prior: Prior | None = None,
    with_scores: bool = True,
    rng: np.random.RandomState | None = None,
) -> Mapping:
    """Map each annotator of `ratings` to known heads.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators, the bias last.
    ratings : Ratings
        Enrollment ratings of the samples.
    strategy : {"joint", "separate", "top-n", "blend", "all", "random"}, default="joint"
        The head with the best sum of the outputs' scores; the best for each output; the mean of the `n_heads` best; the
        head expected from all heads and the ratings (:func:`~sklearn_annoser.mapping.blend_heads`); the mean of all; a
        uniform draw.
    n_heads : int, default=5
        How many heads "top-n" averages.
    calibration : {None, "affine"}, default=None
        Whether to move the predictions' mean and spread towards those of the enrollment ratings.
    min_ratings : int, default=2
        A target with fewer ratings is not mapped but served by the mean of all heads.
    prior : Prior, default=None
        Needed by "blend" and by the calibration: what is known of samples and annotators.
    with_scores : bool, default=True
        Whether to score the heads if the strategy does not need it.
    rng : RandomState, default=None
        Needed by "random" only.

    Returns
    -------
    Mapping
    """
    check_option("strategy", strategy, STRATEGIES)
    check_option("calibration", calibration, CALIBRATIONS)
    check_number("n_heads", n_heads, low=1, integer=True)
    scores = np.zeros((ratings.n_annotators, *heads.shape[:2]), dtype=np.float32)
    if with_scores or strategy in CHOOSING:
        scores = score_heads(hidden, heads, ratings)
    mapped = _mappable(ratings, strategy, min_ratings)
    chosen = choose_heads(_comparable(scores, ratings, strategy), strategy, n_heads, rng)
    everyone = heads.mean(axis=0, dtype=np.float64)  # (n_outputs, n_hidden + 1)
    if strategy == "blend":
        combined = blend_heads(hidden, heads, ratings, _needed(prior))
    elif chosen is None:
        combined = np.repeat(everyone[None], ratings.n_annotators, axis=0)
    else:
        combined = heads[chosen, np.arange(heads.shape[1])[:, None]].mean(axis=2, dtype=np.float64)
    combined[~mapped] = np.broadcast_to(everyone, combined.shape)[~mapped]
    slope, offset = np.ones(mapped.shape), np.zeros(mapped.shape)
    mapping = Mapping(chosen, combined.astype(heads.dtype), scores, mapped, slope, offset)
    if calibration is None:
        return mapping
    with_offset = strategy != "blend"  # a blended head has moved already
    return calibrated(mapping, hidden, ratings, _needed(prior), with_offset=with_offset)


def calibrated(
    mapping: Mapping, hidden: np.ndarray, ratings: Ratings, prior: Prior, *, with_offset: bool = True
) -> Mapping:
    """Give the predictions of a mapping the mean and the spread that the ratings are expected to have.

    Parameters
    ----------
    mapping : Mapping
        With heads that are not calibrated.
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    ratings : Ratings
        Enrollment ratings of the samples.
    prior : Prior
        What is known of samples and annotators.
    with_offset : bool, default=True
        Whether to move the mean; not of heads that the ratings have moved already.

    Returns
    -------
    Mapping
    """
    slope, offset = calibrate_heads(hidden, mapping.heads, ratings, prior, with_offset=with_offset)
    heads = mapping.heads * slope[:, :, None]
    heads[:, :, -1] += offset
    return replace(mapping, heads=heads.astype(mapping.heads.dtype), slope=slope, offset=offset)


def heads_without(
    mapping: Mapping,
    hidden: np.ndarray,
    heads: np.ndarray,
    ratings: Ratings,
    left_out: np.ndarray,
    *,
    prior: Prior,
    rng: np.random.RandomState,
    **how: Any,
) -> np.ndarray:
    """Map again without some ratings, so that these can judge what comes of it.

    Parameters
    ----------
    mapping : Mapping
        The mapping with all ratings: who could not be mapped then is not mapped now.
    hidden, heads, ratings
        As for :func:`map_annotators`.
    left_out : array of bool, shape (n_ratings,)
        Which ratings to do without.
    prior, rng
        As for :func:`map_annotators`.
    **how : dict
        More arguments of :func:`map_annotators`.

    Returns
    -------
    array, shape (n_targets, n_outputs, n_hidden + 1)
    """
    others = ratings.keep_ratings(~left_out)
    how = how | {"min_ratings": 1, "with_scores": False}
    again = map_annotators(hidden, heads, others, prior=prior, rng=rng, **how)
    return np.where(mapping.mapped[:, :, None], again.heads, mapping.heads)


def _comparable(scores: np.ndarray, ratings: Ratings, strategy: str) -> np.ndarray:
    """Return scores that can be added over outputs: an error on one rating is no CCC, and counts for nothing."""
    counts = count_by_output(ratings)
    overruled = (counts == 1) & (counts > 1).any(axis=1, keepdims=True)
    if strategy == "separate" or not overruled.any():
        return scores
    return np.where(overruled[:, None], np.float32(0), scores)


def _needed(prior: Prior | None) -> Prior:
    """Return a prior that has been given."""
    if prior is None:
        raise ValueError('strategy="blend" and calibration need a prior.')
    return prior


def predict_pairs(hidden: np.ndarray, heads: np.ndarray, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Predict (sample, head) pairs.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads, the bias last.
    rows, codes : array of int, shape (n_pairs,)
        Sample and head of each pair.

    Returns
    -------
    array, shape (n_pairs, n_outputs)
    """
    predicted = np.empty((len(rows), heads.shape[1]), dtype=hidden.dtype)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        head = heads[codes[block]]
        predicted[block] = np.einsum("poh,poh->po", hidden[rows[block]], head[:, :, :-1]) + head[:, :, -1]
    return predicted


def predict_rated(
    blocks: Iterable[tuple[slice, np.ndarray]], heads: np.ndarray, ratings: Ratings, codes: np.ndarray
) -> np.ndarray:
    """Predict each rating with a head of its own, on hidden features that come in blocks.

    Parameters
    ----------
    blocks : iterable of (slice, array of shape (n_block, n_outputs, n_hidden))
        The samples of each block, in order, and their hidden features.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads, the bias last.
    ratings : Ratings
        Who rated which sample; the values are not looked at.
    codes : array of int, shape (n_ratings,)
        Head of each rating.

    Returns
    -------
    array, shape (n_ratings, n_outputs)

    Raises
    ------
    ValueError
        The blocks have more or fewer samples than `ratings`.
    """
    predicted = np.empty((ratings.n_ratings, heads.shape[1]), dtype=heads.dtype)
    n_seen = 0
    for rows, hidden in blocks:
        n_seen = rows.stop
        if n_seen > ratings.n_samples:
            break
        part = slice(ratings.indptr[rows.start], ratings.indptr[rows.stop])
        predicted[part] = predict_pairs(hidden, heads, ratings.rows[part] - rows.start, codes[part])
    if n_seen != ratings.n_samples:
        raise ValueError(f"X and ratings differ in length: ratings are of {ratings.n_samples} samples.")
    return predicted


def score_heads(hidden: np.ndarray, heads: np.ndarray, ratings: Ratings) -> np.ndarray:
    r"""Score every known head on every new annotator's enrollment ratings (higher is better).

    The score is the CCC, or for a single rating minus the absolute error. The trunk has run once; from centred hidden
    features :math:`H` of one target the centred predictions of all heads are :math:`H W^\top`, their covariance with
    the ratings :math:`y` is :math:`(y^\top H) W^\top`, and their mean that of the hidden features times :math:`W^\top`:
    one matrix product gives all the moments.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators, the bias last.
    ratings : Ratings
        Enrollment ratings of the samples.

    Returns
    -------
    array of float32, shape (n_targets, n_heads, n_outputs)
        0 for a target without ratings of an output, and where all of them are equal.
    """
    scores = np.zeros((ratings.n_annotators, len(heads), heads.shape[1]), dtype=np.float32)
    order = np.argsort(ratings.codes, kind="stable")
    for output in range(heads.shape[1]):
        given = order[np.isfinite(ratings.values[order, output])]
        rows, values = ratings.rows[given], ratings.values[given, output].astype(np.float64)
        counts = np.bincount(ratings.codes[given], minlength=ratings.n_annotators)
        ends = counts.cumsum()
        for targets in _blocks_of_targets(counts):
            first, last = (ends - counts)[targets[0]], ends[targets[-1]]
            part = slice(first, last)
            starts = (ends - counts)[targets] - first
            moments = _moments(hidden[rows[part], output], values[part], starts, counts[targets])
            for start in range(0, len(heads), BLOCK_HEADS):
                block = slice(start, start + BLOCK_HEADS)
                scores[targets, block, output] = _score_block(*moments, starts, heads[block, output], counts[targets])
    return scores


def _blocks_of_targets(counts: np.ndarray) -> list[np.ndarray]:
    """Group the targets that have ratings so that a group has about BLOCK_ROWS of them."""
    targets = np.flatnonzero(counts)
    if not len(targets):
        return []
    block = counts[targets].cumsum() // BLOCK_ROWS
    return np.split(targets, np.flatnonzero(np.diff(block)) + 1)


def _moments(
    hidden: np.ndarray, values: np.ndarray, starts: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what each target contributes to the matrix product, and its ratings' mean and variance.

    The factor has the centred hidden features of all ratings, then for each target their mean, then their covariance
    with its ratings: (n_ratings + 2 n_targets, n_hidden).
    """
    n = counts[:, None]
    mean_hidden = np.add.reduceat(hidden, starts, axis=0, dtype=np.float64) / n
    mean_true = np.add.reduceat(values, starts) / counts
    centred = hidden - np.repeat(mean_hidden, counts, axis=0)
    true = values - np.repeat(mean_true, counts)
    covariance = np.add.reduceat(true[:, None] * centred, starts, axis=0) / n
    factor = np.concatenate([centred, mean_hidden, covariance]).astype(hidden.dtype)
    return factor, mean_true, np.add.reduceat(true**2, starts) / counts


def _score_block(
    factor: np.ndarray,
    mean_true: np.ndarray,
    var_true: np.ndarray,
    starts: np.ndarray,
    heads: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    """Return the score of a block of heads, (n_targets, n_heads)."""
    n_targets = len(counts)
    product = factor @ heads[:, :-1].T  # (n_ratings + 2 n_targets, n_heads)
    centred, mean_pred, covariance = np.split(product, [-2 * n_targets, -n_targets])
    mean_pred = mean_pred.astype(np.float64) + heads[:, -1]
    np.square(centred, out=centred)
    var_pred = np.add.reduceat(centred, starts, axis=0) / counts[:, None]
    ccc = ccc_from_moments(mean_true[:, None], var_true[:, None], mean_pred, var_pred, covariance)
    return np.where(counts[:, None] == 1, -np.abs(mean_pred - mean_true[:, None]), ccc)


def _mappable(ratings: Ratings, strategy: str, min_ratings: int) -> np.ndarray:
    """Tell for each target and output whether there are ratings enough, and different ones, to choose a head by."""
    counts = count_by_output(ratings)
    enough = counts >= max(min_ratings, 1)
    low, high = np.full(counts.shape, np.inf), np.full(counts.shape, -np.inf)
    np.fmin.at(low, ratings.codes, ratings.values)  # these pass over what is missing
    np.fmax.at(high, ratings.codes, ratings.values)
    informative = (high > low) | (counts == 1)  # a single rating is compared by its error
    if strategy not in CHOOSING:
        informative[:] = True
    usable = enough & informative
    if strategy != "separate":  # one choice serves all outputs, so one informative output is enough
        usable[:] = usable.any(axis=1, keepdims=True)
    return usable


def choose_heads(
    scores: np.ndarray, strategy: str, n_heads: int, rng: np.random.RandomState | None
) -> np.ndarray | None:
    """Choose heads by their scores.

    Parameters
    ----------
    scores : array, shape (n_targets, n_heads, n_outputs)
        Score of each head for each new annotator, higher is better.
    strategy : str
        One of `STRATEGIES`.
    n_heads : int
        How many heads "top-n" chooses.
    rng : RandomState or None
        Needed by "random".

    Returns
    -------
    array of int, shape (n_targets, n_outputs, n_chosen), or None
        Best first; None for nobody in particular.
    """
    n_targets, n_known, n_outputs = scores.shape
    if strategy in ("blend", "all"):
        return None
    if strategy == "random":
        rng = np.random.RandomState() if rng is None else rng
        chosen = rng.randint(n_known, size=(n_targets, 1))
    elif strategy == "separate":
        return scores.argmax(axis=1)[:, :, None]
    else:
        total = scores.sum(axis=2)
        n_best = 1 if strategy == "joint" else min(n_heads, n_known)
        # Stable, so that equal scores go to the first head whatever n_best is.
        chosen = np.argsort(-total, axis=1, kind="stable")[:, :n_best] if n_best > 1 else total.argmax(1)[:, None]
    return np.repeat(chosen[:, None, :], n_outputs, axis=1)


def bootstrap_heads(
    hidden: np.ndarray,
    heads: np.ndarray,
    values: np.ndarray,
    *,
    strategy: str = "joint",
    n_bootstrap: int = 100,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, float]:
    """Tell a clear choice from a lucky one: choose again on resampled ratings, judge on those left out.

    Each resample (with replacement) chooses its best head; the ratings that it left out rank that head among all
    others.

    Parameters
    ----------
    hidden : array, shape (n_ratings, n_outputs, n_hidden)
        Hidden features of one new annotator's enrollment samples.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators.
    values : array, shape (n_ratings, n_outputs)
        The ratings; NaN where an output was not rated.
    strategy : {"joint", "separate", "top-n"}, default="joint"
        "separate" chooses for each output on its own, and averages over the outputs whose ratings differ; the others
        choose by the sum of the outputs' CCC.
    n_bootstrap : int, default=100
        Number of resamples.
    rng : RandomState
        Source of the resamples.

    Returns
    -------
    wins : array, shape (n_heads,)
        Share of the resamples in which each head was the best.
    confidence : float
        Mean share of the other heads that the chosen one beats on ratings that did not choose it: 0.5 is luck, 1 a head
        that is always the best. NaN where that cannot be told: fewer than two heads, or too few or constant ratings.
    """
    n = len(values)
    if n < 3 or len(heads) < 2 or n_bootstrap == 0:
        return np.zeros(len(heads)), np.nan
    counts = rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)  # (n_bootstrap, n_ratings)
    scores = _resampled_ccc(hidden, heads, values, np.concatenate([counts, counts == 0]), strategy != "separate")
    wins, confidences = [], []
    for inside, outside in scores.reshape(len(scores), 2, n_bootstrap, len(heads)):
        # A resample tells something if its ratings differ, both those that choose and those that judge.
        telling = np.flatnonzero((np.ptp(inside, axis=1) > 0) & (np.ptp(outside, axis=1) > 0))
        if not len(telling):
            continue
        best = inside.argmax(axis=1)
        wins.append(np.bincount(best[telling], minlength=len(heads)) / len(telling))
        own = outside[np.arange(n_bootstrap), best][:, None]
        beaten = np.count_nonzero(outside < own, axis=1) + (np.count_nonzero(outside == own, axis=1) - 1) / 2
        confidences.append(np.mean(beaten[telling] / (len(heads) - 1)))
    return (np.mean(wins, axis=0), float(np.mean(confidences))) if wins else (np.zeros(len(heads)), np.nan)


def _resampled_ccc(
    hidden: np.ndarray, heads: np.ndarray, values: np.ndarray, counts: np.ndarray, joint: bool
) -> np.ndarray:
    r"""Return the CCC of every head on every resample, (n_outputs or 1 if joint, n_resamples, n_heads), as float32.

    In raw moments, with `E` the mean over a resample, the CCC is
    :math:`(2 E[yp] - 2 E[y] E[p]) / (E[y^2] + E[p^2] - 2 E[y] E[p])`: three matrix products.
    """
    scores = np.zeros((1 if joint else heads.shape[1], len(counts), len(heads)), dtype=np.float32)
    for output in range(heads.shape[1]):
        given = np.isfinite(values[:, output])
        if not given.any():
            continue
        own = counts[:, given]
        weight = (own / np.maximum(own.sum(axis=1, keepdims=True), 1)).astype(np.float32)
        true = values[given, output].astype(np.float64)
        centre = true.mean()
        true = (true - centre).astype(np.float32)[:, None]  # centred, so that float32 keeps the digits that matter
        mean_true, square_true = weight @ true, weight @ true**2  # (n_resamples, 1)
        # A constant resample has no variance but for rounding, and must score nothing.
        constant = (square_true - mean_true**2)[:, 0] <= 1e-6 * (true**2).mean()
        for start in range(0, len(heads), BLOCK_HEADS):
            head = heads[start : start + BLOCK_HEADS, output]
            pred = hidden[given, output] @ head[:, :-1].T + (head[:, -1] - np.float32(centre))  # (n_ratings, n_heads)
            means = weight @ pred
            means *= 2 * mean_true
            ccc = weight @ (2 * true * pred)
            ccc -= means
            spread = weight @ pred**2
            spread += square_true
            spread -= means
            ccc /= np.maximum(spread, np.float32(1e-12), out=spread)
            ccc[constant] = 0
            scores[0 if joint else output, :, start : start + BLOCK_HEADS] += ccc
    return scores

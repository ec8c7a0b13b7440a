"""Confidence: whether the choice of a head is clear, or luck."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping._enroller import Mapping, comparable
from sklearn_annoser.mapping._scores import MOST_CONTENDERS, contenders
from sklearn_annoser.ratings import ratings_by_annotator

__all__ = ["bootstrap_heads", "confidences"]

BLOCK_HEADS = 2048
MOST_JUDGES = 512  # of the known heads, evenly spread: a share of them is as good as a share of all


def confidences(mapping: Mapping, *, n_bootstrap: int = 100, rng: np.random.RandomState) -> np.ndarray:
    """Tell how clear the choice of each new annotator's head is.

    All other parameters are those of :func:`bootstrap_heads`, with the same defaults.

    Parameters
    ----------
    mapping : Mapping
        How the annotators were mapped.

    Returns
    -------
    array, shape (n_targets,)
        See :func:`bootstrap_heads`; NaN where no choice was made.
    """
    ratings, rule = mapping.ratings, mapping.enroller.rule
    found = np.full(ratings.n_annotators, np.nan)
    if not rule.ranks or n_bootstrap == 0:
        return found
    scores = comparable(mapping.scores, ratings, rule)
    for target, mine in enumerate(ratings_by_annotator(ratings)):
        _, found[target] = bootstrap_heads(
            mapping.hidden[ratings.rows[mine]],
            mapping.enroller.heads,
            ratings.values[mine],
            scores=scores[target],
            by_output=rule.by_output,
            n_bootstrap=n_bootstrap,
            rng=rng,
        )
    return found


def bootstrap_heads(
    hidden: np.ndarray,
    heads: np.ndarray,
    values: np.ndarray,
    *,
    scores: np.ndarray | None = None,
    by_output: bool = False,
    n_bootstrap: int = 100,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, float]:
    """Tell a clear choice from a lucky one: choose again on resampled ratings, judge on those left out.

    Each resample (with replacement) chooses its best head; the ratings that it left out rank that head among all
    others. Of more than 512 known heads those compete that score best with all ratings, and as many that are evenly
    spread are what they are compared with.

    Parameters
    ----------
    hidden : array, shape (n_ratings, n_outputs, n_hidden)
        Hidden features of one new annotator's enrollment samples.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators.
    values : array, shape (n_ratings, n_outputs)
        The ratings; NaN where an output was not rated.
    scores : array, shape (n_heads, n_outputs), default=None
        The heads' scores with all ratings, if they are known.
    by_output : bool, default=False
        Whether to choose for each output on its own, and average over the outputs whose ratings differ; else by the sum
        of the outputs' CCC.
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
    judges = np.arange(0, len(heads), -(-len(heads) // MOST_JUDGES))
    wins, confidences = [], []
    for outputs in [[output] for output in range(heads.shape[1])] if by_output else [list(range(heads.shape[1]))]:
        part = slice(outputs[0], outputs[-1] + 1)
        seen, rated, rivals = hidden[:, part], values[:, part], heads[:, part]
        told = _resampled_ccc(seen, rivals, rated, np.ones((1, n))).T if scores is None else scores[:, part]
        some = contenders(told, by_output=False, n=MOST_CONTENDERS)
        inside = _resampled_ccc(seen, rivals[some], rated, counts)
        best = some[inside.argmax(axis=1)]
        winners, of_winners = np.unique(best, return_inverse=True)
        # In one product: else a head would differ from itself by its last digits.
        outside = _resampled_ccc(seen, rivals[np.concatenate([winners, judges])], rated, counts == 0)
        own, outside = outside[np.arange(n_bootstrap), of_winners][:, None], outside[:, len(winners) :]
        # A resample tells something if its ratings differ, both those that choose and those that judge.
        telling = np.flatnonzero((np.ptp(inside, axis=1) > 0) & (np.ptp(outside, axis=1) > 0))
        if not len(telling):
            continue
        wins.append(np.bincount(best[telling], minlength=len(heads)) / len(telling))
        itself = np.isin(best, judges)
        beaten = np.count_nonzero(outside < own, axis=1) + (np.count_nonzero(outside == own, axis=1) - itself) / 2
        confidences.append(np.mean((beaten / (len(judges) - itself))[telling]))
    return (np.mean(wins, axis=0), float(np.mean(confidences))) if wins else (np.zeros(len(heads)), np.nan)


def _resampled_ccc(hidden: np.ndarray, heads: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    r"""Return the sum over outputs of the CCC of every head on every resample, (n_resamples, n_heads), as float32.

    In raw moments, with `E` the mean over a resample, the CCC is
    :math:`(2 E[yp] - 2 E[y] E[p]) / (E[y^2] + E[p^2] - 2 E[y] E[p])`: two matrix products.
    """
    scores = np.zeros((len(counts), len(heads)), dtype=np.float32)
    for output in range(heads.shape[1]):
        given = np.isfinite(values[:, output])
        if not given.any():
            continue
        own = counts[:, given]
        weight = (own / np.maximum(own.sum(axis=1, keepdims=True), 1)).astype(np.float32)
        true = values[given, output].astype(np.float64)
        centre = true.mean()
        true = (true - centre).astype(np.float32)  # centred, so that float32 keeps the digits that matter
        mean_true, square_true = weight @ true[:, None], weight @ true[:, None] ** 2  # (n_resamples, 1)
        # A constant resample has no variance but for rounding, and must score nothing.
        constant = (square_true - mean_true**2)[:, 0] <= 1e-6 * (true**2).mean()
        both = np.concatenate([2 * mean_true * weight, 2 * true * weight])  # 2 E[y] E[p] and 2 E[yp] of predictions p
        for start in range(0, len(heads), BLOCK_HEADS):
            head = heads[start : start + BLOCK_HEADS, output]
            pred = hidden[given, output] @ head[:, :-1].T + (head[:, -1] - np.float32(centre))  # (n_ratings, n_heads)
            means, ccc = np.split(both @ pred, 2)
            ccc -= means
            spread = weight @ np.square(pred, out=pred)
            means -= square_true
            spread -= means
            ccc /= np.maximum(spread, np.float32(1e-12), out=spread)
            ccc[constant] = 0
            scores[:, start : start + BLOCK_HEADS] += ccc
    return scores

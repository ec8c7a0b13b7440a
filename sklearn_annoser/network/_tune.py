"""Training on from a mapping with few ratings: how long is decided on ratings that are held out in turn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sklearn_annoser.metrics._within import within_correlation
from sklearn_annoser.network._data import RatingsDataset, some_of
from sklearn_annoser.network._net import MultiHeadNet
from sklearn_annoser.network._torch_state import plain_torch
from sklearn_annoser.ratings import Ratings

N_PARTS = 5
ENOUGH_SAMPLES = 5000  # of which a fifth tells well enough when to stop
BLOCK_ROWS = 256


def held_out_parts(y: Ratings, *, groups: Any = None, random_state: int = 0) -> list[np.ndarray]:
    """Split the rated samples into five parts to hold out in turn; of 5,000 samples or more only the first is.

    Parameters
    ----------
    y : Ratings
        Ratings of the samples.
    groups : array-like, shape (n_samples,), default=None
        Group (speaker) of each sample; no group is in two parts. None: each sample is a group.
    random_state : int, default=0
        Seed of the draw.

    Returns
    -------
    list of arrays of int
        Positions of the samples of each part; fewer parts if there are fewer groups, none if there is one group only.

    Examples
    --------
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.network import held_out_parts
    >>> parts = held_out_parts(Ratings.from_rows([3.0, 1.0, 2.0], "ann"), groups=["x", "y", "y"])
    >>> sorted(part.tolist() for part in parts)
    [[0], [1, 2]]
    """
    rated = np.flatnonzero(np.diff(y.indptr) > 0)
    names, member = np.unique(rated if groups is None else np.asarray(groups)[rated], return_inverse=True)
    if len(names) < 2:
        return []
    n_parts = min(N_PARTS, len(names))
    part = (np.random.RandomState(random_state).permutation(len(names)) % n_parts)[member]
    return [rated[part == number] for number in range(1 if len(rated) >= ENOUGH_SAMPLES else n_parts)]


def tune(
    net: MultiHeadNet,
    X: Any,
    y: Ratings,
    *,
    held_out: Sequence[np.ndarray],
    start_without: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Train a net on, for as many epochs as are best for ratings that are held out.

    For each part of the samples a copy of the net is trained on all the others. The copies go side by side; after each
    epoch every one predicts the part that it has not seen, and the correlation of all these predictions with the
    ratings, within annotators, tells when to stop. Few ratings in each part are enough, because the parts are judged
    together. The loss would be misled: it falls longest by learning each annotator's mean and spread, which a
    calibration does better. Then the net is trained on everything for the best number of epochs, which may be none. The
    search ends after `max_epochs` of the net, or `patience` epochs without a better correlation.

    Parameters
    ----------
    net : MultiHeadNet
        A trained net, with a head for each annotator of `y`. It is changed, from the learning rate that it has.
    X, y : array or Tensor, and Ratings
        As in :meth:`MultiHeadNet.fit`.
    held_out : sequence of arrays of int
        Positions of the samples of each part, for example from :func:`held_out_parts`.
    start_without : callable, default=None
        Given the positions of a part, returns the heads that its copy starts from, as
        :meth:`MultiHeadNet.replace_heads` takes them. For heads that come of the ratings: else the copy would start
        from what it is not to see.

    Returns
    -------
    array, shape (n_epochs + 1,)
        The correlation on held-out ratings, the mean over outputs, before the first epoch and after each.
    """
    with plain_torch(net.n_threads):
        return _tune(net, net.get_dataset(X, y), held_out, start_without)


def _tune(
    net: MultiHeadNet,
    dataset: RatingsDataset,
    held_out: Sequence[np.ndarray],
    start_without: Callable[[np.ndarray], np.ndarray] | None,
) -> np.ndarray:
    """Tune with torch as a training needs it."""
    y = dataset.ratings
    net.leave_inference()
    net.initialize_optimizer()  # no momentum of another training
    copies = [copy.deepcopy(net) for _ in held_out]
    if start_without is not None:
        for each, rows in zip(copies, held_out, strict=True):
            each.replace_heads(start_without(rows))
    trained = [dataset.take(np.setdiff1d(dataset.rows, rows)) for rows in held_out]
    scores = [_score_unseen(copies, dataset, held_out)]
    while len(scores) <= net.max_epochs and len(scores) - int(np.argmax(scores)) <= net.patience:
        for each, part in zip(copies, trained, strict=True):
            each.train_epoch(part, y)
        scores.append(_score_unseen(copies, dataset, held_out))
    for _ in range(int(np.argmax(scores))):
        net.train_epoch(dataset, y)
    return np.array(scores)


def _score_unseen(nets: Sequence[MultiHeadNet], dataset: RatingsDataset, held_out: Sequence[np.ndarray]) -> float:
    """Return how well the ratings of all parts are predicted, each part by the net that has not seen it."""
    predicted = [
        _predict_ratings(net, some_of(dataset.X, rows), dataset.ratings[rows])
        for net, rows in zip(nets, held_out, strict=True)
    ]
    return float(within_correlation(np.concatenate(predicted), dataset.ratings[np.concatenate(held_out)]).mean())


def _predict_ratings(net: MultiHeadNet, X: Any, ratings: Ratings) -> np.ndarray:
    """Predict each rating, (n_ratings, n_outputs)."""
    heads, predicted = net._heads(), []
    for rows, hidden in net.hidden_blocks(X, block_rows=BLOCK_ROWS):
        block = ratings[rows]
        head = heads[block.codes]  # (n_block_ratings, n_outputs, n_hidden + 1)
        predicted.append(np.einsum("roh,roh->ro", hidden[block.rows], head[:, :, :-1]) + head[:, :, -1])
    return np.concatenate(predicted)

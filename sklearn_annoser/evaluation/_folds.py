"""Folds: a target corpus in folds, as the paper does; annotators and the consensus are scored on the test split."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold
from sklearn.utils import check_random_state
from tqdm.auto import tqdm

from sklearn_annoser._validation import check_number
from sklearn_annoser.estimators import AnnotatorMapper
from sklearn_annoser.evaluation._remembered import Remembered
from sklearn_annoser.evaluation._results import INDIVIDUAL
from sklearn_annoser.evaluation._scores import score_levels
from sklearn_annoser.evaluation._strategies import PREDICT_ONLY, choose_strategies
from sklearn_annoser.ratings import Ratings, shuffled_places

__all__ = ["compare_folds", "grouped_folds"]

VALIDATION_FRACTION = 0.25  # of the groups that are not tested, rounded down
FOLDS_SEED = 0  # the folds are the same for every seed of the training


def compare_folds(
    source: Any,
    X: Any,
    ratings: Ratings,
    *,
    groups: Any = None,
    aggregate: Any = None,
    strategies: Mapping[str, tuple[str, dict[str, Any]]] | None = None,
    enrollment: Any = ("all",),
    n_folds: int = 5,
    min_ratings: int = 30,
    random_state: Any = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Score ways to predict a target corpus in folds, as the paper does: annotators, and the consensus.

    In each fold annotators enrol with ratings of the training split, all or a few at random, and are scored on the test
    split. An annotator who has fewer than `min_ratings` ratings in the training split is left out of everything;
    samples without a rating left are dropped; the consensus is that of the annotators left.

    All other parameters are those of :func:`compare_strategies`, with the same defaults.

    Parameters
    ----------
    ratings : Ratings
        Ratings of the target corpus.
    groups : array-like, shape (n_samples,), default=None
        Session or speaker of each sample. None: each sample is a group.
    strategies : dict, default=None
        As in :func:`compare_strategies`; "fine_tune": True among the parameters trains on in the fold, with the
        validation split for early stopping, and only where the enrollment is "all". None: `STRATEGIES`.
    enrollment : sequence of int or "all", default=("all",)
        Numbers of enrollment ratings of each annotator.
    n_folds : int, default=5
        Number of folds.
    min_ratings : int, default=30
        Ratings in the training split that an annotator must have.
    random_state : int, RandomState or None, default=None
        Seed of validation groups, draws and random mappings.

    Returns
    -------
    DataFrame
        One row for each strategy, fold, enrollment size, level, annotator and output: `ccc`, and the `source` annotator
        that served. Levels: "individual"; "consensus", predicted as the mean of those who rated a sample, which takes
        knowing who they are; and "consensus, blind", predicted as the mean of all annotators.

    References
    ----------
    J. Tavernor and E. Mower Provost, "More Similar than Dissimilar", 2025, https://arxiv.org/abs/2509.12295
    """
    sizes = [size if size == "all" else check_number("enrollment", size, low=1, integer=True) for size in enrollment]
    rng = check_random_state(random_state)
    chosen = choose_strategies(strategies, source, aggregate, X)
    groups = np.arange(len(ratings)) if groups is None else np.asarray(groups)
    frames = []
    with tqdm(total=n_folds * len(sizes) * len(chosen), desc="strategies", disable=not verbose) as bar:
        for number, rows in enumerate(grouped_folds(groups, n_folds, random_state=rng)):
            fold = _Fold(ratings, rows, min_ratings=min_ratings, number=number)
            place = shuffled_places(fold.train, rng)
            for size in sizes:
                enrolled = fold.train if size == "all" else fold.train.keep_ratings(place < size)
                for name, (who, parameters) in chosen.items():
                    bar.update()
                    if parameters.get("fine_tune") and size != "all":
                        continue
                    table = _score_fold(name, who, parameters, fold, enrolled, rng)
                    frames.append(table.assign(strategy=name, fold=number, n_enrollment=size))
    return pd.concat(frames, ignore_index=True)


def grouped_folds(
    groups: Any, n_folds: int = 5, *, random_state: Any = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the rows to train on, to validate on and to test on; no group is in two of them.

    The folds are the same for every seed; of the groups that are not tested a quarter, rounded down but one at least,
    is drawn for validation.

    Parameters
    ----------
    groups : array-like, shape (n_samples,)
        Session or speaker of each sample.
    n_folds : int, default=5
        Number of folds.
    random_state : int, RandomState or None, default=None
        Seed of the validation groups.

    Yields
    ------
    train, validation, test : arrays of int
        Rows.

    Examples
    --------
    >>> from sklearn_annoser.evaluation import grouped_folds
    >>> train, validation, test = next(grouped_folds(["a", "a", "b", "c", "c", "d"], n_folds=4, random_state=0))
    >>> len(train), len(validation), len(test)
    (3, 1, 2)
    """
    check_number("n_folds", n_folds, low=2, integer=True)
    groups = np.asarray(groups)
    names = np.unique(groups)
    if len(names) < max(n_folds, 3):
        raise ValueError(
            f"{n_folds} folds need as many groups, and three at least: to train, to validate and to test on; there are "
            f"{len(names)}."
        )
    rng = check_random_state(random_state)
    for rest, test in GroupKFold(n_folds, shuffle=True, random_state=FOLDS_SEED).split(groups, groups=groups):
        left = np.unique(groups[rest])
        held = rng.choice(left, size=max(int(VALIDATION_FRACTION * len(left)), 1), replace=False)
        is_held = np.isin(groups[rest], held)
        yield rest[~is_held], rest[is_held], test


class _Fold:
    """One fold of a target corpus, with the annotators that its training split knows well enough."""

    def __init__(self, ratings: Ratings, rows: Sequence[np.ndarray], *, min_ratings: int, number: int) -> None:
        self.rows_train, self.rows_validation, self.rows_test = rows
        kept = ratings[self.rows_train].keep_annotators(min_ratings=min_ratings).annotators
        if not len(kept):
            raise ValueError(
                f"no annotator has min_ratings={min_ratings} ratings in the training split of fold {number}: lower it."
            )
        self.train, self.test = (ratings[part].keep_annotators(kept) for part in (self.rows_train, self.rows_test))
        self.rows_tuning = np.concatenate([self.rows_train, self.rows_validation])
        self.tuning = ratings[self.rows_tuning].keep_annotators(kept)
        if not self.test.n_ratings:
            raise ValueError(f"the test split of fold {number} has no rating by an annotator of its training split.")


def _score_fold(
    name: str, source: Remembered, parameters: dict[str, Any], fold: _Fold, enrolled: Ratings, rng: Any
) -> pd.DataFrame:
    """Enrol, predict the test split, and score annotators and consensus."""
    settings = PREDICT_ONLY | parameters
    tune = settings.pop("fine_tune", False)
    if name == "random":
        settings["strategy"] = "random"
    mapper = AnnotatorMapper(source, **settings, random_state=rng)
    X_train, X_test = fold.rows_train[:, None], fold.rows_test[:, None]
    if name == "oracle":
        mapper.fit(X_test, fold.test)
    else:
        mapper.fit(X_train, enrolled)
    if tune:
        X_test, predictor = np.asarray(source.X)[fold.rows_test], _fine_tuned(mapper, source, fold)
    else:
        predictor = mapper
    predicted, blind = predictor.predict_ratings(X_test, fold.test), predictor.predict(X_test)
    table = score_levels(fold.test, predicted, blind, mapper.mapping_.get("source"))
    if name == "random":
        exact = source.random_scores(fold.test, fold.rows_test).stack()
        own = table["level"] == INDIVIDUAL
        cells = list(zip(table["annotator"][own], table["output"][own], strict=True))
        table.loc[own, "ccc"] = exact.loc[cells].to_numpy()
    return table


def _fine_tuned(mapper: AnnotatorMapper, source: Remembered, fold: _Fold) -> Any:
    """Return a regressor trained on in a fold: on the consensus, or from where the mapping begins."""
    if source.regressor.variant == "aggregate":
        regressor = copy.deepcopy(source.regressor)
    else:
        regressor = source.regressor.with_heads(mapper.annotators_, mapper.heads_)
    regressor.set_params(warm_start=True, min_ratings=1, on_unknown="consensus", verbose=0)
    validation = np.isin(fold.rows_tuning, fold.rows_validation)
    return regressor.fit(np.asarray(source.X)[fold.rows_tuning], fold.tuning, validation=validation)

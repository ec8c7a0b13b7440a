"""Across corpora: train on a source corpus, and compare strategies on the annotators of a target corpus."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from tqdm.auto import tqdm

from sklearn_annoser._validation import check_array_like
from sklearn_annoser.evaluation._draws import compare_strategies
from sklearn_annoser.evaluation._folds import compare_folds
from sklearn_annoser.ratings import Ratings

__all__ = ["cross_corpus", "leave_one_annotator_out"]


def cross_corpus(
    estimator: Any,
    source: Any,
    target: Any,
    *,
    n_folds: int | None = None,
    seeds: Any = (0,),
    verbose: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Train on a source corpus, enrol the annotators of a target corpus, and compare strategies, for several seeds.

    Parameters
    ----------
    estimator : AnnotatorMappedRegressor, or a Pipeline that ends in one
        What to train; it is cloned. Its "aggregate" variant is trained beside it.
    source, target : Bunch
        Corpora with `X`, `ratings` and, for the validation split of the source and the folds of the target, `groups`;
        `validation` (True where a sample of the source is for validation) instead, where the corpus has such a split.
    n_folds : int, default=None
        Folds of the target, as the paper has it (:func:`compare_folds`). None: repeated draws of enrollment ratings
        (:func:`compare_strategies`).
    seeds : sequence of int, default=(0,)
        Seeds of training and draws.
    verbose : int, default=0
        1 shows progress bars.
    **options : dict
        More arguments of either.

    Returns
    -------
    DataFrame
        As of :func:`compare_folds` or :func:`compare_strategies`, with a column `seed`.
    """
    if n_folds is not None:
        options |= {"n_folds": n_folds, "groups": target.get("groups")}
    compare = compare_strategies if n_folds is None else compare_folds
    frames = []
    for seed in tqdm(seeds, desc="seeds", disable=not verbose or len(seeds) == 1):
        model, aggregate = _fit_pair(estimator, source, source.ratings, seed)
        results = compare(
            model, target.X, target.ratings, aggregate=aggregate, random_state=seed, verbose=verbose, **options
        )
        frames.append(results.assign(seed=seed))
    return pd.concat(frames, ignore_index=True)


def leave_one_annotator_out(
    estimator: Any, source: Any, target: Any, *, seeds: Any = (0,), verbose: int = 0, **options: Any
) -> pd.DataFrame:
    """Treat each annotator in turn as new: train on all others in the source, enrol that one in the target.

    For corpora that share a few annotators, who rated the same samples.

    Parameters
    ----------
    estimator : AnnotatorMappedRegressor, or a Pipeline that ends in one
        What to train; it is cloned. Its "aggregate" variant is trained beside it.
    source, target : Bunch
        Corpora with `X`, `ratings` and, for the validation split of the source, `groups`.
    seeds : sequence of int, default=(0,)
        Seeds of training and draws.
    verbose : int, default=0
        1 shows a progress bar.
    **options : dict
        More arguments of :func:`compare_strategies`.

    Returns
    -------
    DataFrame
        As of :func:`compare_strategies`, with a column `seed`.
    """
    shared = target.ratings.annotators
    frames = []
    cells = [(seed, annotator) for seed in seeds for annotator in shared]
    for seed, annotator in tqdm(cells, desc="annotators", disable=not verbose):
        others = source.ratings.keep_annotators(source.ratings.annotators[source.ratings.annotators != annotator])
        model, aggregate = _fit_pair(estimator, source, others, seed)
        own = target.ratings.keep_annotators([annotator])
        results = compare_strategies(model, target.X, own, aggregate=aggregate, random_state=seed, **options)
        frames.append(results.assign(seed=seed))
    return pd.concat(frames, ignore_index=True)


def fit_on_corpus(estimator: Any, corpus: Any, ratings: Ratings, **parameters: Any) -> Any:
    """Fit a clone of an estimator, with these parameters, on a source corpus with its own validation split."""
    model = clone(estimator)
    regressor = model[-1] if isinstance(model, Pipeline) else model
    regressor.set_params(**parameters)
    steps = model[:-1] if isinstance(model, Pipeline) and len(model) > 1 else None
    X = corpus.X if steps is None else steps.fit_transform(check_array_like("X", corpus.X), ratings)
    regressor.fit(X, ratings, groups=corpus.get("groups"), validation=corpus.get("validation"))
    return model


def _fit_pair(estimator: Any, corpus: Any, ratings: Ratings, seed: int) -> tuple[Any, Any]:
    """Fit an estimator, and its aggregate variant, on a source corpus."""
    one = fit_on_corpus(estimator, corpus, ratings, random_state=seed)
    return one, fit_on_corpus(estimator, corpus, ratings, random_state=seed, variant="aggregate")

"""Evaluation: what mapping is worth on a target corpus, strategy beside strategy, as tidy tables."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from tqdm.auto import tqdm

from sklearn_annoser._validation import check_number
from sklearn_annoser.estimators import AnnotatorMapper
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.mapping import score_heads
from sklearn_annoser.metrics import annotator_ccc, ccc_score
from sklearn_annoser.ratings import CONSENSUS, Ratings

__all__ = [
    "FINE_TUNED",
    "STRATEGIES",
    "compare_folds",
    "compare_strategies",
    "cross_corpus",
    "draw_enrollment",
    "grouped_folds",
    "leave_one_annotator_out",
    "score_levels",
    "summarize_strategies",
]

# Name in the table -> who predicts, and how it is mapped.
STRATEGIES: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("source", {"strategy": "random"}),
    "aggregate": ("aggregate", {"strategy": "all"}),
    "aggregate, calibrated": ("aggregate", {"strategy": "all", "calibration": "affine"}),
    "all heads": ("source", {"strategy": "all"}),
    "mapped": ("source", {"strategy": "joint"}),
    "mapped, calibrated": ("source", {"strategy": "joint", "calibration": "affine"}),
    "blended": ("source", {"strategy": "blend", "calibration": "affine"}),
    "oracle": ("source", {"strategy": "joint"}),
}
# Trained on in each fold of the target: on its consensus, or from where the mapping begins.
FINE_TUNED: dict[str, tuple[str, dict[str, Any]]] = {
    "aggregate, fine-tuned": ("aggregate", {"strategy": "all", "fine_tune": True}),
    "mapped, fine-tuned": ("source", {"strategy": "joint", "fine_tune": True}),
}
# Of the mapper: what is not compared is not computed, and everybody gets a prediction.
PREDICT_ONLY: dict[str, Any] = {"n_bootstrap": 0, "n_folds": 0, "min_ratings": 1, "on_unknown": "consensus"}
LEVELS = ("individual", "consensus", "consensus, blind")
VALIDATION_FRACTION = 0.25  # of the groups that are not tested, rounded down
FOLDS_SEED = 0  # the folds are the same for every seed of the training


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
    sizes = [check_number("enrollment", size, low=1, integer=True) for size in np.atleast_1d(enrollment).tolist()]
    n_reserved = max(sizes) if n_reserved is None else n_reserved
    check_number("n_reserved", n_reserved, low=max(sizes), integer=True)
    estimators = {"source": source} | ({} if aggregate is None else {"aggregate": aggregate})
    asked = STRATEGIES if strategies is None else strategies
    chosen = {name: how for name, how in asked.items() if how[0] in estimators}
    ratings = ratings.keep_annotators(min_ratings=n_reserved + 2)
    if not ratings.n_annotators:
        raise ValueError(f"no annotator has {n_reserved + 2} ratings: {n_reserved} to enrol with and two to score on.")

    rng = check_random_state(random_state)
    remembered = {who: Remembered(estimator, X) for who, estimator in estimators.items()}
    rows = np.arange(len(ratings))[:, None]
    frames = []
    with tqdm(total=n_draws * len(sizes) * len(chosen), desc="strategies", disable=not verbose) as bar:
        for draw in range(n_draws):
            place = shuffled_places(ratings, rng)
            test = ratings.keep_ratings(place >= n_reserved)
            for size in sizes:
                enrolled = ratings.keep_ratings(place < size)
                for name, (who, parameters) in chosen.items():
                    score = {"random": _score_random, "oracle": _score_oracle}.get(name, _score_mapper)
                    table = score(remembered[who], parameters, rows, enrolled, test, rng)
                    frames.append(table.assign(strategy=name, draw=draw, n_enrollment=size))
                    bar.update()
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

    Parameters
    ----------
    source : fitted AnnotatorMappedRegressor, or a fitted Pipeline that ends in one
        Who knows the source annotators.
    X : array-like, shape (n_samples, n_features)
        Features of the target corpus.
    ratings : Ratings
        Ratings of the target corpus.
    groups : array-like, shape (n_samples,), default=None
        Session or speaker of each sample. None: each sample is a group.
    aggregate : fitted AnnotatorMappedRegressor of the "aggregate" variant, or a Pipeline, default=None
        Behind the "aggregate" strategies, which are left out without it.
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
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        One row for each strategy, fold, enrollment size, level, annotator and output: `ccc`, and the `source` annotator
        that served. Levels: "individual"; "consensus", predicted as the mean of those who rated a sample, which takes
        knowing who they are; and "consensus, blind", predicted as the mean of all annotators.

    References
    ----------
    J. Tavernor and E. Mower Provost, "More Similar than Dissimilar: Modeling Annotators for Cross-Corpus Speech Emotion
    Recognition", 2025, https://arxiv.org/abs/2509.12295
    """
    sizes = [size if size == "all" else check_number("enrollment", size, low=1, integer=True) for size in enrollment]
    estimators = {"source": source} | ({} if aggregate is None else {"aggregate": aggregate})
    asked = STRATEGIES if strategies is None else strategies
    chosen = {name: how for name, how in asked.items() if how[0] in estimators}
    rng = check_random_state(random_state)
    known = {who: Remembered(estimator, X) for who, estimator in estimators.items()}
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
                    table = _score_fold(name, known[who], parameters, fold, enrolled, rng)
                    frames.append(table.assign(strategy=name, fold=number, n_enrollment=size))
    return pd.concat(frames, ignore_index=True)


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


def summarize_strategies(results: pd.DataFrame, by: Any = ("strategy",)) -> pd.DataFrame:
    """Average results over annotators, then over draws: the mean CCC, and its standard deviation over draws.

    Parameters
    ----------
    results : DataFrame
        What :func:`compare_strategies` returned, or several of them with more columns.
    by : sequence of str, default=("strategy",)
        Columns that tell the rows of the table apart.

    Returns
    -------
    DataFrame
        A row for each combination of `by`, in the order of `results`, columns (output, "mean" or "std").
    """
    keys = list(by)
    runs = [key for key in ("draw", "seed") if key in results and key not in keys]
    each = results.groupby([*keys, "output", *runs], sort=False)["ccc"].mean()
    table = each.groupby([*keys, "output"], sort=False).agg(["mean", "std"])
    wide = pd.concat({name: table.xs(name, level="output") for name in results["output"].unique()}, axis=1)
    return wide.loc[results[keys].drop_duplicates().set_index(keys).index]


def score_levels(y_true: Ratings, y_pred: Ratings, blind: Any, sources: pd.Series | None = None) -> pd.DataFrame:
    """Score predictions for annotators, and for the consensus with and without knowing who rated.

    Parameters
    ----------
    y_true : Ratings
        Ratings of some samples.
    y_pred : Ratings
        Predictions for the same samples and annotators.
    blind : array-like, shape (n_samples,) or (n_samples, n_outputs)
        Predictions of the consensus that do not know who rated a sample.
    sources : Series, default=None
        Source annotator by annotator.

    Returns
    -------
    DataFrame
        Columns annotator, source, output, ccc, level: "individual", for annotators with two ratings at least;
        "consensus", predicted as the mean of those who rated a sample; and "consensus, blind".
    """
    own = annotator_ccc(y_true, y_pred).query("n_ratings >= 2").drop(columns="n_ratings")
    served = pd.Series(None, index=own.index, dtype=object) if sources is None else sources.reindex(own.index)
    tables = [_tidy(own, served).assign(level=LEVELS[0])]
    rated = np.diff(y_true.indptr) > 0
    truth = y_true.consensus()[rated]
    for level, values in zip(LEVELS[1:], (y_pred.consensus(), np.asarray(blind)), strict=True):
        ccc = np.atleast_1d(ccc_score(truth, values[rated], multioutput="raw_values"))
        scores = pd.DataFrame([ccc], index=[CONSENSUS], columns=own.columns)
        tables.append(_tidy(scores, pd.Series([None], dtype=object)).assign(level=level))
    return pd.concat([table.astype({"source": object, "annotator": object}) for table in tables], ignore_index=True)


class Remembered(BaseEstimator):
    """A source whose hidden features of a corpus are computed once: what it takes as X are row numbers."""

    def __init__(self, estimator: Any, X: Any) -> None:
        steps, source = split_source(estimator)
        self.X = X if steps is None else steps.transform(X)
        self.regressor = source
        self.hidden_ = np.concatenate([hidden for _, hidden in source.iter_hidden(self.X)])
        self.annotators_, self.outputs_, self.heads_ = source.annotators_, source.outputs_, source.heads_
        self.prior_ = source.prior_
        self.check_scale = source.check_scale

    def fit(self, X: Any, y: Any = None) -> Remembered:
        """Do nothing: it is fitted."""
        return self

    def iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Look the hidden features of some rows up."""
        yield slice(0, len(X)), self.hidden_[X[:, 0]]


def _fit_pair(estimator: Any, corpus: Any, ratings: Ratings, seed: int) -> tuple[Any, Any]:
    """Fit an estimator, and its aggregate variant, on a source corpus."""
    fitted = []
    for variant in (None, "aggregate"):
        model = clone(estimator)
        regressor = model[-1] if isinstance(model, Pipeline) else model
        regressor.set_params(random_state=seed, **({} if variant is None else {"variant": variant}))
        steps = model[:-1] if isinstance(model, Pipeline) and len(model) > 1 else None
        X = corpus.X if steps is None else steps.fit_transform(corpus.X, ratings)
        regressor.fit(X, ratings, groups=corpus.get("groups"), validation=corpus.get("validation"))
        fitted.append(model)
    return fitted[0], fitted[1]


def shuffled_places(ratings: Ratings, rng: np.random.RandomState) -> np.ndarray:
    """Return the place of each rating in a random order of its annotator's ratings."""
    order = np.lexsort((rng.uniform(size=ratings.n_ratings), ratings.codes))
    counts = np.bincount(ratings.codes, minlength=ratings.n_annotators)
    place = np.empty(ratings.n_ratings, dtype=np.int64)
    place[order] = np.arange(ratings.n_ratings) - np.repeat(counts.cumsum() - counts, counts)
    return place


def _score_mapper(
    source: Remembered, parameters: dict[str, Any], X: Any, enrolled: Ratings, test: Ratings, rng: Any
) -> pd.DataFrame:
    """Enrol, predict the test ratings, and score each annotator."""
    settings = PREDICT_ONLY | parameters
    mapper = AnnotatorMapper(source, **settings, random_state=rng)
    mapper.fit(X, enrolled)
    scores = annotator_ccc(test, mapper.predict_ratings(X, test)).drop(columns="n_ratings")
    served = mapper.mapping_.get("source", pd.Series(None, index=scores.index, dtype=object))
    return _tidy(scores, served)


def _score_oracle(
    source: Remembered, parameters: dict[str, Any], X: Any, enrolled: Ratings, test: Ratings, rng: Any
) -> pd.DataFrame:
    """Score each annotator with the head that is best on their test ratings."""
    return _score_mapper(source, parameters, X, test, test, rng)


def _score_random(
    source: Remembered, parameters: dict[str, Any], X: Any, enrolled: Ratings, test: Ratings, rng: Any
) -> pd.DataFrame:
    """Score each annotator with a head drawn at random: the mean over all heads is what that gives on average."""
    scores = score_heads(source.hidden_, source.heads_, test).mean(axis=1)  # (n_targets, n_outputs)
    table = pd.DataFrame(scores, index=test.annotators, columns=list(test.outputs))
    return _tidy(table, pd.Series(None, index=table.index, dtype=object))


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
    served = mapper.mapping_.get("source", pd.Series(None, index=mapper.annotators_, dtype=object))
    if tune:
        X_test, predictor = np.asarray(source.X)[fold.rows_test], _fine_tuned(mapper, source, fold)
    else:
        predictor = mapper
    predicted = predictor.predict_ratings(X_test, fold.test)
    blind = predictor.predict(X_test)
    table = score_levels(fold.test, predicted, blind, served)
    if name == "random":  # what a random head gives on average, without the noise of one draw
        scores = score_heads(source.hidden_[fold.rows_test], source.heads_, fold.test).mean(axis=1)
        exact = pd.DataFrame(scores, index=fold.test.annotators, columns=list(fold.test.outputs)).stack()
        own = table["level"] == LEVELS[0]
        table.loc[own, "ccc"] = exact.loc[
            list(zip(table["annotator"][own], table["output"][own], strict=True))
        ].to_numpy()
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


def _tidy(scores: pd.DataFrame, source: pd.Series) -> pd.DataFrame:
    """Return one row for each annotator and output."""
    table = scores.rename_axis("annotator").assign(source=source.to_numpy())
    return table.reset_index().melt(id_vars=["annotator", "source"], var_name="output", value_name="ccc")

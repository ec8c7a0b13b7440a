"""Reliability: whether forecasts of the CCC hold, and whether leaving out the least promising annotators helps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length, check_random_state
from tqdm.auto import tqdm

from sklearn_annoser._validation import check_array_like, check_number
from sklearn_annoser.estimators import AnnotatorMapper
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.evaluation._draws import Draw, Draws
from sklearn_annoser.evaluation._remembered import Remembered
from sklearn_annoser.mapping import Enroller, forecast_scores, predict_pairs
from sklearn_annoser.metrics import annotator_ccc
from sklearn_annoser.ratings import Ratings, count_by_output

__all__ = ["check_forecasts", "coverage_table", "risk_coverage"]

LEVELS = (0.5, 0.8, 0.95)


def check_forecasts(
    mapper: Any,
    X: Any,
    ratings: Ratings,
    *,
    enrollment: Any = (20,),
    n_reserved: int | None = None,
    n_draws: int = 10,
    levels: Any = LEVELS,
    random_state: Any = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Forecast the CCC of new annotators from a few ratings, and compare it with that on all others.

    All other parameters are those of :func:`compare_strategies`, with the same defaults.

    Parameters
    ----------
    mapper : AnnotatorMapper
        How new annotators are mapped; it need not be fitted. Forecasts are of mappings: nothing is fine-tuned.
    ratings : Ratings
        Ratings of the target corpus. Annotators with fewer than four ratings beyond `n_reserved` are left out.
    levels : sequence of float, default=(0.5, 0.8, 0.95)
        What the intervals say that they hold.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    DataFrame
        One row for each draw, enrollment size, annotator, output and level: the `ccc` of the `n_unseen` ratings, the
        `expected` one, and the bounds `low` and `high` of its interval, which allows for the number of ratings. An
        annotator without a CCC on an output, for want of unseen ratings, is left out there.

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
    >>> from sklearn_annoser.datasets import make_corpora
    >>> from sklearn_annoser.evaluation import check_forecasts, coverage_table
    >>> source, target = make_corpora(n_samples=300, n_annotators=10, random_state=0)
    >>> model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
    >>> mapper = AnnotatorMapper(model.fit(source.X, source.ratings), strategy="blend", calibration="affine")
    >>> results = check_forecasts(mapper, target.X, target.ratings, n_draws=2, random_state=0)
    >>> list(coverage_table(results).columns)
    ['0.5', '0.8', '0.95']
    """
    draws = Draws(ratings, enrollment, n_reserved=n_reserved, n_draws=n_draws, n_scored=4)
    levels = [check_number("levels", level, low=0, high=1) for level in np.atleast_1d(levels).tolist()]
    check_consistent_length(check_array_like("X", X), ratings)
    if not isinstance(mapper, AnnotatorMapper):
        raise TypeError(f"mapper must be an AnnotatorMapper, got {type(mapper).__name__}.")
    if mapper.fine_tune is not None:
        raise ValueError(f"forecasts are of mappings: the mapper's fine_tune must be None, got {mapper.fine_tune!r}.")
    _, regressor = split_source(mapper.estimator)
    regressor.check_ratings(ratings)
    rng = check_random_state(random_state)
    known = Remembered(mapper.estimator, X)
    enroller = known.enroller(mapper)
    frames = []
    for draw in tqdm(draws.walk(rng), total=len(draws), desc="forecasts", disable=not verbose):
        table = _check_draw(enroller, known, draw, levels, rng)
        frames.append(table.assign(draw=draw.number, n_enrollment=draw.n_enrollment))
    return pd.concat(frames, ignore_index=True)


def _check_draw(
    enroller: Enroller, known: Remembered, draw: Draw, levels: list[float], rng: np.random.RandomState
) -> pd.DataFrame:
    """Map, forecast at each level, and score."""
    hidden, test = known.hidden_, known.to_unit(draw.test)
    mapping = enroller.enrol(hidden, known.to_unit(draw.enrolled), rng=rng, with_scores=False)
    predicted = test.with_values(predict_pairs(hidden, mapping.heads, test.rows, test.codes))
    scores = annotator_ccc(test, predicted).drop(columns="n_ratings")
    n_unseen = count_by_output(test)
    seed = rng.randint(2**31 - 1)
    frames = []
    for level in levels:
        told = forecast_scores(mapping, level=level, n_unseen=n_unseen, rng=np.random.RandomState(seed))
        columns = {"ccc": scores.to_numpy(), "expected": told.score, "low": told.low, "high": told.high}
        for output, name in enumerate(test.outputs):
            own = {column: values[:, output] for column, values in (columns | {"n_unseen": n_unseen}).items()}
            frames.append(pd.DataFrame(own).assign(annotator=test.annotators, output=name, level=level))
    return pd.concat(frames, ignore_index=True).dropna(subset="ccc")


def coverage_table(results: pd.DataFrame, by: Any = ("n_enrollment",)) -> pd.DataFrame:
    """Count how often the intervals hold the CCC.

    Parameters
    ----------
    results : DataFrame
        What :func:`check_forecasts` returned, or several of them.
    by : sequence of str, default=("n_enrollment",)
        Columns that tell the rows of the table apart.

    Returns
    -------
    DataFrame
        A row for each combination of `by`, a column for each level: the share of forecasts that hold.
    """
    holds = (results["low"] <= results["ccc"]) & (results["ccc"] <= results["high"])
    table = results.assign(holds=holds).groupby([*by, "level"], sort=False)["holds"].mean().unstack("level")
    table.columns = [f"{level:g}" for level in table.columns]
    return table


def risk_coverage(results: pd.DataFrame, *, by: str = "expected") -> pd.DataFrame:
    """Average the CCC of the most promising annotators only, from all of them to the best.

    Parameters
    ----------
    results : DataFrame
        What :func:`check_forecasts` returned.
    by : str, default="expected"
        Column that ranks the forecasts; "ccc" is the ranking that nobody can know.

    Returns
    -------
    DataFrame
        Columns `coverage`, the share that is served, and `ccc`, its mean: what is left after serving no others.
    """
    one = results[results["level"] == results["level"].iloc[0]]
    ccc = one.sort_values(by, ascending=False, kind="stable")["ccc"].to_numpy()
    n = np.arange(1, len(ccc) + 1)
    return pd.DataFrame({"coverage": n / len(ccc), "ccc": ccc.cumsum() / n})

"""Laws of the estimators: what must not matter does not, and who serves a new annotator is who should."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings

from .judge import Trial
from .scores import exact_ccc

NAMES = ["activation", "valence"]
N_FEATURES = 4
CLOSE = 1e-3  # of the ratings' spread; weights are float32
STRATEGIES = ("joint", "separate", "top-n", "blend", "all")


def corpus(rng: np.random.Generator, n: int = 40, n_annotators: int = 4) -> tuple[np.ndarray, Ratings]:
    """Return features and ratings of two outputs from 1 to 5, with gaps."""
    X = rng.normal(size=(n, N_FEATURES)).astype(np.float32)
    weights = rng.normal(size=(n_annotators, 2, N_FEATURES))
    values = np.clip(np.round(3 + np.einsum("nf,aof->nao", X, weights)), 1, 5)
    values[rng.random((n, n_annotators)) < 0.3] = np.nan
    return X, Ratings.from_dense(values, annotators=list("abcd")[:n_annotators], outputs=NAMES)


def small(trial: Trial, **changes: Any) -> AnnotatorMappedRegressor:
    """Return a regressor that trains in no time."""
    settings = {"n_hidden": 8, "max_epochs": 2, "pretrain_epochs": 1, "lr": 0.01, "random_state": trial.seed}
    return AnnotatorMappedRegressor(**(settings | changes))


def same(trial: Trial, found: Any, expected: Any, spread: float = 1.0) -> None:
    """Check that predictions are equal but for rounding."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    trial.check(found.shape == expected.shape, f"shape {found.shape}, not {expected.shape}")
    off = np.abs(found - expected).max() / spread
    trial.check(off < CLOSE, f"predictions differ by {off:g} of the spread")


def training(trial: Trial) -> None:
    """Try what must not matter to a training: offset and scale, samples of weight 0, threads."""
    trial.must_work = True
    X, ratings = corpus(trial.rng)
    law = trial.pick([offset_and_scale, weight_zero, threads])
    trial.kind = law.__name__
    variant = trial.pick(["individual", "individual+consensus", "individual+variance", "aggregate"])
    model = small(trial, variant=variant, early_stopping=bool(trial.rng.random() < 0.5))
    trial.kind += f", {model}"
    law(trial, model, X, ratings)


def offset_and_scale(trial: Trial, model: Any, X: np.ndarray, ratings: Ratings) -> None:
    """Predictions are on whatever scale the ratings are."""
    offset, scale = trial.pick([0, 3.0, -1e4, 1e7]), trial.pick([1e-7, 1e-3, 1, 7.0, 1e7])
    scale = max(scale, abs(offset) * 1e-6)  # or float64 itself has no digits left
    trial.kind += f", offset {offset:g}, scale {scale:g}"
    expected = (
        model.fit(X, ratings).predict_annotators(X)
        if model.variant != "aggregate"
        else model.fit(X, ratings).predict(X)
    )
    moved = model.fit(X, ratings.with_values(ratings.values * scale + offset))
    found = moved.predict_annotators(X) if model.variant != "aggregate" else moved.predict(X)
    same(trial, (found - offset) / scale, expected)


def weight_zero(trial: Trial, model: Any, X: np.ndarray, ratings: Ratings) -> None:
    """Check that a sample of weight 0 is as good as not there."""
    weight = trial.rng.integers(0, 3, size=len(X)).astype(float)
    weight[:8] = 1
    keep = weight > 0
    expected = model.fit(X[keep], ratings[keep], sample_weight=weight[keep]).predict(X)
    wild = np.where(keep[:, None], X, trial.pick([0, 1e3, -5]))
    same(trial, model.fit(wild, ratings, sample_weight=weight).predict(X), expected)


def threads(trial: Trial, model: Any, X: np.ndarray, ratings: Ratings) -> None:
    """Threads decide how fast, not what."""
    expected = model.fit(X, ratings).predict(X)
    same(trial, model.set_params(n_threads=2).fit(X, ratings).predict(X), expected)


@cache
def known() -> tuple[AnnotatorMappedRegressor, np.ndarray]:
    """Return a regressor that knows four annotators, and features of other samples."""
    rng = np.random.default_rng(7)
    X, ratings = corpus(rng, n=120)
    model = AnnotatorMappedRegressor(n_hidden=8, max_epochs=8, lr=0.02, random_state=0, on_unknown="consensus")
    return model.fit(X, ratings), rng.normal(size=(30, N_FEATURES)).astype(np.float32)


def batches(trial: Trial) -> None:
    """Check that a prediction does not depend on what is predicted with it, in which order, by which door."""
    trial.must_work = True
    model, X = known()
    rows = trial.rng.integers(len(X), size=trial.rng.integers(1, 12))
    who = trial.pick(model.annotators_)
    trial.kind = f"{len(rows)} samples, annotator {who}"
    alone = np.concatenate([model.predict(X[row : row + 1], annotator=who) for row in rows])
    same(trial, model.predict(X[rows], annotator=who), alone)
    layout = trial.pick([np.asfortranarray, np.float64, lambda a: a[::-1][::-1], pd.DataFrame, lambda a: a.tolist()])
    same(trial, model.predict_annotators(layout(X[rows]), [who])[:, 0], alone)
    order = trial.rng.permutation(2)
    ratings = Ratings.from_rows(np.ones((len(rows), 2)), who, outputs=[NAMES[each] for each in order])
    same(trial, model.predict_ratings(X[rows], ratings).values, alone[:, order])


def odd_enrollment(trial: Trial) -> tuple[np.ndarray, np.ndarray, bool]:
    """Draw rows and ratings of a new annotator, and whether they must be refused."""
    n = int(trial.pick([1, 2, 3, 8, 20]))
    rows = trial.rng.permutation(30)[:n]
    values = trial.rng.integers(1, 6, size=(n, 2)).astype(float)
    trial.kind = kind = trial.pick(
        ["plain", "plain", "constant", "gaps", "nothing", "infinite", "too few rows", "wide"]
    )
    if kind == "constant":
        values[:] = values[0]
    elif kind == "gaps":
        values[trial.rng.random((n, 2)) < 0.3] = np.nan
        values = values[keep := ~np.isnan(values).all(axis=1)]
        rows = rows[keep]
    elif kind == "nothing":
        values[:] = np.nan
    elif kind == "infinite":
        values[0, 0] = np.inf
    elif kind == "too few rows":
        rows = rows[:-1]
    elif kind == "wide":
        values = values[:, [0, 1, 1]]
    trial.kind += f", {n} ratings"
    return rows, values, kind in ("nothing", "infinite", "too few rows", "wide") or not len(values)


def enrolled(trial: Trial) -> None:
    """Check that who serves has the best sum of CCC, or the smallest error; names may be in any order."""
    model, X = known()
    rows, values, is_bad = odd_enrollment(trial)
    trial.must_work = not is_bad
    swapped = trial.rng.random() < 0.5 and values.shape[1:] == (2,)
    order, names = (
        ([1, 0], NAMES[::-1]) if swapped else (slice(None), NAMES[: values.shape[1]] + ["x"][: values.shape[1] - 2])
    )
    given = Ratings.from_rows(values[:, order], "new", outputs=names)
    chosen = model.select_annotator(X[rows], given, n_bootstrap=0)
    trial.check(not is_bad, "what must be refused was taken")
    best = slow_choice(model.predict_annotators(X[rows]), values)
    labels = model.annotators_.tolist()
    if chosen is None:
        trial.check(best is None, "there is somebody to choose, but nobody was")
    else:
        trial.check(best is not None, "nobody can be told from the others, but somebody was chosen")
        trial.check(best[labels.index(chosen)] >= best.max() - 1e-5, f"{chosen!r} was chosen, of {best}")
        same(trial, model.predict(X), model.predict(X, annotator=chosen))


def slow_choice(predicted: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return the score of each head, or None if the ratings tell nobody from the others."""
    agreement, errors = [], []
    for output in range(2):
        rated = np.isfinite(values[:, output])
        true, pred = values[rated, output], predicted[rated, :, output]
        if len(true) == 1:  # counts where there is no CCC
            errors.append(-np.abs(pred[0] - true[0]))
        elif len(set(true.tolist())) > 1:
            agreement.append([exact_ccc(true, column) for column in pred.T])
    told = agreement or errors
    return np.sum(told, axis=0) if told else None


def mapped(trial: Trial) -> None:
    """Check that a mapping depends neither on the order of names and samples, nor on who else is enrolled."""
    model, X = known()
    rows, values, is_bad = odd_enrollment(trial)
    trial.must_work = not is_bad
    options = {
        "strategy": trial.pick(STRATEGIES),
        "calibration": trial.pick([None, "affine"]),
        "n_bootstrap": 0,
        "n_folds": 0,
    }
    trial.kind += f", {options}"
    mapper = AnnotatorMapper(model, on_unknown="consensus", random_state=0, **options)
    names = NAMES[: values.shape[1]] + ["x"][: values.shape[1] - 2]
    cube = np.full((30, 1, values.shape[1]), np.nan)
    cube[rows, 0] = values if len(rows) == len(values) else values[: len(rows)]
    if len(rows) != len(values):
        cube = cube[:-1]
    ratings = Ratings.from_dense(cube, annotators=["new"], outputs=names)
    mapper.fit(X, ratings)
    trial.check(not is_bad, "what must be refused was taken")
    expected = mapper.predict(X, annotator="new")
    trial.check(np.isfinite(expected).all(), "a prediction is not finite")
    others = np.concatenate([cube, trial.rng.integers(1, 6, size=(30, 1, 2)) * 1.0], axis=1)[:, :, ::-1]
    shuffled = trial.rng.permutation(30)
    ratings = Ratings.from_dense(others[shuffled], annotators=["new", "other"], outputs=NAMES[::-1])
    mapper.fit(X[shuffled], ratings)
    same(trial, mapper.predict(X, annotator="new"), expected, spread=max(1.0, float(np.abs(expected).max())))

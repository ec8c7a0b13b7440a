"""Metrics against fractions, which have no rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser import Ratings
from sklearn_annoser.metrics import annotator_ccc, ccc_matrix, ccc_score, consensus_ccc_score, individual_ccc_score

from .judge import Trial

NAMES = ["activation", "valence", "dominance"]


def exact_ccc(true: Sequence[float], pred: Sequence[float], weight: Sequence[float] | None = None) -> float:
    """Return the concordance, NaN for fewer than two samples."""
    weights = [Fraction(float(each)) for each in (weight if weight is not None else [1] * len(true))]
    triples = [(Fraction(float(t)), Fraction(float(p)), w) for t, p, w in zip(true, pred, weights, strict=True) if w]
    if len(triples) < 2:
        return math.nan
    total = sum(w for _, _, w in triples)
    mean_true, mean_pred = sum(w * t for t, _, w in triples) / total, sum(w * p for _, p, w in triples) / total
    var_true = sum(w * (t - mean_true) ** 2 for t, _, w in triples) / total
    var_pred = sum(w * (p - mean_pred) ** 2 for _, p, w in triples) / total
    if not var_true or not var_pred:
        return float(var_true == var_pred and mean_true == mean_pred)
    covariance = sum(w * (t - mean_true) * (p - mean_pred) for t, p, w in triples) / total
    return float(2 * covariance / (var_true + var_pred + (mean_true - mean_pred) ** 2))


def drawn(trial: Trial, shape: tuple[int, int]) -> np.ndarray:
    """Draw columns with an offset and a scale of their own."""
    values = trial.rng.normal(size=shape) if trial.rng.random() < 0.5 else trial.rng.integers(1, 6, size=shape)
    offset = trial.pick([0, 0, 1e3, -1e7, 1e7])
    scale = 10.0 ** trial.rng.integers(-7, 8) if offset == 0 else 10.0 ** trial.rng.integers(-3, 8)
    if trial.rng.random() < 0.1:
        values = np.full(shape, float(values.flat[0]))
    trial.kind += f" offset {offset:g} scale {scale:g}"
    return values * scale + offset


def close(trial: Trial, found: Any, expected: Any, size: np.ndarray) -> None:
    """Check scores, as exact as floats of that size and spread can be."""
    found, expected = np.atleast_1d(np.asarray(found, dtype=float)), np.atleast_1d(np.asarray(expected, dtype=float))
    trial.check(found.shape == expected.shape, f"shape {found.shape}, not {expected.shape}")
    spread = min((column.std() for column in size if np.ptp(column) > 0), default=1.0)
    tolerance = 1e-9 + 1e-15 * max(np.abs(column).max() for column in size) / spread
    same = np.isclose(found, expected, rtol=0, atol=tolerance, equal_nan=True)
    trial.check(same.all(), f"{found} is not {expected}")


def plain_scores(trial: Trial) -> None:
    """ccc_score and ccc_matrix of arrays, with weights, and names in another order."""
    trial.must_work = True
    n, n_outputs = int(trial.rng.integers(2, 12)), int(trial.rng.integers(1, 4))
    true = drawn(trial, (n, n_outputs))
    pred = (
        true + trial.rng.normal(size=true.shape) * true.std() if trial.rng.random() < 0.7 else drawn(trial, true.shape)
    )
    weight = None
    if trial.rng.random() < 0.6:
        weight = trial.rng.integers(0, 4, size=n) * trial.pick([1.0, 0.1, 1e-7, 1e7])
        weight[:2] = np.maximum(weight[:2], weight.max() or 1.0)
        trial.kind += ", weights"
    names = trial.rng.permutation(n_outputs)
    given: Any = pred
    if trial.rng.random() < 0.5:
        trial.kind += ", names in another order"
        given = pd.DataFrame(pred[:, names], columns=[NAMES[each] for each in names])
        true_given: Any = pd.DataFrame(true, columns=NAMES[:n_outputs])
    else:
        true_given = true
    found = ccc_score(true_given, given, sample_weight=weight, multioutput="raw_values")
    expected = [exact_ccc(true[:, each], pred[:, each], weight) for each in range(n_outputs)]
    close(trial, found, expected, np.concatenate([true.T, pred.T]))
    if weight is None:
        matrix = ccc_matrix(true, pred)
        slow = [[exact_ccc(t, p) for p in pred.T] for t in true.T]
        close(trial, matrix, slow, np.concatenate([true.T, pred.T]))


def rated_scores(trial: Trial) -> None:
    """Scores of annotators and of their consensus, with gaps, samples without a rating, and names in another order."""
    trial.must_work = True
    n, n_annotators, n_outputs = int(trial.rng.integers(3, 10)), int(trial.rng.integers(1, 5)), 2
    values = drawn(trial, (n, n_annotators * n_outputs)).reshape(n, n_annotators, n_outputs)
    values[trial.rng.random((n, n_annotators)) < trial.pick([0, 0.3, 0.6])] = np.nan
    values[trial.rng.random(values.shape) < trial.pick([0, 0, 0.2])] = np.nan
    values[:2, 0] = np.nan_to_num(values[:2, 0], nan=1.0)
    ratings = Ratings.from_dense(values, outputs=NAMES[:2])
    spread = np.nanstd(values) or 1.0
    pred = np.nanmean(values) + trial.rng.normal(size=(n, n_outputs)) * spread
    given: Any = pred
    if trial.rng.random() < 0.5:
        trial.kind += ", names in another order"
        given = pd.DataFrame(pred[:, ::-1], columns=NAMES[1::-1])
    table = annotator_ccc(ratings, given)
    slow = np.array([[of_rated(values[:, a, o], pred[:, o]) for o in range(2)] for a in range(n_annotators)])
    columns = [each[np.isfinite(each)] for each in values.reshape(n, -1).T if np.isfinite(each).sum() > 1]
    size = [*columns, *pred.T]
    close(trial, table[NAMES[:2]].to_numpy(), slow, size)
    counts = [int(sum(np.isfinite(values[row, a]).any() for row in range(n))) for a in range(n_annotators)]
    trial.check(table["n_ratings"].tolist() == counts, "other counts")
    raw = individual_ccc_score(ratings, given, multioutput="raw_values")
    close(trial, raw, [mean([each for each in column if not math.isnan(each)]) for column in slow.T], size)
    both = [
        [(mean(row[np.isfinite(row)].tolist()), p) for row, p in zip(values[:, :, o], pred[:, o], strict=True)]
        for o in range(2)
    ]
    pairs = [[pair for pair in each if not math.isnan(pair[0])] for each in both]
    expected = [exact_ccc(*zip(*each, strict=True)) if each else math.nan for each in pairs]
    narrow = [*size, *(np.array(each)[:, 0] for each in pairs if len(each) > 1)]
    close(trial, consensus_ccc_score(ratings, given, multioutput="raw_values"), expected, narrow)
    close(trial, ccc_score(ratings, given, multioutput="raw_values"), expected, narrow)


def of_rated(true: np.ndarray, pred: np.ndarray) -> float:
    """Return the concordance on what was rated."""
    rated = np.isfinite(true)
    return exact_ccc(true[rated], pred[rated])


def mean(numbers: Sequence[float]) -> float:
    """Return a mean, summed without rounding."""
    return math.fsum(numbers) / len(numbers) if len(numbers) else math.nan

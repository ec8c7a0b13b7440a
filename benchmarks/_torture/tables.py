"""Ratings of tables, arrays and rows with labels and values of every kind; the oracle is a dict of lists."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser import Ratings

from .judge import Trial

PLAIN = ("words", "spelt", "integers", "unsigned", "floats", "numpy integers", "numpy strings")
POOLS: dict[str, Sequence[Any]] = {
    "words": ["ann", "bob", "cy", "dora", "älva", "名前"],
    "spelt": ["NA", "None", "nan", "", " ", "1", "1.0", "007", "True"],
    "integers": [0, 1, -1, 7, 2**53, 2**53 + 1, -(2**63), 2**63 - 1],
    "unsigned": [0, 1, 2**63, 2**64 - 1, 2**64 - 2, 2**53 + 1],
    "floats": [0.5, 1.5, -2.25, 1e300, 0.1, 3.0],
    "numpy integers": [np.int8(1), np.uint64(2), np.int64(-3), np.uint8(255), np.int32(4)],
    "numpy strings": [np.str_("a"), np.str_("NA"), "b", "c"],
    "huge": [2**64, -(2**63) - 1, 10**30, 5, -5, 2**64 - 1],
    "signed and unsigned": [-1, 2**63, 2**64 - 1, 3],
    "numbers mixed": [2**53 + 1, 0.5, 1, 2.0, 3, 2**53],
    "kinds mixed": ["1", 1, 1.0, True, "True", b"1"],
    "booleans": [True, False, np.True_, np.False_],
    "booleans and numbers": [True, 0, 1, False, 2],
    "missing": ["ann", None, "bob", float("nan"), pd.NA, "cy"],
    "missing numbers": [1, None, 2, float("nan"), 3, pd.NaT],
    "trailing NUL": ["a", "a\0", "b", "a\0\0"],
    "surrogates": ["a", "\udc80", "b", "\ud800"],
    "dates": [pd.Timestamp(2020, 1, 1), pd.Timestamp(2021, 1, 1), 3],
    "objects": [(1, 2), frozenset(), Ellipsis, "a", Fraction(1, 3)],
}
NUMBERS: dict[str, Sequence[Any]] = {
    "whole": [1, 2, 3, 4, 5],
    "floats": [1.5, -2.25, 1e-7, 1e7, 0.1],
    "numpy": [np.float32(1.5), np.int8(3), np.uint64(2), np.float64(0.1), np.float16(0.5)],
    "exact": [Decimal("1.5"), 2, 0.25, Fraction(1, 4)],
    "booleans": [True, False, np.True_, 1],
    "gaps": [1.0, None, float("nan"), 2.5, pd.NA, 3],
    "text": [1, "2", 3.5, "x"],
    "infinite": [1, float("inf"), 2.0, 10**400],
    "complex": [1, 1j, 2.0],
}
PLAIN_NUMBERS = ("whole", "floats", "numpy")


def key(label: Any) -> tuple[str, Any]:
    """Return what a label is: its kind and value, for in Python 1 is True."""
    label = label.item() if isinstance(label, np.generic) else label
    kind = "text" if isinstance(label, str) else "boolean" if isinstance(label, bool) else "number"
    return (kind, label) if isinstance(label, (str, bool, int, float)) else (type(label).__name__, repr(label))


def is_missing(value: Any) -> bool:
    """Say whether a value is none."""
    return value is None or value is pd.NA or value is pd.NaT or value is np.ma.masked or value != value


def number(value: Any) -> float | None:
    """Return a finite number, None for what is missing, or NaN for what is no rating at all."""
    if is_missing(value):
        return None
    try:
        found = float(value) if isinstance(value, (Real, Decimal, np.bool_)) else math.nan
    except OverflowError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def draw(trial: Trial, pools: dict[str, Sequence[Any]], plain: Sequence[str], n: int) -> tuple[str, list[Any]]:
    """Draw a kind, half of the time a plain one, and values of it."""
    kind = trial.pick(plain if trial.rng.random() < 0.5 else pools)
    return kind, [trial.pick(pools[kind]) for _ in range(n)]


def contained(trial: Trial, kind: str, values: list[Any]) -> tuple[str, Any]:
    """Put labels into some container that keeps them as they are."""
    containers: dict[str, Callable[[], Any]] = {"list": lambda: list(values), "objects": lambda: as_objects(values)}
    containers["Series"] = lambda: pd.Series(as_objects(values), dtype=object)
    containers["Index"] = lambda: pd.Index(as_objects(values), dtype=object)
    if kind in ("words", "spelt", "integers", "floats", "unsigned"):
        dtype = np.uint64 if kind == "unsigned" else None
        containers["array"] = lambda: np.array(values, dtype=dtype)
        containers["categories"] = lambda: pd.Series(pd.Categorical(np.array(values, dtype=dtype)))
        containers["masked array"] = lambda: np.ma.array(np.array(values, dtype=dtype), mask=False)
    if kind in ("words", "spelt"):
        containers["pandas strings"] = lambda: pd.array(values, dtype="string")
    if kind == "missing":
        containers["pandas strings"] = lambda: pd.array([None if is_missing(v) else v for v in values], dtype="string")
    name = trial.pick(containers)
    return name, containers[name]()


def as_objects(values: Sequence[Any]) -> np.ndarray:
    """Return an array of the objects themselves, pairs too."""
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        array[position] = value
    return array


def from_long(trial: Trial) -> None:
    """Take a table with one row a rating."""
    n, n_outputs = int(trial.rng.integers(1, 13)), int(trial.rng.integers(1, 3))
    who_kind, who = draw(trial, POOLS, PLAIN, n)
    what_kind, what = draw(trial, POOLS, PLAIN, n)
    value_kind, cells = draw(trial, NUMBERS, PLAIN_NUMBERS, n * n_outputs)
    rows = [cells[row * n_outputs : (row + 1) * n_outputs] for row in range(n)]
    held_who, held_what = contained(trial, who_kind, who), contained(trial, what_kind, what)
    duplicates = trial.pick(["error", "mean"])
    trial.kind = f"annotators: {who_kind}, {held_who[0]}; samples: {what_kind}, {held_what[0]}; values: {value_kind}"
    pairs = [(key(s), key(a)) for s, a in zip(what, who, strict=True)]
    is_twice = len(set(pairs)) < n
    plain = who_kind in PLAIN and what_kind in PLAIN and value_kind in PLAIN_NUMBERS
    trial.must_work = plain and not (is_twice and duplicates == "error")
    frame = pd.DataFrame({"sample": pd.Series(held_what[1]), "annotator": pd.Series(held_who[1])})
    if isinstance(held_what[1], list):  # pandas makes of a list what it likes
        frame["sample"] = pd.Series(as_objects(what), dtype=object)
    if isinstance(held_who[1], list):
        frame["annotator"] = pd.Series(as_objects(who), dtype=object)
    outputs = ["a", "v"][:n_outputs]
    for position, output in enumerate(outputs):
        frame[output] = pd.Series(as_objects([row[position] for row in rows]), dtype=object)
    ratings = Ratings.from_long(frame, outputs=outputs, duplicates=duplicates)
    trial.check(not any(map(is_missing, who + what)), "a missing label became one")
    trial.check(duplicates == "mean" or not is_twice, "a second rating went unseen")
    compare(trial, ratings, oracle(pairs, rows))
    trial.check(set(map(key, ratings.annotators)) == {a for _, a in pairs}, "other annotators")


def from_dense(trial: Trial) -> None:
    """Take an array with one column an annotator."""
    n, n_annotators = int(trial.rng.integers(1, 6)), int(trial.rng.integers(1, 5))
    who_kind, who = draw(trial, POOLS, PLAIN, n_annotators)
    value_kind, cells = draw(trial, NUMBERS, PLAIN_NUMBERS, n * n_annotators)
    table = [cells[row * n_annotators : (row + 1) * n_annotators] for row in range(n)]
    masked = trial.rng.random((n, n_annotators)) < 0.3
    holder = trial.pick(["lists", "objects", "frame", "masked", "masked in lists"])
    trial.kind = f"annotators: {who_kind}; values: {value_kind}, {holder}"
    grid = as_objects(cells).reshape(n, n_annotators)
    values: Any = {"lists": table, "objects": grid, "frame": pd.DataFrame(grid)}.get(holder)
    if holder.startswith("masked"):
        values = np.ma.array(grid, mask=masked)
        table = [
            [None if hidden else cell for cell, hidden in zip(*row, strict=True)]
            for row in zip(table, masked, strict=True)
        ]
        values = [list(row) for row in values] if holder == "masked in lists" else values
    keys = [key(label) for label in who]
    ratings = Ratings.from_dense(values, annotators=who)
    trial.check(not any(map(is_missing, who)), "a missing label became one")
    trial.check(len(set(keys)) == len(keys), "one annotator has two columns")
    given = [(row, column) for row in range(n) for column in range(n_annotators) if not is_missing(table[row][column])]
    pairs = [(("number", row), keys[column]) for row, column in given]
    compare(trial, ratings, oracle(pairs, [[table[row][column]] for row, column in given]))


def from_rows(trial: Trial) -> None:
    """One rating a sample, and who gave it."""
    n = int(trial.rng.integers(1, 10))
    who_kind, who = draw(trial, POOLS, PLAIN, n)
    value_kind, values = draw(trial, NUMBERS, PLAIN_NUMBERS, n)
    holder, held = contained(trial, who_kind, who)
    trial.kind = f"annotators: {who_kind}, {holder}; values: {value_kind}"
    trial.must_work = who_kind in PLAIN and value_kind in PLAIN_NUMBERS
    ratings = Ratings.from_rows(values, held)
    trial.check(not any(map(is_missing, who)), "a missing label became one")
    pairs = [(("number", row), key(label)) for row, label in enumerate(who)]
    compare(trial, ratings, oracle(pairs, [[value] for value in values]))


def oracle(pairs: list[Any], rows: list[list[Any]]) -> dict[Any, list[list[float]]]:
    """Return what each annotator gave each sample: for each output a list of numbers."""
    given: dict[Any, list[list[float]]] = defaultdict(lambda: [[] for _ in rows[0]])
    for pair, row in zip(pairs, rows, strict=True):
        for numbers, cell in zip(given[pair], row, strict=True):
            found = number(cell)
            if found is not None:
                numbers.append(found)
    return given


def compare(trial: Trial, ratings: Ratings, expected: dict[Any, list[list[float]]]) -> None:
    """Check that ratings are those of the oracle, no more and no fewer, with their means."""
    table = ratings.to_long()
    outputs = list(ratings.outputs)
    found = {
        (key(row["sample"]), key(row["annotator"])): [row[output] for output in outputs]
        for row in table.to_dict("records")
    }
    trial.check(len(found) == len(table), "a pair is there twice")
    trial.check(set(found) == set(expected), f"other pairs: {set(found) ^ set(expected)!r:.200}")
    for pair, lists in expected.items():
        for value, numbers in zip(found[pair], lists, strict=True):
            mean = math.fsum(numbers) / len(numbers) if numbers else math.nan
            same = math.isnan(value) if not numbers else math.isclose(value, mean, rel_tol=1e-6, abs_tol=1e-30)
            trial.check(same, f"{pair}: {value} is not {mean}")
    counts = ratings.counts()
    for label, count in counts.items():
        n_pairs = sum(annotator == key(label) for _, annotator in expected)
        trial.check(count == n_pairs, f"{label!r} has {count} ratings, not {n_pairs}")

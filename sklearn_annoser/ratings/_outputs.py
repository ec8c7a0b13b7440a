"""Names of outputs: facts, wherever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sklearn_annoser.ratings._checks import check_outputs
from sklearn_annoser.ratings._ratings import Ratings


def output_order(found: Sequence[str], expected: Sequence[str], what: str) -> list[int]:
    """Return where each expected output is among those found: by name, or by position if either side has no names."""
    found, expected = list(found), list(expected)
    if len(found) != len(expected):
        raise ValueError(f"{what} must have {len(expected)} outputs, {expected}, got {len(found)}: {found}.")
    if sorted(found) == sorted(expected):
        return [found.index(name) for name in expected]
    unnamed = list(check_outputs(None, len(found)))
    if unnamed in (found, expected):
        return list(range(len(found)))
    place = next(place for place in range(len(found)) if found[place] != expected[place])
    raise ValueError(
        f"{what} has the outputs {found}, but {expected} are expected: {found[place]!r} is where {expected[place]!r} "
        "should be. If they are the same under other names, give an array without names, or rename them: "
        f"ratings.with_outputs(ratings.values, {expected})."
    )


def match_outputs(ratings: Ratings, expected: Sequence[str], what: str = "ratings") -> Ratings:
    """Return ratings with the outputs that are expected, in their order; raise if their names contradict these."""
    order = output_order(ratings.outputs, expected, what)
    if order == list(range(len(order))) and ratings.outputs == tuple(expected):
        return ratings
    scale = None if ratings.scale is None else ratings.scale[order]
    return ratings._replace(_values=ratings._values[:, order], outputs=tuple(expected), scale=scale)


def in_order_of(expected: Any, found: Any, what: str) -> Any:
    """Return Ratings or a DataFrame with their outputs in the order of another's; what has no names is as it is."""
    names, own = _names(expected), _names(found)
    if names is None or own is None:
        return found
    return (
        match_outputs(found, names, what)
        if isinstance(found, Ratings)
        else found.iloc[:, output_order(own, names, what)]
    )


def _names(data: Any) -> Sequence[str] | None:
    """Return what Ratings or a DataFrame call their outputs."""
    if isinstance(data, Ratings):
        return data.outputs
    columns = data.columns.tolist() if isinstance(data, pd.DataFrame) else []
    return columns if columns and all(isinstance(column, str) for column in columns) else None

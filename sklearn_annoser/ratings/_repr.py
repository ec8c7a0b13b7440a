"""How `Ratings` are shown."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd


def as_text(ratings: Any) -> str:
    """Return counts and names as text."""
    classes = "" if ratings.classes is None else f", n_classes={len(ratings.classes)}"
    return (
        f"Ratings(n_samples={ratings.n_samples}, n_ratings={ratings.n_ratings}, n_annotators={ratings.n_annotators}, "
        f"outputs={list(ratings.outputs)}{classes})"
    )


def as_html(ratings: Any) -> str:
    """Return counts, and how the values of each output are distributed, as HTML."""
    per_sample = ratings.n_ratings / max(ratings.n_samples, 1)
    per_annotator = ratings.n_ratings / max(ratings.n_annotators, 1)
    if ratings.classes is None:
        summary = pd.DataFrame(ratings.values, columns=list(ratings.outputs)).agg(["mean", "std", "min", "max"])
    else:
        counted = ratings.to_long()[list(ratings.outputs)].apply(pd.Series.value_counts)
        summary = counted.reindex(ratings.classes).fillna(0).astype(int)
        summary = summary.set_axis(["n_ratings"], axis=1) if ratings.n_outputs == 1 else summary
    names = ", ".join(map(str, ratings.annotators[:5].tolist())) + (", ..." if ratings.n_annotators > 5 else "")
    return (  # no $ in a label is mathematics to a notebook
        f"<div class='tex2jax_ignore mathjax_ignore'><p><b>Ratings</b>: {ratings.n_ratings:,} ratings of "
        f"{ratings.n_samples:,} samples ({per_sample:.1f} each) by {ratings.n_annotators:,} annotators "
        f"({per_annotator:.1f} each): {escape(names)}</p>{summary.to_html(float_format='{:.3g}'.format)}</div>"
    )

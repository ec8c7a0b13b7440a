"""Model cards: what a model was made of and what it is for, as Markdown, without the names of people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser.estimators._person import Person
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.sharing._saved import versions

__all__ = ["model_card"]

WARNING = """\
**Heads describe people.** A head says how a person rates, and may tell who they are, or what they think; ratings are
personal data. Share heads and ratings only as those who rated have agreed to, and delete a head when they ask for it. A
prediction is what a person is expected to say, not what is true of whoever speaks: it is no basis for decisions about
them."""


def model_card(
    model: Any,
    *,
    title: str = "How annotators rate",
    corpora: Mapping[str, Any] | None = None,
    scores: pd.DataFrame | None = None,
    use: str = "Research on how people judge the same samples differently.",
    with_names: bool = False,
) -> str:
    """Write the card of a fitted model, from what it knows of itself.

    Parameters
    ----------
    model : fitted estimator, or a Pipeline that ends in one
        A regressor, mapper, classifier, or one person's model.
    title : str, default="How annotators rate"
        The first line.
    corpora : dict of str to Ratings or str, default=None
        What it has learned from: the name of each corpus, and its Ratings, which are counted, or some words.
    scores : DataFrame, default=None
        How good it is, for example what :func:`~sklearn_annoser.evaluation.summarize_strategies` returned.
    use : str, default="Research on how people judge the same samples differently."
        What it is meant for.
    with_names : bool, default=False
        Whether annotators are named. None of them is unless asked for.

    Returns
    -------
    str
        Markdown with YAML in front, as ``README.md`` on the Hub, or for ``huggingface_hub.ModelCard``.

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor
    >>> from sklearn_annoser.datasets import make_corpora
    >>> from sklearn_annoser.sharing import model_card
    >>> source, _ = make_corpora(n_samples=200, n_annotators=10, random_state=0)
    >>> model = AnnotatorMappedRegressor(n_hidden=16, max_epochs=2, random_state=0).fit(source.X, source.ratings)
    >>> card = model_card(model, title="Invented", corpora={"make_corpora": source.ratings})
    >>> card.splitlines()[5]
    '# Invented'
    """
    check_is_fitted(model)
    last = model[-1] if hasattr(model, "steps") else model
    rows = {
        "type": type(last).__name__,
        "outputs": ", ".join(_outputs(last)),
        "annotators": _people(last, with_names),
        "features": _features(model, last),
        "versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
    }
    if hasattr(last, "mapping_"):
        rows["enrollment ratings"] = str(int(last.mapping_["n_ratings"].sum()))
    front = {"library_name": "sklearn_annoser", "tags": ["sklearn", "skops", "subjectivity", "annotators"]}
    yaml = "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in front.items())
    table = _table(["", ""], [list(row) for row in rows.items()])
    parts = [f"---\n{yaml}---", f"# {_line(title)}", table, f"## Intended use\n\n{use}", WARNING]
    if corpora:
        found = [[name, told] for name, told in _corpora(corpora)]
        parts.append("## Corpora\n\n" + _table(["corpus", "what"], found))
    if scores is not None:
        parts.append("## Scores\n\n" + _scores(scores))
    parts.append(
        "## How to use it\n\n```python\nfrom sklearn_annoser.sharing import load\n\n"
        'model = load("model.skops")\n```\n\nThe file runs nothing when it is read.'
    )
    return "\n\n".join(parts) + "\n"


def _outputs(last: Any) -> Iterator[str]:
    """Walk over the outputs in words, with their scale or their classes."""
    if hasattr(last, "classes_"):
        each = last.classes_ if isinstance(last.classes_, list) else [last.classes_]
        yield from (f"{name} ({', '.join(map(str, own))})" for name, own in zip(last.outputs_, each, strict=True))
        return
    for name, (low, high) in zip(last.outputs_, last._unit_scale.bounds, strict=True):
        yield f"{name} ({low:g} to {high:g})"


def _people(last: Any, with_names: bool) -> str:
    """Return how many annotators the model knows, and who they are if that is asked for."""
    known = [last.annotator_] if isinstance(last, Person) else last.annotators_.tolist()
    if not with_names:
        return str(len(known))
    return f"{len(known)}: {', '.join(map(str, known))}"


def _features(model: Any, last: Any) -> str:
    """Return what the features are: encoders that are in the model, or their number."""
    parts = [f"{last.n_features_in_} numbers"]
    every = list(model.get_params(deep=True).values()) if hasattr(model, "get_params") else []
    names = {
        f"{type(each).__name__}(model={str(each.model)!r}, layers={each.layers!r})"
        for each in every
        if hasattr(each, "fingerprint_")
    }
    return ", ".join([*parts, *sorted(names)])


def _corpora(corpora: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Walk over the corpora, in words."""
    if not isinstance(corpora, Mapping):
        raise TypeError(f"corpora must be a dict of name to Ratings or text, got {type(corpora).__name__}.")
    for name, told in corpora.items():
        if not isinstance(told, (Ratings, str)):
            raise TypeError(f"corpora[{name!r}] must be Ratings or text, got {type(told).__name__}.")
        if isinstance(told, Ratings):
            told = f"{told.n_samples} samples, {told.n_ratings} ratings by {told.n_annotators} annotators"
        yield name, told


def _scores(scores: Any) -> str:
    """Return a table of scores."""
    if not isinstance(scores, pd.DataFrame):
        raise TypeError(f"scores must be a DataFrame, got {type(scores).__name__}.")
    if "annotator" in [*scores.columns, *scores.index.names]:
        raise ValueError(
            "scores have a row for each annotator, and name them: summarize_strategies(results) averages them."
        )
    named = any(name is not None for name in scores.index.names)
    flat = scores.reset_index(drop=not named)
    head = [" ".join(str(each) for each in (name if isinstance(name, tuple) else (name,)) if each) for name in flat]
    return _table(head, [[_cell(value) for value in row] for row in flat.itertuples(index=False)])


def _cell(value: Any) -> str:
    """Return a number with three digits, anything else as it is."""
    return f"{value:.3f}" if isinstance(value, (float, np.floating)) else str(value)


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _line(text: str) -> str:
    """Return a text without line breaks."""
    return " ".join(text.split())

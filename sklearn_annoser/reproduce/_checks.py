"""Checks of an experiment before it begins: what would fail at its end is said at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_number
from sklearn_annoser.estimators import AnnotatorMapper
from sklearn_annoser.estimators._unit_scale import UnitScale
from sklearn_annoser.evaluation import grouped_folds
from sklearn_annoser.ratings import Ratings

WHO = ("source", "aggregate")


def check_sizes(enrollment: Sequence[Any]) -> list[Any]:
    """Return numbers of enrollment ratings that are different, one at least, or "all"."""
    if isinstance(enrollment, str):
        raise TypeError(f"enrollment must be a sequence, such as (5, 'all'), got {enrollment!r}.")
    sizes = [_check_size(size) for size in enrollment]
    _check_some_and_different("enrollment", sizes)
    return sizes


def _check_size(size: Any) -> Any:
    """Return a number of enrollment ratings, or "all"."""
    if isinstance(size, str) and size == "all":
        return "all"
    return int(check_number("enrollment", size, low=1, integer=True))


def check_seeds(seeds: Sequence[int]) -> list[int]:
    """Return seeds that are different, one at least."""
    found = [int(check_number("seeds", seed, low=0, integer=True)) for seed in seeds]
    _check_some_and_different("seeds", found)
    return found


def check_experiment(
    source: Bunch, targets: Mapping[str, Bunch], tests: Mapping[str, Bunch], options: Mapping[str, Any]
) -> None:
    """Raise if an experiment cannot come to its end."""
    _check_some_and_different("targets and tests", [*targets, *tests])
    for name in (*targets, *tests, *options["strategies"]):
        if not isinstance(name, str):
            raise TypeError(f"targets, tests and strategies must have strings as names, got {name!r}.")
    _check_strategies(options["strategies"], options["enrollment"])
    n_folds = check_number("n_folds", options["n_folds"], low=2, integer=True)
    min_ratings = check_number("min_ratings", options["min_ratings"], low=1, integer=True)
    _check_corpus("the source", source)
    for name, corpus in {**targets, **tests}.items():
        _check_corpus(repr(name), corpus)
        _check_alike(repr(name), corpus, source)
    for name, corpus in targets.items():
        _check_folds(name, corpus, n_folds, min_ratings)
    for name, corpus in tests.items():
        if not len(np.intersect1d(corpus.ratings.annotators, source.ratings.annotators)):
            raise ValueError(f"the test {name!r} has no annotator of the source: it would be a target.")


def _check_some_and_different(what: str, values: list[Any]) -> None:
    """Raise unless there is one value at least, and each once."""
    if not values:
        raise ValueError(f"{what} must not be empty.")
    if len(set(values)) < len(values):
        raise ValueError(f"{what} must be different from each other, got {values}.")


def _check_strategies(strategies: Mapping[str, tuple[str, dict[str, Any]]], sizes: list[Any]) -> None:
    """Raise unless strategies say who predicts, and how it is mapped, and some of them can be run."""
    for name, strategy in strategies.items():
        try:
            who, parameters = strategy
            AnnotatorMapper(None, **{key: value for key, value in parameters.items() if key != "fine_tune"})
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"strategy {name!r} must be ('source' or 'aggregate', parameters of AnnotatorMapper), got "
                f"{strategy!r}: {error}"
            ) from error
        if who not in WHO:
            raise ValueError(f"strategy {name!r} must be of one of {list(WHO)}, got {who!r}.")
    if not any("all" in sizes or not parameters.get("fine_tune") for _, parameters in strategies.values()):
        raise ValueError(
            "strategies must name one at least that can be run; fine-tuned ones need 'all' among the enrollment "
            f"sizes, which are {sizes}."
        )


def _check_corpus(name: str, corpus: Bunch) -> None:
    """Raise unless a corpus has features, and ratings of as many samples."""
    missing = [part for part in ("X", "ratings") if corpus.get(part) is None]
    if missing:
        raise ValueError(f"the corpus {name} must have X and ratings; it has no {' and no '.join(missing)}.")
    if not isinstance(corpus.ratings, Ratings):
        raise TypeError(f"ratings of the corpus {name} must be Ratings, got {type(corpus.ratings).__name__}.")
    for part in ("X", "groups", "validation"):
        value = corpus.get(part)
        n = None if value is None else value.shape[0] if hasattr(value, "shape") else len(value)
        if n not in (None, len(corpus.ratings)):
            raise ValueError(
                f"the corpus {name} has ratings of {len(corpus.ratings)} samples, but {part} has {n}: they must be "
                "of the same samples."
            )


def _check_alike(name: str, corpus: Bunch, source: Bunch) -> None:
    """Raise unless a corpus has the outputs, the scale and the number of features of the source."""
    theirs, own = list(corpus.ratings.outputs), list(source.ratings.outputs)
    if len(theirs) != len(own) or (theirs != own and set(theirs) == set(own)):
        raise ValueError(f"ratings of the corpus {name} must have the outputs of the source, {own}, got {theirs}.")
    UnitScale.of(source.ratings).check(corpus.ratings)
    shapes = [np.shape(each.X)[1:] if hasattr(each.X, "shape") else () for each in (source, corpus)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"X of the corpus {name} must have features of shape {shapes[0]}, got {shapes[1]}.")


def _check_folds(name: str, corpus: Bunch, n_folds: int, min_ratings: int) -> None:
    """Raise unless a target has groups for its folds, and annotators in each."""
    groups = np.arange(len(corpus.ratings)) if corpus.get("groups") is None else np.asarray(corpus.groups)
    try:
        for train, _, _ in grouped_folds(groups, n_folds, random_state=0):
            if not corpus.ratings[train].keep_annotators(min_ratings=min_ratings).n_annotators:
                raise ValueError(
                    f"no annotator has min_ratings={min_ratings} ratings in the training split of a fold: lower it."
                )
    except ValueError as error:
        raise ValueError(f"target {name!r}: {error}") from error

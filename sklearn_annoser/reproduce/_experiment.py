"""The paper's experiment on any corpora: train, map, fine-tune, and a report; it goes on where it was interrupted."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from sklearn_annoser._optional import import_matplotlib
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.evaluation import FINE_TUNED, STRATEGIES, compare_folds, score_levels
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.reproduce._checks import check_experiment, check_seeds, check_sizes
from sklearn_annoser.reproduce._digest import digest
from sklearn_annoser.reproduce._files import file_names, write_csv
from sklearn_annoser.reproduce._interrupt import watching_interrupts
from sklearn_annoser.reproduce._models import seed_steps
from sklearn_annoser.reproduce._report import IN_DOMAIN, write_report
from sklearn_annoser.reproduce._store import Store

__all__ = ["PAPER_STRATEGIES", "reproduce"]

PAPER_STRATEGIES = STRATEGIES | {
    "mapped, separate": ("source", {"strategy": "separate"}),
    "mapped, top 5": ("source", {"strategy": "top-n", "n_heads": 5}),
    "mapped, top 15": ("source", {"strategy": "top-n", "n_heads": 15}),
    **FINE_TUNED,
}
ENROLLMENT = (5, 10, 15, 20, 25, 30, "all")


def reproduce(
    source: Bunch,
    targets: Mapping[str, Bunch],
    *,
    estimator: Any,
    out: str | os.PathLike[str],
    tests: Mapping[str, Bunch] | None = None,
    strategies: Mapping[str, tuple[str, dict[str, Any]]] | None = None,
    enrollment: Sequence[Any] = ENROLLMENT,
    n_folds: int = 5,
    min_ratings: int = 30,
    seeds: Sequence[int] = range(5),
    verbose: int = 0,
) -> pd.DataFrame:
    """Run the paper's experiment: train on a source corpus, map and fine-tune on target corpora, write a report.

    Every model and every table is written to `out` as soon as it is there. The same call goes on from what is there.

    Parameters
    ----------
    source : Bunch
        The source corpus: `X`, `ratings`, and `validation` (bool) or `groups`.
    targets : dict of str to Bunch
        Target corpora by name: `X`, `ratings`, `groups`.
    estimator : AnnotatorMappedRegressor, or a Pipeline that ends in one
        What to train; it is cloned, and its "aggregate" variant is trained beside it.
    out : path
        Folder for models, results.csv, tables, pictures and report.html.
    tests : dict of str to Bunch, default=None
        Test splits of the source corpus, whose annotators are known.
    strategies : dict, default=None
        As in :func:`~sklearn_annoser.evaluation.compare_folds`. None: `PAPER_STRATEGIES`.
    enrollment : sequence of int or "all", default=ENROLLMENT
        Numbers of enrollment ratings.
    n_folds : int, default=5
        Folds of each target.
    min_ratings : int, default=30
        Ratings in a training split that an annotator must have.
    seeds : sequence of int, default=range(5)
        Seeds of the training.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        As of :func:`~sklearn_annoser.evaluation.compare_folds`, with columns `target` and `seed`.

    Raises
    ------
    ValueError
        `out` has results of another experiment, or what is asked for cannot be run to its end.
    KeyboardInterrupt
        The run was interrupted: nothing half-trained is kept, and the same call goes on.
    """
    import_matplotlib()  # for the report: better said now than at the end
    out = Path(out)
    strategies = dict(PAPER_STRATEGIES if strategies is None else strategies)
    options: dict[str, Any] = {"strategies": strategies, "n_folds": n_folds, "min_ratings": min_ratings}
    options["enrollment"] = check_sizes(enrollment)
    seeds, tests = check_seeds(seeds), dict(tests or {})
    check_experiment(source, targets, tests, options)
    prepare = partial(_prepared, estimator, min_ratings)
    corpora = {"source": source} | {f"target {name!r}": each for name, each in targets.items()}
    corpora |= {f"test {name!r}": each for name, each in tests.items()}
    store = Store(out, _decisive(corpora, options, _prepared(estimator, 1, 0)))
    names, frames = file_names([*tests, *targets]), []
    with (
        _told_how_to_go_on(out),
        watching_interrupts() as check_interrupt,
        tqdm(total=len(seeds) * (2 + len(targets) + len(tests)), unit="step", disable=not verbose) as bar,
    ):

        def whole(make: Callable[[], Any]) -> Any:
            made = make()
            check_interrupt()  # before it is stored
            bar.update()
            return made

        for seed in seeds:
            models = {}
            for who, own in (("source", {}), ("aggregate", {"variant": "aggregate"})):
                bar.set_description(f"seed {seed}: training, {own.get('variant', 'one head for each annotator')}")
                model = prepare(seed, **own)
                train = partial(whole, partial(fit_on_corpus, model, source, source.ratings))
                models[who] = store.model(f"{who}_{seed}", model, source, train)
            for name, corpus in {**tests, **targets}.items():
                bar.set_description(f"seed {seed}: {'' if name in tests else 'mapping and fine-tuning '}{name}")
                score = partial(_score_known, models, corpus)
                if name in targets:
                    score = partial(_score_target, models, corpus, options, seed)
                table = store.table(f"{names[name]}_{seed}", [name, seed], partial(whole, score))
                frames.append(table.assign(target=name, seed=seed))
        results = pd.concat(frames, ignore_index=True)
        try:
            write_csv(out / "results.csv", results, index=False)
            write_report(results, out)
        except OSError as error:
            warnings.warn(f"the results are returned, but not all are written to {str(out)!r}: {error}", stacklevel=2)
    return results


@contextmanager
def _told_how_to_go_on(out: Path) -> Iterator[None]:
    """Say at an interrupt how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        message = f"interrupted; what was finished is in {str(out)!r}, and the same call goes on from there."
        raise KeyboardInterrupt(message) from error


def _score_target(models: Mapping[str, Any], corpus: Bunch, options: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """Map the annotators of a target corpus."""
    return compare_folds(
        models["source"],
        corpus.X,
        corpus.ratings,
        groups=corpus.get("groups"),
        aggregate=models["aggregate"],
        random_state=seed,
        **options,
    )


def _score_known(models: Mapping[str, Any], corpus: Bunch) -> pd.DataFrame:
    """Score known annotators on a test split of the source corpus, each with their own head."""
    frames = []
    known = split_source(models["source"])[1].annotators_
    ratings = corpus.ratings.keep_annotators(np.intersect1d(corpus.ratings.annotators, known))
    for name, who in zip(IN_DOMAIN, ("source", "aggregate"), strict=True):
        steps, regressor = split_source(models[who])
        X = corpus.X if steps is None else steps.transform(corpus.X)
        table = score_levels(ratings, regressor.predict_ratings(X, ratings), regressor.predict(X))
        frames.append(table.assign(strategy=name, fold=0, n_enrollment="all"))
    return pd.concat(frames, ignore_index=True)


def _prepared(estimator: Any, min_ratings: int, seed: int, **own: Any) -> Any:
    """Return a clone that trains as the experiment wants it, all that is random in its steps seeded."""
    model = clone(estimator)
    regressor = model[-1] if isinstance(model, Pipeline) else model
    if not hasattr(regressor, "select_annotator"):
        raise TypeError(
            "estimator must be an AnnotatorMappedRegressor, or a Pipeline that ends in one, got "
            f"{type(regressor).__name__}."
        )
    regressor.set_params(random_state=seed, min_ratings=min_ratings, on_unknown="consensus", **own)
    seed_steps(model, seed)
    return model


def _decisive(corpora: Mapping[str, Bunch], options: Mapping[str, Any], model: Any) -> dict[str, str]:
    """Return all that decides the results, by name, as hashes or words."""
    decisive = {"package version": import_module("sklearn_annoser").__version__, "estimator": digest(model)}
    decisive |= {name: digest(value) if name == "strategies" else str(value) for name, value in options.items()}
    for name, corpus in corpora.items():
        for part in ("X", "ratings", "groups", "validation"):
            value = corpus.get(part)
            labels = part in ("groups", "validation") and value is not None
            decisive[f"{part} of the {name}"] = digest(np.asarray(value) if labels else value)
    return decisive

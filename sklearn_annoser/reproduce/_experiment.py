"""The paper's experiment on any corpora: train, map, fine-tune, and a report; it goes on where it was interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.evaluation import FINE_TUNED, STRATEGIES, compare_folds, score_levels
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.reproduce._report import slug, write_report

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
        `out` has results of another experiment.
    """
    out = Path(out)
    strategies = PAPER_STRATEGIES if strategies is None else strategies
    options = {"strategies": dict(strategies), "enrollment": list(enrollment), "n_folds": n_folds}
    options["min_ratings"] = min_ratings
    corpora = {"source": source, **targets, **(tests or {})}
    _check_same_experiment(out, {"options": options, "estimator": repr(estimator), "data": _describe(corpora)})
    frames = []
    n_steps = len(seeds) * (2 + len(targets) + len(tests or {}))
    with tqdm(total=n_steps, unit="step", disable=not verbose) as bar:
        for seed in seeds:
            models = {}
            parameters = {"random_state": seed, "min_ratings": min_ratings, "on_unknown": "consensus"}
            for who, own in (("source", {}), ("aggregate", {"variant": "aggregate"})):
                bar.set_description(f"seed {seed}: training, {own.get('variant', 'one head for each annotator')}")
                path = out / "models" / f"{who}_{seed}.joblib"
                models[who] = _made(
                    path, partial(fit_on_corpus, estimator, source, source.ratings, **parameters, **own)
                )
                bar.update()
            for name, corpus in (tests or {}).items():
                bar.set_description(f"seed {seed}: {name}")
                path = out / "results" / f"{slug(name)}_{seed}.joblib"
                frames.append(_made(path, partial(_score_known, models, corpus)).assign(target=name, seed=seed))
                bar.update()
            for name, corpus in targets.items():
                bar.set_description(f"seed {seed}: mapping and fine-tuning {name}")
                path = out / "results" / f"{slug(name)}_{seed}.joblib"
                table = _made(path, partial(_score_target, models, corpus, options, seed))
                frames.append(table.assign(target=name, seed=seed))
                bar.update()
    results = pd.concat(frames, ignore_index=True)
    results.to_csv(out / "results.csv", index=False)
    write_report(results, out)
    return results


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
    for name, who in (("own head, in domain", "source"), ("aggregate, in domain", "aggregate")):
        steps, regressor = split_source(models[who])
        X = corpus.X if steps is None else steps.transform(corpus.X)
        table = score_levels(ratings, regressor.predict_ratings(X, ratings), regressor.predict(X))
        frames.append(table.assign(strategy=name, fold=0, n_enrollment="all"))
    return pd.concat(frames, ignore_index=True)


def _made(path: Path, make: Callable[[], Any]) -> Any:
    """Return what a file holds, or make it and write it whole."""
    if path.exists():
        return joblib.load(path)
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    joblib.dump(made, unfinished)
    os.replace(unfinished, path)
    return made


def _check_same_experiment(out: Path, experiment: dict[str, Any]) -> None:
    """Raise if a folder has another experiment, else note down which one it has."""
    path = out / "experiment.json"
    asked = json.loads(json.dumps(experiment, default=str))
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        other = [key for key in asked if asked[key] != found.get(key)]
        if other:
            raise ValueError(
                f"{str(out)!r} has another experiment: its {' and '.join(other)} differ. Choose another folder for "
                "out, or delete this one."
            )
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asked, indent=1), encoding="utf-8")


def _describe(corpora: Mapping[str, Bunch]) -> dict[str, str]:
    """Return a hash of each corpus."""
    described = {}
    for name, corpus in corpora.items():
        digest = blake2b(digest_size=16)
        for array in (corpus.X, corpus.ratings.values, corpus.ratings.codes, corpus.ratings.indptr):
            digest.update(np.ascontiguousarray(array).data)
        described[name] = digest.hexdigest()
    return described

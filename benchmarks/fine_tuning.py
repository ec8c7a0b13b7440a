"""Measure on real corpora from how many ratings on it pays to train on after a blend.

    python benchmarks/fine_tuning.py {speech,text,odour,odour-within} [--seeds 2] [--draws 1]

Sources and targets are those of data.py. Half of the target's samples are for enrollment (half of its speakers or
molecules, where it has some), the others are scored: nobody has rated them before. Annotators have at least the largest
number of ratings in the first half. Gains are paired, with 95 % intervals: over resampled annotators, for speech, with
five of them, over the cells of expert and seed. Everything is calibrated, but what was trained on by `to_regressor()`
and `warm_start`, with a fifth of the enrolled samples for early stopping.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from data import PROTOCOLS, read_pairs
from intervals import gains
from sklearn.frozen import FrozenEstimator
from tables import print_table
from tqdm.auto import tqdm

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.evaluation._scores import tidy
from sklearn_annoser.evaluation._strategies import PREDICT_ONLY
from sklearn_annoser.metrics import annotator_ccc
from sklearn_annoser.ratings import shuffled_places

CURVES = {
    "speech": (20, 100),
    "text": (5, 20, 30),
    "odour": (5, 20, 60, 250),
    "odour-within": (5, 20, 60, 150),
}
BLEND = {"strategy": "blend", "calibration": "affine"}
COMPARED: dict[str, tuple[str, dict[str, Any]]] = {
    "blended": ("source", BLEND),
    "blended, all": ("source", BLEND | {"fine_tune": "all"}),
    "aggregate, all": ("aggregate", {"strategy": "all", "calibration": "affine", "fine_tune": "all"}),
    "blended, trained on": ("source", BLEND),
}
MIN_TEST_RATINGS = 20


def predict(name: str, models: dict[str, Any], target: Any, enrolled: Ratings, test: Ratings) -> Ratings:
    """Enrol everyone, train on if it is asked for, and predict the test ratings."""
    who, parameters = COMPARED[name]
    mapper = AnnotatorMapper(FrozenEstimator(models[who]), random_state=0, **(PREDICT_ONLY | parameters))
    mapper.fit(target.X, enrolled, groups=target.get("groups"))
    if name != "blended, trained on":
        return mapper.predict_ratings(target.X, test)
    rated = np.flatnonzero(np.diff(enrolled.indptr) > 0)
    regressor = mapper.to_regressor()
    regressor[-1].set_params(warm_start=True, validation_fraction=0.2, min_ratings=1, on_unknown="consensus")
    groups = None if target.get("groups") is None else np.asarray(target.groups)[rated]
    last = regressor[-1].fit(regressor[:-1].transform(target.X[rated]), enrolled[rated], groups=groups)
    return last.predict_ratings(regressor[:-1].transform(target.X), test)


def split(target: Any, least: int, rng: np.random.RandomState) -> tuple[Ratings, Ratings]:
    """Return ratings of one half of the samples, and of the other."""
    names, member = np.unique(target.get("groups", np.arange(len(target.X))), return_inverse=True)
    first = (rng.permutation(len(names)) < len(names) // 2)[member][target.ratings.rows]
    pool = target.ratings.keep_ratings(first).keep_annotators(min_ratings=least)
    test = target.ratings.keep_ratings(~first).keep_annotators(min_ratings=MIN_TEST_RATINGS)
    both = np.intersect1d(pool.annotators, test.annotators)
    return pool.keep_annotators(both), test.keep_annotators(both)


def trials(corpus: str, n_seeds: int) -> Iterator[tuple[int, Any, dict[str, Any]]]:
    """Walk over seed, target and fitted models: one with a head for each annotator, and one of the consensus."""
    variants = {"source": "individual", "aggregate": "aggregate"}
    for seed in range(n_seeds):
        for source, target in read_pairs(corpus, seed=seed):
            estimator = PROTOCOLS[corpus].make_estimator(random_state=seed)
            fitted = {
                who: fit_on_corpus(estimator, source, source.ratings, variant=each) for who, each in variants.items()
            }
            yield seed, target, fitted


def compare(corpus: str, n_seeds: int, n_draws: int) -> pd.DataFrame:
    """Return the CCC of everything compared, by seed, draw, enrollment size, annotator and output."""
    sizes, frames = CURVES[corpus], []
    for seed, target, models in tqdm(trials(corpus, n_seeds), desc=corpus):
        rng = np.random.RandomState(seed)
        for draw in range(n_draws):
            pool, test = split(target, max(sizes), rng)
            place = shuffled_places(pool, rng)
            for size in sizes:
                enrolled = pool.keep_ratings(place < size)
                for name in COMPARED:
                    predicted = predict(name, models, target, enrolled, test)
                    scores = tidy(annotator_ccc(test, predicted).drop(columns="n_ratings"))
                    frames.append(scores.assign(strategy=name, n_enrollment=size, seed=seed, draw=draw))
    return pd.concat(frames, ignore_index=True)


def main() -> None:
    options = command_line(__doc__, corpora=tuple(CURVES), seeds=2, draws=1).parse_args()
    results = compare(options.corpus, options.seeds, options.draws)
    keys = ["annotator", "strategy", "n_enrollment", "seed", "draw"]
    results = results.groupby(keys, sort=False)["ccc"].mean().reset_index().assign(output="mean")
    mean = results.groupby(["strategy", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    print_table(f"{options.corpus}: CCC by enrollment ratings, {results['annotator'].nunique()} annotators", mean)
    gained = {
        name: gains(results[results["strategy"].isin(["blended", name])], name, as_cells=options.corpus == "speech").xs(
            ("mean", "blended")
        )
        for name in COMPARED
        if name != "blended"
    }
    print_table(f"{options.corpus}: gains over blended, with 95 % intervals", pd.DataFrame(gained).T.rename_axis("of"))


if __name__ == "__main__":
    main()

"""Measure what an order of the classes is worth: a cumulative link model, classes without an order, ratings cut.

    python benchmarks/ordinal.py {speech,text} [--seeds 3] [--draws 5]

Politeness is cut at the terciles of the source's ratings. Of speechocean762 fluency and prosodic quality, 0 to 10, are
cut at 6, 8 and 9 into four classes, and learned as two outputs of one network; one expert is left out. New annotators
enrol with 10 and with 20 labels, of which 30 are reserved, and are scored on all others. Mean over annotators, seeds,
draws and outputs of accuracy, macro F1, kappa with quadratic weights, and log likelihood per label (all better where
higher). "median" predicts the class at which half of the probability is reached, not the most probable one. "ratings
blended, then cut" learns the numbers, and has no probabilities.
Differences are paired, with 95 % intervals over annotators; of speech, with five of them, over expert and seed.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from data import read_pairs
from intervals import expert_cases, metric_differences
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score
from sklearn.preprocessing import StandardScaler
from tables import print_table

from sklearn_annoser import AnnotatorMappedClassifier, AnnotatorMappedRegressor, Ratings

KEYS = ["annotator", "seed", "draw", "strategy", "n_enrollment"]
SIZES, RESERVED = (10, 20), 30
WAYS: dict[str, dict[str, Any]] = {
    "all heads": {"strategy": "all"},
    "all heads, calibrated": {"strategy": "all", "calibration": "prior"},
    "mapped": {},
    "mapped, calibrated": {"calibration": "prior"},
    "blended": {"strategy": "blend"},
    "blended, calibrated": {"strategy": "blend", "calibration": "prior"},
}
CUT = "ratings blended, then cut"
MEDIAN = "ordered, blended, calibrated, median"
PAIRS = (
    ("ordered, all heads, calibrated", "nominal, all heads, calibrated"),
    ("ordered, mapped, calibrated", "nominal, mapped, calibrated"),
    ("ordered, blended, calibrated", "nominal, blended, calibrated"),
    ("ordered, blended, calibrated", "ordered, blended"),
    ("ordered, blended, calibrated", CUT),
    (MEDIAN, CUT),
)


def in_classes(ratings: Ratings, edges: np.ndarray) -> Ratings:
    """Cut ratings, on -1 to 1, into numbered classes."""
    return ratings.with_values(np.digitize(ratings.values, edges).astype(np.float64), classes=True)


def score(true: np.ndarray, predicted: np.ndarray, classes: np.ndarray, probability: Any = None) -> dict[str, float]:
    """Return the scores of one annotator and output."""
    warnings.filterwarnings("ignore", message=".*only one label in common")  # kappa is NaN there, and left out
    told_truth = np.nan
    if probability is not None:
        places = np.searchsorted(classes, true)
        told_truth = float(np.log(np.maximum(probability[np.arange(len(true)), places], 1e-15)).mean())
    return {
        "accuracy": accuracy_score(true, predicted),
        "macro F1": f1_score(true, predicted, labels=classes, average="macro", zero_division=0),
        "quadratic kappa": cohen_kappa_score(true, predicted, weights="quadratic"),
        "log likelihood": told_truth,
    }


def columns(found: Any) -> list[np.ndarray]:
    """Return what there is for each output as a list."""
    return found if isinstance(found, list) else [found]


def serve(
    models: dict[str, Any], X: np.ndarray, values: np.ndarray, some: np.ndarray, rest: np.ndarray, edges: np.ndarray
) -> dict[tuple[str, int], dict[str, float]]:
    """Enrol one annotator with some of their ratings, in every way, and score the rest."""
    labels, found = np.digitize(values, edges).astype(np.float64), {}
    for kind in ("nominal", "ordered"):
        model = models[kind]
        for name, how in WAYS.items():
            model.select_annotator(X[some], labels[some] if labels.shape[1] > 1 else labels[some, 0], **how)
            parts = zip(columns(model.predict_proba(X[rest])), columns(model.classes_), strict=True)
            for output, (probability, classes) in enumerate(parts):
                true, way = labels[rest, output], f"{kind}, {name}"
                found[way, output] = score(true, classes[probability.argmax(axis=1)], classes, probability)
                if f"{way}, median" == MEDIAN:
                    middle = classes[(probability.cumsum(axis=1) < 0.5).sum(axis=1).clip(max=len(classes) - 1)]
                    found[MEDIAN, output] = score(true, middle, classes, probability)
    regressor = models["ratings"]
    regressor.select_annotator(X[some], values[some], strategy="blend", calibration="affine", n_bootstrap=0)
    cut = np.digitize(regressor.predict(X[rest]).reshape(len(rest), -1), edges)
    for output, classes in enumerate(columns(models["nominal"].classes_)):
        found[CUT, output] = score(labels[rest, output], cut[:, output], classes)
    return found


def compare(
    models: dict[str, Any], X: np.ndarray, ratings: Ratings, edges: np.ndarray, n_draws: int, seed: int
) -> list[dict[str, Any]]:
    """Enrol every annotator and score the rest."""
    rng, rows = np.random.RandomState(seed), []
    for annotator in ratings.annotators:
        mine, values = ratings.of(annotator)
        values = values.reshape(len(mine), -1)
        for draw in range(n_draws):
            order = rng.permutation(len(mine))
            for size in SIZES:
                found = serve(models, X[mine], values, order[:size], order[RESERVED:], edges)
                cell = {"annotator": annotator, "seed": seed, "draw": draw, "n_enrollment": size}
                rows += [cell | {"strategy": way} | scores for (way, _), scores in found.items()]
    return rows


def fit_models(X: np.ndarray, ratings: Ratings, edges: np.ndarray, groups: Any, seed: int, lr: float) -> dict[str, Any]:
    """Fit classes without and with their order, and the ratings."""
    labels = in_classes(ratings, edges)
    return {
        "nominal": AnnotatorMappedClassifier(random_state=seed).fit(X, labels, groups=groups),
        "ordered": AnnotatorMappedClassifier(ordered=True, random_state=seed).fit(X, labels, groups=groups),
        "ratings": AnnotatorMappedRegressor(lr=lr, random_state=seed).fit(X, ratings, groups=groups),
    }


def report(results: pd.DataFrame) -> None:
    """Print the means and the differences; outputs are averaged."""
    results = results.groupby(KEYS, sort=False).mean().reset_index()
    mean = results.drop(columns=["annotator", "seed", "draw"]).groupby(["strategy", "n_enrollment"], sort=False).mean()
    for size in SIZES:
        print_table(f"{size} enrollment labels", mean.xs(size, level="n_enrollment").astype(object).fillna("-"))
    differences = {f"{one} - {other}": metric_differences(results, KEYS, one, other, size=20) for one, other in PAIRS}
    table = pd.DataFrame(differences).T.reindex(columns=list(mean)).fillna("-").rename_axis("difference")
    print_table("differences at 20 labels", table)


def main() -> None:
    options = command_line(__doc__, corpora=("speech", "text"), seeds=3, draws=5).parse_args()
    if options.corpus == "text":
        pairs, lr = read_pairs("text"), 1e-2
        edges = np.quantile(pairs[0][0].ratings.values, [1 / 3, 2 / 3]) + 1e-6
    else:
        pairs, lr = read_pairs("speech", outputs=("fluency", "prosodic")), 5e-3
        edges = (np.array([6, 8, 9]) - 5) / 5 - 1e-6
    rows = []
    for seed in range(options.seeds):
        for source, target in pairs:
            scaler = StandardScaler().fit(source.X)
            X, X_new = (scaler.transform(corpus.X).astype(np.float32) for corpus in (source, target))
            models = fit_models(X, source.ratings, edges, source.get("groups"), seed, lr)
            rows += compare(models, X_new, target.ratings, edges, options.draws, seed)
    results = pd.DataFrame(rows)
    report(expert_cases(results) if options.corpus == "speech" else results)


if __name__ == "__main__":
    main()
